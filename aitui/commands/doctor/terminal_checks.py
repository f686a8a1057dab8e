"""What the terminal can do, as far as its environment tells."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from aitui.commands.doctor.clipboard import clipboard_words
from aitui.commands.doctor.tmux import tmux_checks
from aitui.domain.checks import Check, Status, left_open, passed
from aitui.domain.clean import clean_line

SIZE = "terminal size"
COLOURS = "terminal colours"
UNICODE = "terminal Unicode"
CLIPBOARD = "terminal clipboard (OSC 52)"

SMALLEST = (80, 24)


@dataclass(frozen=True, slots=True)
class Terminal:
    """Columns and lines, None where there is no terminal; and the environment that tells of it."""

    size: tuple[int, int] | None
    environment: Mapping[str, str]


async def terminal_checks(terminal: Terminal) -> AsyncIterator[Check]:
    """One check where there is no terminal, else one for each thing that the dashboard uses."""
    if terminal.size is None:
        yield left_open("terminal", "there is none here: run aitui doctor in one to see")
        return
    environment = terminal.environment
    yield _size(*terminal.size)
    yield _colours(environment)
    yield _unicode(environment)
    yield _clipboard(environment)
    async for check in tmux_checks(environment):
        yield check


def _size(columns: int, lines: int) -> Check:
    seen = f"{columns}×{lines}"
    if columns >= SMALLEST[0] and lines >= SMALLEST[1]:
        return passed(SIZE, seen)
    wanted = f"enlarge it to {SMALLEST[0]}×{SMALLEST[1]}, or choose a smaller font"
    return Check(SIZE, Status.FAILED, seen, wanted, 1)


def _colours(environment: Mapping[str, str]) -> Check:
    term = environment.get("TERM", "")
    more = "export COLORTERM=truecolor, where the terminal can show it"
    if environment.get("NO_COLOR"):
        return left_open(COLOURS, "none: NO_COLOR is set; signs and words tell everything")
    if environment.get("COLORTERM", "").lower() in {"truecolor", "24bit"}:
        return passed(COLOURS, "16 million (COLORTERM)")
    if term in {"", "dumb", "unknown"}:
        seen = f"TERM={term or '(unset)'} can't draw a screen"
        return Check(COLOURS, Status.FAILED, seen, "export TERM=xterm-256color", 1)
    if "256color" in term or "direct" in term:
        return passed(COLOURS, f"256 (TERM={clean_line(term, 60)})", more)
    return left_open(COLOURS, f"16, by TERM={clean_line(term, 60)}", more)


def _unicode(environment: Mapping[str, str]) -> Check:
    variable, locale = next(
        (
            (name, environment[name])
            for name in ("LC_ALL", "LC_CTYPE", "LANG")
            if environment.get(name)
        ),
        ("LANG", ""),
    )
    seen = f"{variable}={clean_line(locale, 60) or '(unset)'}"
    remedy = "export LANG=C.UTF-8"
    charset = locale.partition(".")[2].partition("@")[0].lower().replace("-", "")
    if charset == "utf8":
        return passed(UNICODE, seen)
    if charset:
        return Check(UNICODE, Status.FAILED, f"{seen} names another character set", remedy, 1)
    return left_open(UNICODE, f"{seen} doesn't tell", remedy)


def _clipboard(environment: Mapping[str, str]) -> Check:
    if environment.get("TMUX"):
        return left_open(CLIPBOARD, "up to tmux: see there")
    able, words, remedy = clipboard_words(environment)
    return passed(CLIPBOARD, words) if able else left_open(CLIPBOARD, words, remedy)
