"""Models that think before they answer, recognised by name, flags and answers."""

import re
from dataclasses import dataclass

from aitui.domain.command_line import CommandLine


@dataclass(frozen=True, slots=True)
class Family:
    """Names that hold `needle` and match `pattern`; the needle alone is quick to look for."""

    needle: str
    pattern: re.Pattern[str] | None = None

    def holds(self, text: str) -> bool:
        """Whether a lower-case text names a model of this family."""
        return self.needle in text and (self.pattern is None or bool(self.pattern.search(text)))


def _family(needle: str, pattern: str | None = None) -> Family:
    return Family(needle, re.compile(pattern) if pattern is not None else None)


NEVER = (
    _family("embed"),
    _family("rerank"),
    _family("think", r"(?:non|no|not|without)[-_ ]?think"),
    _family("reason", r"(?:non|no|not|without)[-_ ]?reason"),
)

ALWAYS = (
    _family("think", r"(?<![a-z])(?:open)?think(?:ing|er)?(?![a-z])"),
    _family("reason", r"(?<![a-z])(?:open|ace)?reason(?:ing|er)?(?![a-z])"),
    _family("qwq"),
    _family("qvq"),
    _family(
        "qwen",
        r"qwen[-_ ]?3(?![0-9])(?!(?s:.*)(?:instruct|coder|guard|asr|tts|captioner|no_?think))",
    ),
    _family("r1", r"(?<![a-z0-9])(?:o?r1)(?![a-z0-9.])|deepseek[-_ ]?r1"),
    _family("o1", r"(?<![a-z0-9.])o1(?![a-z0-9.])"),
    _family("oss", r"(?:gpt|seed)[-_ ]?oss"),
    _family("minimax", r"minimax[-_ ]?m[1-9]"),
    _family("glm", r"glm[-_ ]?(?:4\.[5-9]|[5-9](?![0-9])|z1)"),
    _family("magistral"),
    _family("nemotron", r"nemotron[-_ 0-9.]*(?:h[-_ ])?(?:nano|super|ultra|cascade)"),
    _family("exaone", r"exaone[-_ ]?deep"),
    _family("kimi", r"kimi[-_ ]?k(?:1\.[5-9]|2\.[5-9]|[3-9])"),
    _family("deepseek", r"deepseek[-_ ]?v3\.2[-_ ]?speciale"),
    _family("smollm3"),
    _family("hunyuan", r"hunyuan[-_ ]?(?:a13b|t1)"),
    _family("ring", r"(?<![a-z])ring[-_ ](?:mini|lite|flash|1t|[12]\.)"),
    _family("intern", r"intern[-_ ]?s1"),
    _family("mimo", r"(?<![a-z])mimo[-_ ]?(?:v[2-9]|7b[-_ ]rl)"),
)


def is_reasoning(
    model_id: str,
    name: str,
    command: str,
    seen: bool | None = None,  # noqa: FBT001 - the verdict itself, not a switch
) -> bool:
    """Whether a model thinks before it answers.

    What was seen in its answers decides, then the flags of its command, then its id and name.
    """
    if seen is not None:
        return seen
    by_flags = CommandLine.read(command).reasoning if command else None
    return _named_as_reasoning(f"{model_id}\n{name}".lower()) if by_flags is None else by_flags


def _named_as_reasoning(text: str) -> bool:
    return any(family.holds(text) for family in ALWAYS) and not any(
        family.holds(text) for family in NEVER
    )
