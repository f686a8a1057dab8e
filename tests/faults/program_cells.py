"""The matrix of the program: what each fault of this machine makes it say, and what can't occur."""

from faults.matrix import Cell, Matrix
from faults.program_faults import PROGRAM_FAULTS
from faults.program_operations import PROGRAM_OPERATIONS

IMPOSSIBLE: dict[Cell, str] = {
    **{
        (one.name, fault): "the settings are read at the start"
        for one in PROGRAM_OPERATIONS[1:]
        for fault in PROGRAM_FAULTS
        if fault.startswith("settings")
    },
    ("history", "read-only home"): "SQLite reads no write-ahead log where it can't write",
    ("edit", "no home"): "a change that can't be recorded is refused before its question",
    **{
        ("history", fault): "there is no history then, which “chat” shows"
        for fault in PROGRAM_FAULTS
        if fault == "no home" or fault.startswith("state")
    },
}
SAYS: dict[Cell, str] = {}
NOTHING_TO_SAY: dict[Cell, str] = {
    **{
        ("start", fault): "nothing has to be written before something is done"
        for fault in ("disk full", "read-only home", "no home")
    },
    ("history", "disk full"): "reading takes no room",
}
PROGRAM = Matrix(
    "test_program.py",
    PROGRAM_OPERATIONS,
    PROGRAM_FAULTS,
    IMPOSSIBLE,
    SAYS,
    NOTHING_TO_SAY,
)
