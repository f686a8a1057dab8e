"""The commands of the demo's host: those that aitui sends, without a shell."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Awaitable, Callable

from msgspec import Struct

from aitui.demo.hardware_script import hardware_output
from aitui.demo.machine_facts import host_facts_output
from aitui.demo.stand_in import StandIn
from aitui.demo.unit import COMMAND, UNIT, UNIT_PATH, UNIT_TEXT, DemoUnit

ACCOUNT = "ai-server"
_START_MARK = re.compile(r'echo "(?P<mark>[^"$]*) \$\$"; ')
_LINES = re.compile(r"--lines=(\d{1,4})")
_PROPERTIES = re.compile(r"(?:--property=|-p=?)(?P<names>[A-Za-z,]+)")


class ShellResult(Struct, frozen=True):
    """How a command ended, and what it wrote."""

    status: int = 0
    stdout: str = ""
    stderr: str = ""


class ShellCommands:
    """Answers command lines for the unit and the machine of the demo."""

    def __init__(self, unit: DemoUnit, server: StandIn) -> None:
        self._unit = unit
        self._server = server
        self._last_pid = 4000

    async def respond(self, command: str) -> ShellResult:
        """Run a command line; 127 for an unknown command, as in a shell."""
        before = ""
        if started := _START_MARK.match(command):
            self._last_pid += 1
            before = f"{started['mark']} {self._last_pid}\n"
            command = command[started.end() :].removesuffix(" </dev/null\n")
        try:
            words = shlex.split(command)
        except ValueError as error:
            return ShellResult(2, stderr=f"sh: 1: Syntax error: {error}\n")
        if words[:1] == ["exec"]:
            del words[0]
        reply = await self._run(_strip_env(words))
        return ShellResult(reply.status, before + reply.stdout, reply.stderr)

    async def _run(self, words: list[str]) -> ShellResult:
        name, *rest = words or [""]
        programs: dict[str, Callable[[list[str]], Awaitable[ShellResult]]] = {
            "systemctl": self._systemctl,
            "journalctl": self._journalctl,
            "loginctl": self._loginctl,
            "id": self._id,
            "cat": self._cat,
            "sh": self._script,
        }
        if name not in programs:
            return ShellResult(127, stderr=f"sh: 1: {name}: not found\n")
        return await programs[name](rest)

    async def _systemctl(self, words: list[str]) -> ShellResult:
        if words[:1] != ["--user"]:
            return ShellResult(1, stderr="Failed to connect to bus: Permission denied\n")
        verb, *rest = [word for word in words[1:] if word != "--no-pager"] or [""]
        unit = rest[-1] if rest else ""
        verbs: dict[str, Callable[[list[str]], Awaitable[ShellResult]]] = {
            "restart": self._restart,
            "cat": self._cat_unit,
            "status": self._status,
        }
        if verb == "list-unit-files":
            return ShellResult(stdout=f"{UNIT} enabled enabled\n")
        if verb == "show":
            return self._show(rest, unit)
        if verb not in verbs:
            return ShellResult(1, stderr=f"Unknown command verb '{verb}'.\n")
        if unit != UNIT:
            return ShellResult(5, stderr=f"Failed to {verb} {unit}: Unit {unit} not found.\n")
        return await verbs[verb](rest)

    def _show(self, options: list[str], unit: str) -> ShellResult:
        known = self._unit.properties()
        if unit != UNIT:
            known = {"Id": unit, "LoadState": "not-found", "ActiveState": "inactive"}
        wanted = next(
            (match["names"] for text in options if (match := _PROPERTIES.match(text))), ""
        )
        names = wanted.split(",") if wanted else list(known)
        return ShellResult(stdout="".join(f"{name}={known.get(name, '')}\n" for name in names))

    async def _restart(self, _options: list[str]) -> ShellResult:
        await self._unit.restart()
        return ShellResult()

    async def _cat_unit(self, _options: list[str]) -> ShellResult:
        return ShellResult(stdout=f"# {UNIT_PATH}\n{UNIT_TEXT}")

    async def _status(self, options: list[str]) -> ShellResult:
        state = self._unit.properties()
        head = [
            f"{UNIT} - llama-swap",
            f"     Active: {state['ActiveState']} ({state['SubState']})",
        ]
        lines = [*head, "", *self._unit.journal(_line_count(options))]
        return ShellResult(0 if self._unit.main_pid else 3, "\n".join(lines) + "\n")

    async def _journalctl(self, options: list[str]) -> ShellResult:
        if f"_SYSTEMD_USER_UNIT={UNIT}" not in options:
            return ShellResult()
        since = next((float(word[9:]) for word in options if word.startswith("--since=@")), 0.0)
        lines = self._unit.journal(_line_count(options), since)
        return ShellResult(stdout="".join(f"{line}\n" for line in lines))

    async def _loginctl(self, _words: list[str]) -> ShellResult:
        return ShellResult(stdout="Linger=yes\n")

    async def _id(self, options: list[str]) -> ShellResult:
        # Its files belong to the user who runs the demo.
        number = os.getgid() if "-G" in options else os.getuid()
        return ShellResult(stdout=f"{ACCOUNT if '-un' in options else number}\n")

    async def _cat(self, words: list[str]) -> ShellResult:
        path = words[-1] if words else ""
        if self._unit.main_pid and path == f"/proc/{self._unit.main_pid}/cmdline":
            return ShellResult(stdout="\0".join((*COMMAND, "")))
        return ShellResult(1, stderr=f"cat: {path}: No such file or directory\n")

    async def _script(self, words: list[str]) -> ShellResult:
        script = words[1] if words[:1] == ["-c"] and len(words) > 1 else ""
        if "/etc/os-release" in script:
            return ShellResult(stdout=host_facts_output(script, self._server.cards.cards))
        if "nvidia-smi --query-gpu=" in script:
            return ShellResult(stdout=hardware_output(script, words[2:], self._server))
        if "kill -s HUP " in script:
            sent = await self._unit.reload()
            return ShellResult(stdout=f"sent {self._unit.main_pid}\n" if sent else "found 0\n")
        if script.startswith("kill "):
            return ShellResult()
        return ShellResult(127, stderr="sh: 1: not found\n")


def _strip_env(words: list[str]) -> list[str]:
    if words[:1] != ["env"]:
        return words
    at = 1
    while at < len(words) and "=" in words[at]:
        at += 1
    return words[at:]


def _line_count(options: list[str]) -> int:
    found = next((match for text in options if (match := _LINES.fullmatch(text))), None)
    return int(found[1]) if found else 10
