"""The systemd user unit: a new one, or the faulty lines of one that exists."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from msgspec import Struct

from aitui.domain.checks import CheckResult, defect_check, inconclusive_check, passing_check
from aitui.domain.snapshot import Server
from aitui.errors import HostError
from aitui.host.base import display_path
from aitui.host.unit import UnitInfo, server_flags
from aitui.host.unit_file import find_faults, new_unit, repair_unit
from aitui.services.host_admin import HostAdmin
from aitui.services.setup.files import FilePlan, plan_file, write_file
from aitui.services.setup.survey import find_programs

PROGRAM = "~/bin/llama-swap"
_SETTLING_SECONDS = 1.0
"""How long a service has to run before it counts as started, even if something listens at once."""
_LISTENING_SECONDS = 20.0
_POLL_INTERVAL = 0.1
_PORT = 8080
"""Where llama-swap listens if nothing else is set."""


class UnitPlan(Struct, frozen=True):
    """The unit's file, its state, and its program that is missing, "" if it is there."""

    file: FilePlan
    facts: UnitInfo
    missing: str = ""

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
        "loginctl enable-linger\n"
    )


def listen_address(server: Server) -> str:
    """Return where llama-swap has to listen for this URL: behind a proxy on every address."""
    parts = urlsplit(server.url)
    if parts.scheme == "https":
        return "0.0.0.0:8080"
    host = parts.hostname or ""
    is_loopback = host == "localhost" or host.startswith("127.") or host == "::1"
    return f"{'127.0.0.1' if is_loopback else '0.0.0.0'}:{parts.port or 80}"  # noqa: S104


def describe_new_unit(server: Server, program: str = PROGRAM) -> str:
    """Return the text of a unit for a server without one."""
    return new_unit(program, listen_address(server), server.preset_path)


async def plan_unit(admin: HostAdmin) -> UnitPlan:
    """Read the unit that exists, and plan its repair, or plan a new one. Raises HostError."""
    facts = await admin.service.facts()
    path = facts.fragment_path or unit_path(admin.service.unit)
    found = await find_programs(admin.host, "llama-swap")
    program = found[0] if found else PROGRAM

    def edit(text: str | None) -> str:
        return describe_new_unit(admin.server, program) if text is None else repair_unit(text)

    file = await plan_file(admin.host, path, edit, admin.clock)
    own = facts.program
    if not own or not facts.exists:
        return UnitPlan(file, facts, "" if found else PROGRAM)
    there = await admin.host.run(("test", "-x", own))
    return UnitPlan(file, facts, own if there.status else "")


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
    listen = (server_flags(facts.exec_start) or {}).get("listen", "")
    port = listen.rpartition(":")[2]
    pattern = f":{int(port) if port.isdecimal() else _PORT:04X} [0-9A-F]*:0000 0A"
    while True:
        await asyncio.sleep(_POLL_INTERVAL)
        failure = await admin.service.find_failure()
        if failure is not None:
            raise failure
        waited = admin.clock.monotonic() - since
        listens = await admin.host.run(("grep", "-q", pattern, "/proc/net/tcp", "/proc/net/tcp6"))
        if waited > (_LISTENING_SECONDS if listens.status else _SETTLING_SECONDS):
            return not listens.status


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
