"""Models that think before they answer, recognised by name, flags and answers."""

import re
from dataclasses import dataclass

from aitui.domain.command_line import CommandLine


@dataclass(frozen=True, slots=True)
class ModelFamily:
    """Names that hold `needle` and match `pattern`; the needle alone is quick to look for."""

    needle: str
    pattern: re.Pattern[str] | None = None

    def matches(self, text: str) -> bool:
        """Whether a lower-case text names a model of this family."""
        return self.needle in text and (self.pattern is None or bool(self.pattern.search(text)))


def _build_family(needle: str, pattern: str | None = None) -> ModelFamily:
    return ModelFamily(needle, re.compile(pattern) if pattern is not None else None)


NEVER = (
    _build_family("embed"),
    _build_family("rerank"),
    _build_family("think", r"(?:non|no|not|without)[-_ ]?think"),
    _build_family("reason", r"(?:non|no|not|without)[-_ ]?reason"),
)

ALWAYS = (
    _build_family("think", r"(?<![a-z])(?:open)?think(?:ing|er)?(?![a-z])"),
    _build_family("reason", r"(?<![a-z])(?:open|ace)?reason(?:ing|er)?(?![a-z])"),
    _build_family("qwq"),
    _build_family("qvq"),
    _build_family(
        "qwen",
        r"qwen[-_ ]?3(?![0-9])(?!(?s:.*)(?:instruct|coder|guard|asr|tts|captioner|no_?think))",
    ),
    _build_family("r1", r"(?<![a-z0-9])(?:o?r1)(?![a-z0-9.])|deepseek[-_ ]?r1"),
    _build_family("o1", r"(?<![a-z0-9.])o1(?![a-z0-9.])"),
    _build_family("oss", r"(?:gpt|seed)[-_ ]?oss"),
    _build_family("minimax", r"minimax[-_ ]?m[1-9]"),
    _build_family("glm", r"glm[-_ ]?(?:4\.[5-9]|[5-9](?![0-9])|z1)"),
    _build_family("magistral"),
    _build_family("nemotron", r"nemotron[-_ 0-9.]*(?:h[-_ ])?(?:nano|super|ultra|cascade)"),
    _build_family("exaone", r"exaone[-_ ]?deep"),
    _build_family("kimi", r"kimi[-_ ]?k(?:1\.[5-9]|2\.[5-9]|[3-9])"),
    _build_family("deepseek", r"deepseek[-_ ]?v3\.2[-_ ]?speciale"),
    _build_family("smollm3"),
    _build_family("hunyuan", r"hunyuan[-_ ]?(?:a13b|t1)"),
    _build_family("ring", r"(?<![a-z])ring[-_ ](?:mini|lite|flash|1t|[12]\.)"),
    _build_family("intern", r"intern[-_ ]?s1"),
    _build_family("mimo", r"(?<![a-z])mimo[-_ ]?(?:v[2-9]|7b[-_ ]rl)"),
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
    return _has_reasoning_name(f"{model_id}\n{name}".lower()) if by_flags is None else by_flags


def _has_reasoning_name(text: str) -> bool:
    return any(family.matches(text) for family in ALWAYS) and not any(
        family.matches(text) for family in NEVER
    )
