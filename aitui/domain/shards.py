"""Parts of a model that was split into several files, listed as if they were models."""

import re

# The pattern of llama.cpp's `llama_split_path`: prefix-%05d-of-%05d.gguf.
_PART = re.compile(r"-([0-9]{5})-of-([0-9]{5})(?:\.gguf)?\Z", re.IGNORECASE)


def is_shard_artefact(model_id: str) -> bool:
    """Whether an id names a later part of a split model, which can't be loaded by itself.

    The first part is none: llama-server loads the whole model by that name.
    """
    part = _PART.search(model_id)
    return part is not None and part[1] != "00001"
