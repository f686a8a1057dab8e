"""`aitui setup`: what belongs on the server's machines is printed as shell commands, or put there."""

import asyncio
import os
import platform
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

from msgspec.structs import replace

from aitui.cli.arguments import Arguments
from aitui.cli.config import TerminalFrontend, require_success
from aitui.cli.output import print_lines
from aitui.cli.session import terminal_ask
from aitui.domain.checks import CheckResult, exit_code, inconclusive_check, passing_check
from aitui.domain.config.key_edit import change_global_ttl
from aitui.domain.confirmation import Confirmation
from aitui.domain.sanitize import sanitize_text
from aitui.domain.server import LISTEN_PORT
from aitui.domain.setup.browser import FLATPAK_COMMANDS, FLATPAK_STORE
from aitui.domain.setup.first_config import NewModel, first_config
from aitui.domain.setup.programs import (
    LLAMA_SERVER_PATH,
    llama_server_commands,
    llama_swap_commands,
)
from aitui.domain.setup.shell import write_commands
from aitui.domain.snapshot import Clock, Server, Snapshot
from aitui.errors import ActionRefused, HostError
from aitui.format.doctor import as_lines
from aitui.host.local import LocalHost
from aitui.host.open import LOCAL
from aitui.host.ssh.address import SshAddress
from aitui.paths import Paths
from aitui.services.config_change import ConfigRunner
from aitui.services.config_plan import ChangePlan, plan_change
from aitui.services.host_admin import HostAdmin, no_host_error, open_administration
from aitui.services.setup.browser import fill_store, find_stores, read_browser_setup
from aitui.services.setup.caddy import apply_caddy, caddy_commands, default_upstream, plan_caddy
from aitui.services.setup.config import plan_config, write_new_config
from aitui.services.setup.files import FilePlan
from aitui.services.setup.idle import find_unload_jobs
from aitui.services.setup.server import install_llama_swap, survey_server
from aitui.services.setup.unit import (
    apply_unit,
    describe_new_unit,
    plan_unit,
    unit_commands,
    unit_path,
)
from aitui.settings import Settings, require_server, server_at
from aitui.settings.raw import RawValue
from aitui.settings.values import read_ssh_host

Part: TypeAlias = "Callable[[SetupTerminal, HostAdmin | None], Awaitable[int]]"


class SetupTerminal:
    """One `aitui setup`: commands go to standard output, everything about them to standard error."""

    def __init__(self, arguments: Arguments, server: Server) -> None:
        self.arguments = arguments
        self.server = server
        self._ask = terminal_ask(arguments, Snapshot)

    def print_commands(self, label: str, commands: str) -> None:
        """Print shell commands under the name of the machine that they are for."""
        print(sanitize_text(f"# on {label}\n{commands}"), end="")

    def show(self, *checks: CheckResult) -> None:
        """Print what was found or done."""
        for check in checks:
            print_lines(as_lines(check), sys.stderr)

    async def confirm(
        self, title: str, yes: str, *facts: str, file: FilePlan | None = None
    ) -> None:
        """Show what would change, and ask. Raises ActionRefused if the answer is no."""
        diff = file.diff if file is not None and file.is_change else ""
        if diff:
            print(diff, file=sys.stderr)
        if not await self._ask(lambda _: Confirmation(title, facts, yes=yes)):
            raise ActionRefused("Nothing was changed: you answered no")

    async def finish(self, steps: AsyncIterator[CheckResult]) -> int:
        """Print steps as they end; return the exit status."""
        done = []
        async for check in steps:
            done.append(check)
            self.show(check)
        return exit_code(done)


def choose_server(arguments: Arguments, settings: Settings, home: Path) -> Server:
    """Return the server that is set up, on the machine of `--ssh-host` if that is given.

    A machine may be set up before any server is named. Raises SettingsError.
    """
    needs_url = arguments.action in {"caddy", "browser"}
    if not arguments.ssh_host:
        return require_server(settings)
    address = read_ssh_host(RawValue.from_flag("--ssh-host", arguments.ssh_host))
    if needs_url or settings.has_server:
        server = require_server(settings)
    else:
        name = "127.0.0.1" if address == LOCAL else SshAddress.read(address).host
        server = server_at(f"http://{name}:{LISTEN_PORT}", home, settings.server)
    if needs_url:
        return replace(server, proxy_ssh_host=address)
    return replace(server, ssh_host=address)


