"""tmux between us and the terminal: what it lets through to the clipboard."""

import asyncio
from collections.abc import AsyncIterator, Mapping

from aitui.domain.checks import CheckResult, inconclusive_check, passing_check
from aitui.domain.clean import sanitize_line

TMUX = "tmux"
SET_CLIPBOARD = "tmux set-clipboard"
PASSTHROUGH = "tmux allow-passthrough"

_TMUX_TIMEOUT = 3.0


async def tmux_checks(environment: Mapping[str, str]) -> AsyncIterator[CheckResult]:
    """Version, `set-clipboard` and `allow-passthrough` of the tmux that we run in."""
    if not environment.get("TMUX"):
        yield inconclusive_check(TMUX, "we are not inside one")
        return
    version = await _query_tmux(
        environment, "display-message", "-p", "#{version}, #{client_termname}"
    )
    if version is None:
        yield inconclusive_check(
            TMUX, "TMUX is set, and it doesn't answer", "tmux display-message -p ok"
        )
        return
    yield passing_check(TMUX, version.rstrip(", "))
    clipboard = await _query_tmux(environment, "show-options", "-sv", "set-clipboard")
    seen = clipboard or "not known"
    if clipboard == "on":
        yield passing_check(SET_CLIPBOARD, seen)
    else:
        yield inconclusive_check(
            SET_CLIPBOARD, f"{seen}: copies go to tmux's buffer", "tmux set -s set-clipboard on"
        )
    through = await _query_tmux(environment, "show-options", "-gwv", "allow-passthrough")
    if through in {"on", "all"}:
        yield passing_check(PASSTHROUGH, through)
    else:
        seen = through or "not known to this version"
        yield inconclusive_check(
            PASSTHROUGH,
            f"{seen}: notifications stay inside tmux",
            "tmux set -wg allow-passthrough on",
        )


async def _query_tmux(environment: Mapping[str, str], *words: str) -> str | None:
    """What tmux answers on one line, None where it doesn't."""
    try:
        process = await asyncio.create_subprocess_exec(
            "tmux",
            *words,
            env=dict(environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError:  # TMUX came along from another machine, where it is installed
        return None
    try:
        async with asyncio.timeout(_TMUX_TIMEOUT):
            answer, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return None
    if process.returncode:
        return None
    return sanitize_line(answer.decode("utf-8", "replace").strip(), 120)
