"""The config file checked before a reload or a restart: llama-swap must not refuse it."""

import asyncio

from aitui.domain.config.document import decode_config
from aitui.domain.config.lint import find_diagnostics
from aitui.domain.sanitize import sanitize_line
from aitui.errors import Action, ConfigRefused, HostError, HostFileError, NoSuchFile
from aitui.host.config_file import ConfigFile
from aitui.host.config_types import FileSnapshot
from aitui.host.unit import UnitInfo
from aitui.services.host_admin import HostAdmin

_LONGEST = 300


async def refuse_invalid_config(admin: HostAdmin, outcome: str) -> None:
    """Raise ConfigRefused, with file and line, if llama-swap would refuse its config file.

    A reload would keep the old values, a restart would end the server. `outcome` says what wasn't
    done. Raises HostError if the file can't be read; a server in a container, with a file that the
    host doesn't have, isn't checked.
    """
    reading = await _server_file(admin, outcome)
    if reading is None:
        return
    text = await asyncio.to_thread(decode_config, reading.content)
    fatal = [
        problem for problem in await asyncio.to_thread(find_diagnostics, text) if problem.fatal
    ]
    if fatal:
        first = fatal[0]
        path = sanitize_line(reading.real_path, _LONGEST)
        more = f" (and {len(fatal) - 1} more)" if len(fatal) > 1 else ""
        raise ConfigRefused(
            f"{outcome}: llama-swap would refuse its config file",
            why=f"{path}:{first.line}:{first.column}: {first.words}{more}",
            remedy="correct that line first",
            action=Action.SHOW_CONFIG,
        )


async def _server_file(admin: HostAdmin, outcome: str) -> FileSnapshot | None:
    """Read the file that the unit names, else that of the settings; None if neither exists."""
    facts = await _read_unit_info(admin)
    if facts is not None and facts.config_path is not None:
        try:
            return await ConfigFile(admin.host, facts.config_path, clock=admin.clock).read()
        except HostFileError as error:
            if facts.names_config:
                raise ConfigRefused(
                    f"{outcome}: llama-swap could not read its config file",
                    why=f"{error.what}: {error.why}" if error.why else error.what,
                    remedy=f"put it there, or change -config in {facts.unit}",
                ) from error
    try:
        return await admin.config.read()
    except NoSuchFile:
        return None


async def _read_unit_info(admin: HostAdmin) -> UnitInfo | None:
    """Return what systemd reports of the server, None if it reports nothing."""
    try:
        return await admin.service.facts()
    except HostError:
        return None
