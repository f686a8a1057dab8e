"""`aitui init`: a new server in config.toml, asked for step by step or given by options."""

import asyncio
import os
import shlex
import sys
import time
from contextlib import aclosing

from msgspec.structs import replace

from aitui.cli.arguments import Arguments
from aitui.cli.certs import ask_secret, read_password_file
from aitui.cli.output import print_lines
from aitui.cli.session import read_line, terminal_ask
from aitui.domain.checks import CheckResult, CheckStatus, exit_code
from aitui.domain.confirmation import Confirmation
from aitui.domain.server import USUAL_PORTS, Clock
from aitui.domain.snapshot import Snapshot
from aitui.domain.units import count_of
from aitui.errors import ActionRefused, AituiError, SettingsError
from aitui.format.doctor import as_lines, summary
from aitui.paths import Paths, home_directory
from aitui.services.first_run import (
    FoundServer,
    ServerDraft,
    ServerSetup,
    ask_usual_ports,
    check_step,
)
from aitui.settings import Settings

_PROMPTS = {
    "certificates": "Certificates (a directory, a .p12, or PEM files; empty for none): ",
    "ssh_host": "SSH host (me@host, a Host of ~/.ssh/config, or local; empty for none): ",
    "name": "Name ({name}): ",
}


async def run_init(
    arguments: Arguments, settings: Settings, paths: Paths, ports: tuple[int, ...] = USUAL_PORTS
) -> int:
    """Add a server to config.toml; return the exit status of the first check that failed.

    With a URL nothing is asked but whether to save what a check found at fault.
    """
    clock = Clock(time.monotonic, time.time)
    config = settings.config_file or arguments.flags.config or paths.config / "config.toml"
    setup = ServerSetup(config, home_directory(os.environ), settings.template, clock)
    draft = await _read_options(arguments)
    is_asking = not draft.url
    if is_asking and not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise ActionRefused(
            "aitui init asks for the server, and this is no terminal",
            remedy="run it on a terminal, or give --url and what it needs: aitui init --help",
        )
    dialog = _Dialog(setup, draft) if is_asking else None
    if dialog is not None:
        await dialog.ask_address(ports)
        draft = dialog.draft
    checks = await _check(setup, "url", draft)
    if dialog is not None and draft.url.startswith("https:"):
        await dialog.ask("certificates")
        if dialog.draft.needs_password:
            await dialog.ask("password")
        draft = dialog.draft
        if draft.certificates:
            checks = await _check(setup, "certificates", draft)
    if dialog is not None:
        await dialog.ask("ssh_host")
        draft = dialog.draft
    if draft.ssh_host:
        await _check(setup, "ssh_host", draft)
    if dialog is not None:
        await dialog.ask("name")
        draft = dialog.draft
    failed = sum(check.status is CheckStatus.FAILED for check in checks)
    if failed and not await _confirm(arguments, failed):
        print(f"Not saved: {summary(checks)}", file=sys.stderr)
        return exit_code(checks)
    server = await asyncio.to_thread(setup.save, draft, force=arguments.force)
    print(f"Saved as {server.name} in {setup.show_path(config)}")
    print(f"aitui --server {shlex.quote(server.name)} opens it")
    return 0


async def _read_options(arguments: Arguments) -> ServerDraft:
    """Return what the options say, checked field by field. Raises AituiError."""
    files = (arguments.ca, arguments.client_cert, arguments.client_key)
    named = [text for text in (arguments.certs_dir, arguments.p12) if text]
    if (named and any(files)) or len(named) > 1:
        raise SettingsError("--certs-dir, --p12 and single files: expected only one of them")
    draft = ServerDraft(
        url=arguments.flags.url or "",
        certificates=named[0] if named else shlex.join(filter(None, files)),
        ssh_host=arguments.ssh_host,
        name=arguments.name,
    )
    if draft.needs_password and arguments.password_file:
        draft = replace(draft, password=await read_password_file(arguments.password_file))
    elif draft.needs_password:
        draft = replace(draft, password=await ask_secret(f"Password of {arguments.p12}: "))
    return draft


async def _check(setup: ServerSetup, step: str, draft: ServerDraft) -> list[CheckResult]:
    """Print the doctor's checks of a step. Raises AituiError if a field can't be used."""
    for field in ("url", "certificates", "ssh_host", "name"):
        await asyncio.to_thread(setup.describe_field, field, draft)
    server = await asyncio.to_thread(setup.server, draft)
    checks = []
    async with aclosing(check_step(step, server, setup.clock)) as found:
        async for item in found:
            if isinstance(item, CheckResult):
                checks.append(item)
                print_lines(as_lines(item))
    return checks


async def _confirm(arguments: Arguments, failed: int) -> bool:
    """Ask whether to save the server although checks failed; without a terminal the answer is no."""
    ask = terminal_ask(arguments, Snapshot)
    try:
        return await ask(
            lambda _: Confirmation(f"{count_of(failed, 'check')} failed.", (), yes="Save anyway")
        )
    except ActionRefused:
        return False


class _Dialog:
    """Asks for one field after the other until each can be used."""

    def __init__(self, setup: ServerSetup, draft: ServerDraft) -> None:
        self._setup = setup
        self.draft = draft

    async def ask_address(self, ports: tuple[int, ...]) -> None:
        """List what answers on this machine, and ask for a number of it or a URL."""
        found: list[FoundServer] = []
        await ask_usual_ports(found.append, ports)
        servers = sorted((one for one in found if one.is_llama_swap), key=lambda one: one.url)
        for number, one in enumerate(servers, start=1):
            print(f"  {number}  {one.url}  {one.words}", file=sys.stderr)
        if not servers:
            print("No llama-swap answers on this machine's usual ports.", file=sys.stderr)
        prompt = "Address (a number or a URL): " if servers else "Address (a URL): "
        while True:
            text = await _ask_line(prompt)
            if text.isdecimal() and 0 < int(text) <= len(servers):
                text = servers[int(text) - 1].url
            if url := await self._describe(replace(self.draft, url=text), "url"):
                self.draft = replace(self.draft, url=url)
                return

    async def ask(self, field: str) -> None:
        """Ask for a field that wasn't given as an option."""
        if getattr(self.draft, field):
            return
        while True:
            if field == "password":
                text = await ask_secret(f"Password of {self.draft.certificates}: ")
            else:
                name = await asyncio.to_thread(self._setup.name_of, self.draft)
                text = await _ask_line(_PROMPTS[field].format(name=name))
            draft = replace(self.draft, **{field: text})
            if await self._describe(draft, field) is not None:
                self.draft = draft
                return

    async def _describe(self, draft: ServerDraft, field: str) -> str | None:
        """Return what a field means, None if it can't be used, which is printed."""
        try:
            words = await asyncio.to_thread(self._setup.describe_field, field, draft)
        except AituiError as error:
            print(f"  ✘ {error}", file=sys.stderr)
            return None
        if words:
            print(f"  ✔ {words}", file=sys.stderr)
        return words


async def _ask_line(prompt: str) -> str:
    print(prompt, end="", file=sys.stderr, flush=True)
    line = await read_line()
    if not line:
        print(file=sys.stderr)
        raise ActionRefused("Nothing was saved", why="the input has ended")
    return line.strip()
