"""The files of a model that was split, by their names."""

import re

# The pattern of llama.cpp's `llama_split_path`: prefix-%05d-of-%05d.gguf.
_PART = re.compile(r"(?P<prefix>.*)-[0-9]{5}-of-(?P<count>[0-9]{5})\.gguf\Z", re.DOTALL)
MOST_PARTS = 1000


def part_paths(path: str, count: int) -> tuple[str, ...]:
    """The paths of all parts, from that of any of them; the path itself where it is of none."""
    found = _PART.fullmatch(path)
    if found is None or count != int(found["count"]) or not 1 < count <= MOST_PARTS:
        return (path,)
    prefix, digits = found["prefix"], found["count"]
    return tuple(f"{prefix}-{number:05}-of-{digits}.gguf" for number in range(1, count + 1))
