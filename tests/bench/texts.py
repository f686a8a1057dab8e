"""The texts that stream through the benchmark, as tokens of about four characters."""

import re
from itertools import islice
from random import Random

WORDS = [
    "light",
    "wave",
    "scatter",
    "blue",
    "short",
    "long",
    "air",
    "molecule",
    "intensity",
    "because",
    "the",
    "of",
    "and",
    "with",
    "through",
    "sunset",
    "red",
    "angle",
    "path",
    "energy",
    "surface",
    "ocean",
    "measured",
    "always",
    "sometimes",
    "between",
    "distance",
    "observer",
    "spectrum",
    "colour",
    "theory",
    "value",
    "result",
]
_TOKEN = re.compile(r" ?\w{1,6}|\s+|[^\w\s]{1,3}")


def tokens(shape: str, count: int) -> list[str]:
    """That many tokens of `mixed`, `plain`, `fence` or `list`."""
    random = Random(shape)
    made: list[str] = [] if shape != "fence" else ["```", "python", "\n"]
    while len(made) < count:
        made.extend(_TOKEN.findall(_MAKERS[shape](random)))
    return list(islice(made, count))


def _sentence(random: Random, least: int = 6, most: int = 18) -> str:
    words = [random.choice(WORDS) for _ in range(random.randint(least, most))]
    if random.random() < 0.3:
        place = random.randrange(len(words))
        mark = random.choice(("**", "*", "`"))
        words[place] = f"{mark}{words[place]}{mark}"
    return " ".join(words).capitalize() + ". "


def _paragraph(random: Random) -> str:
    return "".join(_sentence(random) for _ in range(random.randint(2, 5))).strip() + "\n\n"


def _code_line(random: Random) -> str:
    name, other = random.sample(WORDS, 2)
    depth = "    " * random.randint(0, 3)
    return depth + random.choice(
        (
            f"def {name}(self, {other}: float = {random.random():.3f}) -> str:\n",
            f'{name} = "{other}" + str({random.randint(0, 999)})  # {_sentence(random, 2, 4)}\n',
            f"for {name} in range(len({other})):\n",
            f"return {{'{name}': [{other}, None, True]}}\n",
            "\n",
        )
    )


def _code(random: Random) -> str:
    lines = "".join(_code_line(random) for _ in range(random.randint(5, 40)))
    return f"```python\n{lines}```\n\n"


def _item(random: Random) -> str:
    return "  " * random.choice((0, 0, 1)) + f"- {_sentence(random)}\n"


def _list(random: Random) -> str:
    return "".join(_item(random) for _ in range(random.randint(3, 10))) + "\n"


def _table(random: Random) -> str:
    rows = "".join(
        f"| {random.choice(WORDS)} | {random.randint(0, 9999)} | {_sentence(random, 2, 6)} |\n"
        for _ in range(random.randint(3, 9))
    )
    return f"| Name | Count | What it means |\n|:-----|------:|---------------|\n{rows}\n"


def _heading(random: Random) -> str:
    return f"{'#' * random.randint(1, 3)} {_sentence(random, 2, 5).strip()}\n\n"


def _mixed(random: Random) -> str:
    makers = (_paragraph, _paragraph, _paragraph, _code, _list, _table, _heading)
    return random.choice(makers)(random)


_MAKERS = {
    "mixed": _mixed,
    "plain": _paragraph,
    "fence": _code_line,
    "list": _item,
}