async def run_setup(arguments: Arguments, server: Server, paths: Paths) -> int:
    """Print a part of the set-up, or put it in its place; return the exit status.

    Without a host, and if the host can't be reached, what is printed is for a new machine.
    """
    terminal, part = SetupTerminal(arguments, server), _PARTS[arguments.action]
    if arguments.apply:
        server.refuse_if_read_only(f"aitui setup {arguments.action} --apply")
    place = server
    if part is _caddy:
        place = replace(server, ssh_host=server.proxy_ssh_host)
        if arguments.apply and not place.ssh_host:
            raise ActionRefused(
                f"The machine of the proxy of {server.label} is unknown",
                why="proxy files are never written to ssh_host",
                remedy="set proxy_ssh_host in config.toml or AI_SERVER_PROXY_SSH_HOST",
            )
    if part is _browser:
        return await part(terminal, None)
    if not place.ssh_host:
        if arguments.apply:
            raise no_host_error(server)
        return await part(terminal, None)
    async with open_administration(place, paths, Clock.of_system()) as admin:
        try:
            return await part(terminal, admin)
        except HostError as error:
            if arguments.apply:
                raise
            print(f"{error}\nthe output below is for a new machine", file=sys.stderr)
            return await part(terminal, None)


async def _server(terminal: SetupTerminal, admin: HostAdmin | None) -> int:
    if admin is None:
        commands = llama_swap_commands("Linux", platform.machine()) + llama_server_commands("")
        terminal.print_commands(_NEW_MACHINE, commands)
        return 0
    survey = await survey_server(admin.host)
    terminal.show(*survey.checks)
    if terminal.arguments.apply and survey.llama_swap:
        title = f"Install llama-swap on {admin.host.label}?"
        await terminal.confirm(title, "Install", *survey.llama_swap.splitlines())
        status = await terminal.finish(install_llama_swap(admin.host, survey))
        if survey.llama_server:
            terminal.print_commands(admin.host.label, survey.llama_server)
        return status
    if survey.commands:
        terminal.print_commands(admin.host.label, survey.commands)
    return exit_code(survey.checks)


async def _unit(terminal: SetupTerminal, admin: HostAdmin | None) -> int:
    server = terminal.server
    if admin is None:
        text = write_commands(unit_path(server.service_unit), describe_new_unit(server))
        terminal.print_commands(_NEW_MACHINE, text + unit_commands(server.service_unit))
        return 0
    plan = await plan_unit(admin)
    terminal.show(*plan.findings)
    if not terminal.arguments.apply:
        terminal.print_commands(admin.host.label, plan.commands)
        return 0
    if plan.taken:
        raise ActionRefused("Nothing was changed", why=f"port {plan.taken} there is in use")
    verb = "Change" if plan.facts.exists else "Write"
    await terminal.confirm(
        f"{verb} {plan.file.path} on {admin.host.label}, and start it?",
        verb,
        "systemctl --user daemon-reload, enable and start; loginctl enable-linger",
        file=plan.file,
    )
    return await terminal.finish(apply_unit(admin, plan))


async def _config(terminal: SetupTerminal, admin: HostAdmin | None) -> int:
    arguments, server = terminal.arguments, terminal.server
    if admin is None:
        example = NewModel(
            "/models/MODEL.gguf", 8192, "an example: aitui reads your files over SSH"
        )
        text = write_commands(server.preset_path, first_config([example], LLAMA_SERVER_PATH))
        terminal.print_commands(_NEW_MACHINE, text)
        return 0
    plan = await plan_config(admin, arguments.models)
    terminal.show(*(inconclusive_check("config", note) for note in plan.notes))
    label, path = admin.host.label, plan.file.path
    if not plan.file.is_change:
        terminal.show(passing_check("config", f"{path} needs no change"))
    elif not arguments.apply:
        print(plan.file.diff if plan.change else "", end="", file=sys.stderr)
        terminal.print_commands(label, plan.file.commands)
    elif plan.change is None:
        await terminal.confirm(f"Write {path} on {label}?", "Write", file=plan.file)
        await write_new_config(admin, plan)
        terminal.show(passing_check("config", f"wrote {path}", "aitui setup unit --apply"))
    else:
        remedy = (
            "aitui setup unit --apply starts llama-swap with it; if it is running: aitui reload"
        )
        await _change_config(terminal, admin, plan.change, remedy)
    return 0


