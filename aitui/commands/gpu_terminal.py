"""`aitui gpu`: asks the server, and its machine where one is set, and prints what they say."""

import contextlib

from aitui.arguments import Arguments
from aitui.commands.administration import open_administration
from aitui.commands.gpu import gpu_report, gpus_as_json, gpus_as_text
from aitui.commands.memory_at_hand import sample_machine
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
        await sample_machine(session, admin)
    label, snapshot = session.server.label, session.snapshot
    if arguments.json:
        print(gpus_as_json(gpu_report(label, snapshot)))
    else:
        print(gpus_as_text(label, snapshot, session.clock.wall()))
