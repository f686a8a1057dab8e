"""What the terminal can do, as far as its environment tells."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from aitui.commands.doctor.clipboard import describe_clipboard
from aitui.commands.doctor.tmux import tmux_checks
from aitui.domain.checks import CheckResult, CheckStatus, inconclusive_check, passing_check
from aitui.domain.clean import sanitize_line

SIZE = "terminal size"
COLORS = "terminal colours"
UNICODE = "terminal Unicode"
CLIPBOARD = "terminal clipboard (OSC 52)"

SMALLEST = (80, 24)


@dataclass(frozen=True, slots=True)
class TerminalInfo:
    """Columns and lines, None where there is no terminal; and the environment that tells of it."""

    size: tuple[int, int] | None
    environment: Mapping[str, str]


async def terminal_checks(terminal: TerminalInfo) -> AsyncIterator[CheckResult]:
    """One check where there is no terminal, else one for each thing that the dashboard uses."""
    if terminal.size is None:
        yield inconclusive_check("terminal", "there is none here: run aitui doctor in one to see")
        return
    environment = terminal.environment
    yield _size_check(*terminal.size)
    yield _color_check(environment)
    yield _unicode_check(environment)
    yield _clipboard_check(environment)
    async for check in tmux_checks(environment):
        yield check


def _size_check(columns: int, lines: int) -> CheckResult:
    seen = f"{columns}×{lines}"
    if columns >= SMALLEST[0] and lines >= SMALLEST[1]:
        return passing_check(SIZE, seen)
    wanted = f"enlarge it to {SMALLEST[0]}×{SMALLEST[1]}, or choose a smaller font"
    return CheckResult(SIZE, CheckStatus.FAILED, seen, wanted, 1)


def _color_check(environment: Mapping[str, str]) -> CheckResult:
    term = environment.get("TERM", "")
    more = "export COLORTERM=truecolor, where the terminal can show it"
    if environment.get("NO_COLOR"):
        return inconclusive_check(COLORS, "none: NO_COLOR is set; signs and words tell everything")
    if environment.get("COLORTERM", "").lower() in {"truecolor", "24bit"}:
        return passing_check(COLORS, "16 million (COLORTERM)")
    if term in {"", "dumb", "unknown"}:
        seen = f"TERM={term or '(unset)'} can't draw a screen"
        return CheckResult(COLORS, CheckStatus.FAILED, seen, "export TERM=xterm-256color", 1)
    if "256color" in term or "direct" in term:
        return passing_check(COLORS, f"256 (TERM={sanitize_line(term, 60)})", more)
    return inconclusive_check(COLORS, f"16, by TERM={sanitize_line(term, 60)}", more)


def _unicode_check(environment: Mapping[str, str]) -> CheckResult:
    variable, locale = next(
        (
            (name, environment[name])
            for name in ("LC_ALL", "LC_CTYPE", "LANG")
            if environment.get(name)
        ),
        ("LANG", ""),
    )
    seen = f"{variable}={sanitize_line(locale, 60) or '(unset)'}"
    remedy = "export LANG=C.UTF-8"
    charset = locale.partition(".")[2].partition("@")[0].lower().replace("-", "")
    if charset == "utf8":
        return passing_check(UNICODE, seen)
    if charset:
        return CheckResult(
            UNICODE, CheckStatus.FAILED, f"{seen} names another character set", remedy, 1
        )
    return inconclusive_check(UNICODE, f"{seen} doesn't tell", remedy)


def _clipboard_check(environment: Mapping[str, str]) -> CheckResult:
    if environment.get("TMUX"):
        return inconclusive_check(CLIPBOARD, "up to tmux: see there")
    able, words, remedy = describe_clipboard(environment)
    return passing_check(CLIPBOARD, words) if able else inconclusive_check(CLIPBOARD, words, remedy)
