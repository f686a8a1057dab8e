"""tmux between us and the terminal: what it lets through to the clipboard."""

import asyncio
from collections.abc import AsyncIterator, Mapping

from aitui.domain.checks import Check, left_open, passed
from aitui.domain.clean import clean_line

TMUX = "tmux"
SET_CLIPBOARD = "tmux set-clipboard"
PASSTHROUGH = "tmux allow-passthrough"

_ANSWERS_WITHIN = 3.0


async def tmux_checks(environment: Mapping[str, str]) -> AsyncIterator[Check]:
    """Version, `set-clipboard` and `allow-passthrough` of the tmux that we run in."""
    if not environment.get("TMUX"):
        yield left_open(TMUX, "we are not inside one")
        return
    version = await _asked(environment, "display-message", "-p", "#{version}, #{client_termname}")
    if version is None:
        yield left_open(TMUX, "TMUX is set, and it doesn't answer", "tmux display-message -p ok")
        return
    yield passed(TMUX, version.rstrip(", "))
    clipboard = await _asked(environment, "show-options", "-sv", "set-clipboard")
    seen = clipboard or "not known"
    if clipboard == "on":
        yield passed(SET_CLIPBOARD, seen)
    else:
        yield left_open(
            SET_CLIPBOARD, f"{seen}: copies go to tmux's buffer", "tmux set -s set-clipboard on"
        )
    through = await _asked(environment, "show-options", "-gwv", "allow-passthrough")
    if through in {"on", "all"}:
        yield passed(PASSTHROUGH, through)
    else:
        seen = through or "not known to this version"
        yield left_open(
            PASSTHROUGH,
            f"{seen}: notifications stay inside tmux",
            "tmux set -wg allow-passthrough on",
        )


async def _asked(environment: Mapping[str, str], *words: str) -> str | None:
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
        async with asyncio.timeout(_ANSWERS_WITHIN):
            answer, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return None
    if process.returncode:
        return None
    return clean_line(answer.decode("utf-8", "replace").strip(), 120)
