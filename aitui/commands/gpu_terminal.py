"""`aitui gpu`: asks the server, and its machine where one is set, and prints what they say."""

import contextlib

from aitui.arguments import Arguments
from aitui.commands.administration import open_administration
from aitui.commands.gpu import as_json, as_text, gpus_of
from aitui.commands.memory_at_hand import look_at_machine
from aitui.commands.session import Session
from aitui.paths import Paths


async def print_hardware(session: Session, arguments: Arguments, paths: Paths) -> None:
    """Raises what the server says; what its machine says becomes part of what is printed."""
    await session.monitor.fetch()
    async with contextlib.AsyncExitStack() as stack:
        admin = None
        if session.server.ssh_host:
            administration = open_administration(session.server, paths, session.clock)
            admin = await stack.enter_async_context(administration)
        await look_at_machine(session, admin)
    label, snapshot = session.server.label, session.snapshot
    if arguments.json:
        print(as_json(gpus_of(label, snapshot)))
    else:
        print(as_text(label, snapshot, session.clock.wall()))