async def _change_config(
    terminal: SetupTerminal, admin: HostAdmin, plan: ChangePlan, remedy: str
) -> None:
    """Show and confirm a change of the config file, and write it; the server isn't asked."""
    if terminal.arguments.yes:
        print(plan.change.diff, file=sys.stderr)
    frontend = TerminalFrontend(terminal.arguments, None)
    require_success(await ConfigRunner(admin, None, frontend).change(plan), "Not changed")
    terminal.show(passing_check("config", f"changed {admin.config.path}", remedy))


async def _idle(terminal: SetupTerminal, admin: HostAdmin | None) -> int:
    ttl = terminal.arguments.ttl
    if admin is None:
        line = f"# at the top of {terminal.server.preset_path}:\n# globalTTL: {ttl}\n"
        terminal.print_commands(_NEW_MACHINE, line)
        return 0
    jobs = await find_unload_jobs(admin.host)
    terminal.show(*(job.finding for job in jobs))
    if not jobs:
        terminal.show(passing_check("jobs", "no cron line or timer unloads models"))
    plan = await plan_change(admin, lambda document: change_global_ttl(document, ttl))
    file = FilePlan(admin.config.path, plan.reading, plan.change.after)
    if not file.is_change:
        terminal.show(passing_check("config", f"globalTTL is already {ttl}"))
    elif terminal.arguments.apply:
        await _change_config(terminal, admin, plan, "apply it: aitui reload")
    else:
        print(file.diff, file=sys.stderr)
        terminal.print_commands(admin.host.label, file.commands)
    return 0


async def _caddy(terminal: SetupTerminal, admin: HostAdmin | None) -> int:
    arguments, server = terminal.arguments, terminal.server
    upstream = arguments.upstream or await default_upstream(server)
    if admin is None:
        terminal.print_commands("the machine of the proxy", caddy_commands(server, upstream))
        return 0
    label = admin.host.label
    plan = await plan_caddy(admin.host, server, upstream, admin.clock)
    terminal.show(*plan.findings)
    if not (plan.file.is_change and arguments.apply):
        exists = plan.file.before is not None
        if plan.file.is_change or not plan.is_ready:
            terminal.print_commands(label, caddy_commands(server, upstream, exists=exists))
        return exit_code(plan.findings)
    if not plan.is_ready:
        return exit_code(plan.findings)
    title = f"Write {plan.file.path} on {label}, and reload Caddy?"
    await terminal.confirm(title, "Write", plan.proxy.reload, file=plan.file)
    terminal.show(await apply_caddy(admin.host, plan, admin.clock))
    return 0


async def _browser(terminal: SetupTerminal, _: HostAdmin | None) -> int:
    setup = await asyncio.to_thread(read_browser_setup, terminal.server)
    if terminal.arguments.policy:
        print(setup.policy)
        return 0
    if not terminal.arguments.apply:
        terminal.print_commands("the machine of the browser", setup.steps())
        return 0
    host = LocalHost()
    stores = await asyncio.to_thread(find_stores, os.environ)
    if not stores:
        raise ActionRefused(
            "No certificate store of Chromium, Chrome or Brave was found on this machine",
            remedy="for Firefox, follow the steps of: aitui setup browser",
        )
    commands = "".join((setup.p12_commands(), *map(setup.store_commands, stores)))
    await terminal.confirm(
        "Add the certificates to the stores on this machine?", "Fill", *commands.splitlines()
    )
    for store in stores:
        terminal.show(await fill_store(host, setup, store))
    policy = setup.all_policy_commands()
    if FLATPAK_STORE in stores:
        policy += FLATPAK_COMMANDS
    terminal.print_commands("this machine, as root: the policy", policy)
    return 0


_NEW_MACHINE = "the machine of llama-swap"

_PARTS: dict[str, Part] = {
    "server": _server,
    "config": _config,
    "unit": _unit,
    "caddy": _caddy,
    "browser": _browser,
    "idle": _idle,
}
