"""The systemd user unit: a new one, or the faulty lines of one that exists."""

import asyncio
import shlex
from collections.abc import AsyncIterator, Sequence

from msgspec import Struct

from aitui.domain.checks import CheckResult, defect_check, inconclusive_check, passing_check
from aitui.domain.server import LISTEN_PORT, Server
from aitui.domain.setup.programs import LLAMA_SWAP_PATH
from aitui.errors import HostError
from aitui.host.base import Host, display_path
from aitui.host.unit import UnitInfo, server_flags
from aitui.host.unit_file import find_faults, new_unit, parse_settings, repair_unit
from aitui.services.host_admin import HostAdmin
from aitui.services.setup.files import FilePlan, plan_file, write_file
from aitui.services.setup.survey import find_programs

_SETTLING_SECONDS = 1.0
"""How long a service has to run before it counts as started, even if something listens at once."""
_LISTENING_SECONDS = 20.0
_POLL_INTERVAL = 0.1


class UnitPlan(Struct, frozen=True):
    """The unit's file, its state, and its program that is missing, "" if it is there.

    `taken` is the port at which something listens that isn't this unit, 0 if it is free.
    """

    file: FilePlan
    facts: UnitInfo
    missing: str = ""
    taken: int = 0

    @property
    def findings(self) -> tuple[CheckResult, ...]:
        """What is wrong with the unit that exists, and with its program."""
        found = [
            defect_check("unit", fault.what, "") for fault in find_faults(self.file.text_before)
        ]
        if self.facts.exists and not self.file.is_change:
            found.append(passing_check("unit", f"{display_path(self.file.path)} needs no change"))
        if self.missing:
            remedy = "aitui setup server prints how to install it"
            found.append(defect_check("program", f"{self.missing} is missing", remedy))
        if self.taken:
            seen = f"something that isn't this unit listens at {self.taken}"
            remedy = f"stop it first: sudo ss -ltnp 'sport = :{self.taken}' names it"
            found.append(defect_check("port", seen, remedy))
        return tuple(found)

    @property
    def commands(self) -> str:
        """The shell commands that do the same by hand."""
        write = self.file.commands if self.file.is_change else ""
        return write + unit_commands(self.facts.unit)


def unit_path(unit: str) -> str:
    """Return the path of a user's own unit."""
    return f"~/.config/systemd/user/{unit}"


def unit_commands(unit: str) -> str:
    """Return the shell commands that start a unit now, at each boot, and without a login."""
    return (
        "systemctl --user daemon-reload\n"
        f"systemctl --user enable --now {unit}\n"
        "loginctl enable-linger $USER\n"
    )


def listen_address(server: Server) -> str:
    """Return where llama-swap has to listen for this URL: behind a proxy on every address."""
    if server.url.startswith("https:"):
        return f"0.0.0.0:{LISTEN_PORT}"
    return f"{'127.0.0.1' if server.is_loopback else '0.0.0.0'}:{server.port}"  # noqa: S104


def describe_new_unit(server: Server, program: str = LLAMA_SWAP_PATH) -> str:
    """Return the text of a unit for a server without one."""
    return new_unit(program, listen_address(server), server.preset_path)


async def plan_unit(admin: HostAdmin) -> UnitPlan:
    """Read the unit that exists, and plan its repair, or plan a new one. Raises HostError."""
    facts = await admin.service.facts()
    path = facts.fragment_path or unit_path(admin.service.unit)
    found = await find_programs(admin.host, "llama-swap")
    program = found[0] if found else LLAMA_SWAP_PATH

    def edit(text: str | None) -> str:
        return describe_new_unit(admin.server, program) if text is None else repair_unit(text)

    file = await plan_file(admin.host, path, edit, admin.clock)
    missing, own = "" if found else LLAMA_SWAP_PATH, facts.program
    if own and facts.exists:
        missing = own if (await admin.host.run(("test", "-x", own))).status else ""
    port = _listen_port(_command_of(file.after))
    # A system unit, a container, or one started by hand: a second llama-swap would fail beside it.
    is_taken = not facts.running and await _is_listening(admin.host, port)
    return UnitPlan(file, facts, missing, port if is_taken else 0)


async def apply_unit(admin: HostAdmin, plan: UnitPlan) -> AsyncIterator[CheckResult]:
    """Write the unit, start it now and at each boot, and let it run without a login.

    Yields each step. Raises HostError, with the reason from the unit's journal if it doesn't stay up.
    """
    if plan.file.is_change:
        warnings = await write_file(admin.host, plan.file, admin.clock)
        yield passing_check("unit", f"{display_path(plan.file.path)} is written")
        for warning in warnings:
            yield inconclusive_check("unit", warning)
    was_running = plan.facts.running
    facts = await admin.service.install()
    listens = await _settle(admin, facts)
    again = "aitui restart applies it to the running process" if was_running else ""
    again = again if plan.file.is_change else ""
    if listens:
        yield passing_check("service", f"{facts.unit} is running and starts at boot", again)
    else:
        seen = f"{facts.unit} is running, but nothing listens on its port yet"
        yield inconclusive_check("service", seen, f"journalctl --user -u {facts.unit}")
    yield await _linger_check(admin, facts)
    for fault in await admin.service.faults():
        yield defect_check("drop-in", fault.what, fault.remedy)


async def _settle(admin: HostAdmin, facts: UnitInfo) -> bool:
    """Wait until the service listens; raise why it doesn't stay up. False if it still doesn't listen."""
    since = admin.clock.monotonic()
    port = _listen_port(facts.exec_start)
    while True:
        await asyncio.sleep(_POLL_INTERVAL)
        failure = await admin.service.find_failure()
        if failure is not None:
            raise failure
        waited = admin.clock.monotonic() - since
        listens = await _is_listening(admin.host, port)
        if waited > (_SETTLING_SECONDS if listens else _LISTENING_SECONDS):
            return listens


def _command_of(text: str) -> tuple[str, ...]:
    """Return the words of a unit's ExecStart."""
    starts = (one.value for one in parse_settings(text) if one.name == "ExecStart")
    try:
        return tuple(shlex.split(next(starts, "")))
    except ValueError:
        return ()


def _listen_port(words: Sequence[str]) -> int:
    port = (server_flags(words) or {}).get("listen", "").rpartition(":")[2]
    return int(port) if port.isdecimal() else LISTEN_PORT


async def _is_listening(host: Host, port: int) -> bool:
    pattern = f":{port:04X} [0-9A-F]*:0000 0A"
    done = await host.run(("grep", "-q", pattern, "/proc/net/tcp", "/proc/net/tcp6"))
    return not done.status


async def _linger_check(admin: HostAdmin, facts: UnitInfo) -> CheckResult:
    if facts.linger:
        return passing_check("linger", "on: it runs without a login")
    why = await admin.service.enable_linger()
    try:
        linger = (await admin.service.facts()).linger
    except HostError:
        linger = None
    if linger:
        return passing_check("linger", "on: it runs without a login")
    remedy = f"on {admin.host.label}: sudo loginctl enable-linger $USER"
    return defect_check("linger", f"off: it stops at logout; {why}", remedy)
