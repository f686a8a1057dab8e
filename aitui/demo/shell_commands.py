"""The commands that the demo's host understands: those that aitui sends, and no shell."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aitui.demo.hardware_script import hardware_answer
from aitui.demo.machine_facts import facts_answer
from aitui.demo.stand_in import StandIn
from aitui.demo.unit import COMMAND, UNIT, UNIT_PATH, UNIT_TEXT, DemoUnit

ACCOUNT = "ai-server"
_STARTED = re.compile(r'echo "(?P<mark>[^"$]*) \$\$"; exec "\$@"')
_LINES = re.compile(r"--lines=(\d{1,4})")
_PROPERTIES = re.compile(r"(?:--property=|-p=?)(?P<names>[A-Za-z,]+)")


@dataclass(frozen=True, slots=True)
class Reply:
    """How a command ended, and what it wrote."""

    status: int = 0
    output: str = ""
    complaint: str = ""


class ShellCommands:
    """Answers command lines for the unit and the machine of the demo."""

    def __init__(self, unit: DemoUnit, server: StandIn) -> None:
        self._unit = unit
        self._server = server
        self._last_number = 4000

    async def answer(self, command: str) -> Reply:
        """Do what a command line asks for; 127 for what isn't known, as a shell has it."""
        try:
            words = shlex.split(command)
        except ValueError as error:
            return Reply(2, complaint=f"sh: 1: Syntax error: {error}\n")
        if words[:1] == ["exec"]:
            del words[0]
        before = ""
        if words[:2] == ["sh", "-c"] and len(words) > 3:
            started = _STARTED.fullmatch(words[2])
            if started is not None:
                self._last_number += 1
                before = f"{started['mark']} {self._last_number}\n"
                words = words[4:]
        reply = await self._run(_without_surroundings(words))
        return Reply(reply.status, before + reply.output, reply.complaint)

    async def _run(self, words: list[str]) -> Reply:
        name, *rest = words or [""]
        programs: dict[str, Callable[[list[str]], Awaitable[Reply]]] = {
            "systemctl": self._systemctl,
            "journalctl": self._journalctl,
            "loginctl": self._loginctl,
            "id": self._id,
            "cat": self._cat,
            "sh": self._script,
        }
        if name not in programs:
            return Reply(127, complaint=f"sh: 1: {name}: not found\n")
        return await programs[name](rest)

    async def _systemctl(self, words: list[str]) -> Reply:
        if words[:1] != ["--user"]:
            return Reply(1, complaint="Failed to connect to bus: Permission denied\n")
        verb, *rest = [word for word in words[1:] if word != "--no-pager"] or [""]
        unit = rest[-1] if rest else ""
        verbs: dict[str, Callable[[list[str]], Awaitable[Reply]]] = {
            "restart": self._restart,
            "cat": self._unit_text,
            "status": self._status,
        }
        if verb == "list-unit-files":
            return Reply(output=f"{UNIT} enabled enabled\n")
        if verb == "show":
            return self._show(rest, unit)
        if verb not in verbs:
            return Reply(1, complaint=f"Unknown command verb '{verb}'.\n")
        if unit != UNIT:
            return Reply(5, complaint=f"Failed to {verb} {unit}: Unit {unit} not found.\n")
        return await verbs[verb](rest)

    def _show(self, options: list[str], unit: str) -> Reply:
        known = self._unit.properties()
        if unit != UNIT:
            known = {"Id": unit, "LoadState": "not-found", "ActiveState": "inactive"}
        wanted = next(
            (match["names"] for text in options if (match := _PROPERTIES.match(text))), ""
        )
        names = wanted.split(",") if wanted else list(known)
        return Reply(output="".join(f"{name}={known.get(name, '')}\n" for name in names))

    async def _restart(self, _options: list[str]) -> Reply:
        await self._unit.restart()
        return Reply()

    async def _unit_text(self, _options: list[str]) -> Reply:
        return Reply(output=f"# {UNIT_PATH}\n{UNIT_TEXT}")

    async def _status(self, options: list[str]) -> Reply:
        state = self._unit.properties()
        head = [
            f"{UNIT} - llama-swap",
            f"     Active: {state['ActiveState']} ({state['SubState']})",
        ]
        lines = [*head, "", *self._unit.journal(_lines_of(options))]
        return Reply(0 if self._unit.main_pid else 3, "\n".join(lines) + "\n")

    async def _journalctl(self, options: list[str]) -> Reply:
        if f"_SYSTEMD_USER_UNIT={UNIT}" not in options:
            return Reply()
        return Reply(output="".join(f"{line}\n" for line in self._unit.journal(_lines_of(options))))

    async def _loginctl(self, _words: list[str]) -> Reply:
        return Reply(output="Linger=yes\n")

    async def _id(self, options: list[str]) -> Reply:
        # Its files are those of whoever runs the demo.
        number = os.getgid() if "-G" in options else os.getuid()
        return Reply(output=f"{ACCOUNT if '-un' in options else number}\n")

    async def _cat(self, words: list[str]) -> Reply:
        path = words[-1] if words else ""
        if self._unit.main_pid and path == f"/proc/{self._unit.main_pid}/cmdline":
            return Reply(output="\0".join((*COMMAND, "")))
        return Reply(1, complaint=f"cat: {path}: No such file or directory\n")

    async def _script(self, words: list[str]) -> Reply:
        script = words[1] if words[:1] == ["-c"] and len(words) > 1 else ""
        if "/etc/os-release" in script:
            return Reply(output=facts_answer(script, self._server.cards.cards))
        if "nvidia-smi --query-gpu=" in script:
            return Reply(output=hardware_answer(script, words[2:], self._server))
        if "kill -s HUP " in script:
            sent = await self._unit.reload()
            return Reply(output=f"sent {self._unit.main_pid}\n" if sent else "found 0\n")
        if script.startswith("kill "):
            return Reply()
        return Reply(127, complaint="sh: 1: not found\n")


def _without_surroundings(words: list[str]) -> list[str]:
    if words[:1] != ["env"]:
        return words
    at = 1
    while at < len(words) and "=" in words[at]:
        at += 1
    return words[at:]


def _lines_of(options: list[str]) -> int:
    found = next((match for text in options if (match := _LINES.fullmatch(text))), None)
    return int(found[1]) if found else 10
