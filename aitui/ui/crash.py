"""A fault of aitui itself: kept in a file for a report, said in words on screen."""

import traceback
from pathlib import Path

CRASH_LOG = "crash.log"


def write_crash_report(error: BaseException, state: Path) -> str:
    """Write down what happened and say where; never raises.

    Blocks on the disk, for which there is no better moment: nothing may run any more.
    """
    told = "".join(traceback.format_exception(error))
    path = state / CRASH_LOG
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(told, encoding="utf-8")
    except OSError as failure:
        return f"{type(error).__name__}; the details could not be written to {path}: {failure}"
    return f"{type(error).__name__}; the details are in {path}"
