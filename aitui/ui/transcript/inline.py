"""Emphasis, code and links inside a paragraph. HTML is text, and no link can be followed."""

from collections.abc import Callable
from functools import lru_cache

from markdown_it import MarkdownIt
from markdown_it.token import Token

from aitui.ui.transcript.inks import TEXT_STYLE, Run, TextStyle

_SPECIAL = frozenset("\\`*_[]<&~\n")
_MAX_CACHED_LENGTH = 160
_PARSER = MarkdownIt("commonmark", {"html": False, "maxNesting": 20}).enable("strikethrough")


def parse_inline(text: str, ink: TextStyle = TEXT_STYLE) -> tuple[Run, ...]:
    r"""The runs of a paragraph's text; `\n` in them is a line break that the author wants."""
    if _SPECIAL.isdisjoint(text):
        return ((text, ink),) if text else ()
    return (
        _parse_cached_runs(text, ink) if len(text) <= _MAX_CACHED_LENGTH else _parse_runs(text, ink)
    )


def _parse_runs(text: str, ink: TextStyle) -> tuple[Run, ...]:
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
            _append_run(runs, f"[image: {token.content}]", ink._replace(part="link"))
            _append_target(runs, _link_target(token, "src"), ink)
        elif kind == "code_inline":
            _append_run(runs, token.content, ink._replace(part="code", ground="code"))
        else:
            _append_run(runs, _BREAKS.get(kind, token.content), ink)
        if kind == "link_open":
            targets.append("" if token.info == "auto" else _link_target(token, "href"))
        elif kind == "link_close":
            _append_target(runs, targets.pop(), inks[-1])
    return tuple(runs)


_BREAKS = {"softbreak": " ", "hardbreak": "\n"}
_OPENING: dict[str, Callable[[TextStyle], TextStyle]] = {
    "em_open": lambda ink: ink._replace(italic=True),
    "strong_open": lambda ink: ink._replace(bold=True),
    "s_open": lambda ink: ink._replace(strike=True),
    "link_open": lambda ink: ink._replace(part="link"),
}
_CLOSING = {"em_close", "strong_close", "s_close", "link_close"}
_parse_cached_runs = lru_cache(512)(_parse_runs)


def _append_run(runs: list[Run], text: str, ink: TextStyle) -> None:
    if not text:
        return
    if runs and runs[-1][1] == ink:
        runs[-1] = (runs[-1][0] + text, ink)
    else:
        runs.append((text, ink))


def _append_target(runs: list[Run], target: str, ink: TextStyle) -> None:
    if target and (not runs or runs[-1][0] != target):
        _append_run(runs, f" ({target})", ink._replace(part="quiet"))


def _link_target(token: Token, name: str) -> str:
    return str(token.attrs.get(name, ""))
