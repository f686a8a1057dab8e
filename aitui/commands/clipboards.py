"""Which terminals are known to take no text for the clipboard by OSC 52."""

from collections.abc import Mapping

LARGEST_COPY = 74_994
"""Bytes before base64: hterm's osc52.sh, the usual measure, sends no sequence of over 100,000."""

_VTE_SINCE = 7600
_UNSUPPORTED_TERMS = (
    "linux",
    "dumb",
    "unknown",
    "vt100",
    "vt102",
    "vt220",
    "cons25",
    "eterm",
    "sun",
)


def supports_osc52(environment: Mapping[str, str]) -> bool:
    """Whether it plausibly takes OSC 52; a terminal never answers, so nobody can be sure."""
    term = environment.get("TERM", "")
    vte = environment.get("VTE_VERSION", "")
    if (
        not term
        or term in _UNSUPPORTED_TERMS
        or environment.get("TERM_PROGRAM") == "Apple_Terminal"
    ):
        return False
    # GNU screen keeps unknown sequences to itself.
    if environment.get("STY"):
        return False
    return not (vte.isascii() and vte.isdecimal()) or int(vte) >= _VTE_SINCE
