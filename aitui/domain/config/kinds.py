"""Whether a value is of the kind that a key takes, as llama-swap's YAML reader (yaml.v3) sees it."""

import re

from aitui.domain.config.known_keys import KeySchema, ValueType
from aitui.domain.config.tree import Node, YamlScalar

_SWITCHES = frozenset(
    word
    for lower in ("true", "false", "y", "n", "yes", "no", "on", "off")
    for word in (lower, lower.capitalize(), lower.upper())
)
_NUMBER = re.compile(r"[-+]?[0-9][0-9_]*|0[xX][0-9A-Fa-f_]+|0o?[0-7_]+|[-+]?[0-9]+\.0*")


def matches_schema(node: Node, kind: KeySchema) -> bool:
    """Whether llama-swap can read the value; null leaves every key at its default."""
    if kind.takes is ValueType.ANYTHING:
        return True
    if not isinstance(node, YamlScalar):
        return node.mapping is (kind.takes is ValueType.MAPPING) and kind.takes in {
            ValueType.MAPPING,
            ValueType.LIST,
        }
    if node.tag.endswith(":null"):
        return True
    if kind.takes is ValueType.NUMBER:
        return not node.style and bool(_NUMBER.fullmatch(node.value))
    if kind.takes is ValueType.SWITCH:
        return node.value in _SWITCHES
    return kind.takes is ValueType.TEXT


def constraint_violation(node: YamlScalar, kind: KeySchema) -> str:
    """Why a value of the right kind still isn't one that the key takes; "" where it is."""
    if node.tag.endswith(":null"):
        return ""
    if kind.choices and node.value not in kind.choices:
        return "takes " + ", ".join(choice or '""' for choice in kind.choices)
    if kind.least is not None and _is_below(node.value, kind.least):
        return f"takes {kind.least} or more"
    if kind.pattern and not kind.pattern.fullmatch(node.value):
        return "has a form of its own"
    return ""


def _is_below(text: str, least: int) -> bool:
    try:
        return int(float(text)) < least
    except (ValueError, OverflowError):
        return False
