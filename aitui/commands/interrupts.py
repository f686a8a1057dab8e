"""^C while a load is waited for on the command line."""

import asyncio
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from aitui.commands.leaving import abandoned_load_outcome, open_loads
from aitui.commands.session import Session


@contextmanager
def explain_interrupts(session: Session) -> Iterator[None]:
    """On a terminal, let the first ^C during a load say what the second one does.

    Where no load has been asked for, and where nobody reads what is said, the first one ends it.
    """
    before = signal.getsignal(signal.SIGINT)
    if not callable(before):
        # A shell has it ignored in what runs in the background of a script.
        yield
        return
    loop = asyncio.get_running_loop()
    explained = False

    def interrupt() -> None:
        nonlocal explained
        for model in open_loads(session.snapshot):
            if sys.stderr.isatty() and not explained:
                explained = True
                _print_line(
                    f"Still loading {model.id}: ^c again leaves it, and {abandoned_load_outcome(model)}"
                )
                return
            _print_line(f"aitui: Left {model.id} before it was ready")
            quoted = shlex.quote(model.id)
            print(f"  {abandoned_load_outcome(model)}", file=sys.stderr)
            print(f"  aitui load {quoted} waits for it again", file=sys.stderr)
            print(f"  aitui unload {quoted} aborts the load", file=sys.stderr)
        before(signal.SIGINT, None)

    loop.add_signal_handler(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        signal.signal(signal.SIGINT, before)


def _print_line(line: str) -> None:
    # The terminal shows the key itself, "^C": that is written over.
    print(f"\r{line}" if sys.stderr.isatty() else line, file=sys.stderr)
