"""Emphasis, code and links inside a paragraph. HTML is text, and no link can be followed."""

from collections.abc import Callable
from functools import lru_cache

from markdown_it import MarkdownIt
from markdown_it.token import Token

from aitui.ui.transcript.inks import TEXT, Ink, Run

_SPECIAL = frozenset("\\`*_[]<&~\n")
_LONGEST_KEPT = 160
_PARSER = MarkdownIt("commonmark", {"html": False, "maxNesting": 20}).enable("strikethrough")


def inline(text: str, ink: Ink = TEXT) -> tuple[Run, ...]:
    r"""The runs of a paragraph's text; `\n` in them is a line break that the author wants."""
    if _SPECIAL.isdisjoint(text):
        return ((text, ink),) if text else ()
    return _kept(text, ink) if len(text) <= _LONGEST_KEPT else _parsed(text, ink)


def _parsed(text: str, ink: Ink) -> tuple[Run, ...]:
    tokens = _PARSER.parseInline(text)[0].children or []
    runs: list[Run] = []
    inks = [ink]
    targets: list[str] = []
    for token in tokens:
        kind = token.type
        ink = inks[-1]
        if kind in _OPENING:
            inks.append(_OPENING[kind](ink))
        elif kind in _CLOSING:
            inks.pop()
        elif kind == "image":
            _put(runs, f"[image: {token.content}]", ink._replace(part="link"))
            _put_target(runs, _target(token, "src"), ink)
        elif kind == "code_inline":
            _put(runs, token.content, ink._replace(part="code", ground="code"))
        else:
            _put(runs, _BREAKS.get(kind, token.content), ink)
        if kind == "link_open":
            targets.append("" if token.info == "auto" else _target(token, "href"))
        elif kind == "link_close":
            _put_target(runs, targets.pop(), inks[-1])
    return tuple(runs)


_BREAKS = {"softbreak": " ", "hardbreak": "\n"}
_OPENING: dict[str, Callable[[Ink], Ink]] = {
    "em_open": lambda ink: ink._replace(italic=True),
    "strong_open": lambda ink: ink._replace(bold=True),
    "s_open": lambda ink: ink._replace(strike=True),
    "link_open": lambda ink: ink._replace(part="link"),
}
_CLOSING = {"em_close", "strong_close", "s_close", "link_close"}
_kept = lru_cache(512)(_parsed)


def _put(runs: list[Run], text: str, ink: Ink) -> None:
    if not text:
        return
    if runs and runs[-1][1] == ink:
        runs[-1] = (runs[-1][0] + text, ink)
    else:
        runs.append((text, ink))


def _put_target(runs: list[Run], target: str, ink: Ink) -> None:
    if target and (not runs or runs[-1][0] != target):
        _put(runs, f" ({target})", ink._replace(part="quiet"))


def _target(token: Token, name: str) -> str:
    return str(token.attrs.get(name, ""))
