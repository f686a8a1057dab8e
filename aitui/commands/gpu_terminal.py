"""`aitui gpu`: asks the server, and its machine where one is set, and prints what they say."""

import contextlib

from aitui.arguments import Arguments
from aitui.commands.administration import open_administration
from aitui.commands.gpu import as_json, as_text, gpus_of
from aitui.commands.preset import read_preset
from aitui.commands.session import Session
from aitui.errors import AituiError
from aitui.paths import Paths


async def print_hardware(session: Session, arguments: Arguments, paths: Paths) -> None:
    """Raises what the server says; what its machine says becomes part of what is printed."""
    monitor, hardware = session.monitor, session.hardware
    await monitor.fetch()
    async with contextlib.AsyncExitStack() as stack:
        if session.server.ssh_host:
            administration = open_administration(session.server, paths, session.clock)
            admin = await stack.enter_async_context(administration)
            hardware.host_found(admin.host)
            # Why the file can't be read is for `preset` to say; without it there are no estimates.
            with contextlib.suppress(AituiError):
                preset = await read_preset(admin)
                await monitor.config_read(preset.contexts)
                hardware.commands_read(preset.commands, preset.environments)
        await hardware.look()
    label, snapshot = session.server.label, session.snapshot
    print(as_json(gpus_of(label, snapshot)) if arguments.json else as_text(label, snapshot))
