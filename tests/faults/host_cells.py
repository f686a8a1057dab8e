"""The matrix of the machine: what each fault makes the app say, and the cells that differ."""

from faults import host_faults as faults
from faults.host_operations import HOST_OPERATIONS
from faults.matrix import Cell, Matrix

FAULTS = {
    "refused": (faults.refused, "refuses (the )?connections?|was lost"),
    "login refused": (faults.login_refused, "accepts none of your SSH keys|was lost"),
    "host key changed": (faults.host_key_changed, "host key|was lost"),
    "not SSH": (faults.not_ssh, "was lost|does not (answer|speak)|SSH"),
    "endless greeting": (faults.endless_greeting, "was lost|does not (answer|speak)|SSH"),
    "silent network": (faults.silent_network, "was lost|does not (answer|respond)"),
    "dropped before": (faults.dropped_before, "was lost|does not answer"),
    "dropped halfway": (faults.dropped_halfway, "was lost"),
    "dropped after": (faults.dropped_after, "was lost"),
    "silent": (faults.silent, "does not respond|did not end within"),
    "endless": (faults.endless, "too large|too much|can't|did not end"),
    "garbage": (faults.garbage, "can't|Can't|isn't UTF-8|failed"),
    "hostile error": (faults.hostile_error, "Can't|can't|failed"),
    "denied": (faults.denied, "[Pp]ermission denied"),
    "disk full": (faults.full, "disk is full|No space left"),
    "file replaced": (faults.replaced, "was changed by another program|models: {}"),
    "file gone": (faults.gone, "o such file|does not exist"),
    "no such program": (faults.missing_program, "There is no systemd|missing|not found"),
    "does not start": (faults.does_not_start, "did not start|can't be restarted|exits"),
}
SLOW = {
    "silent network",
    "silent",
    "endless greeting",
    "endless",
    "dropped after",
    "dropped before",
}
"""Faults that are noticed by a time limit only."""

_FILES = ("read", "lock", "back up", "write", "replace", "undo")
_COMMANDS = ("reload", "restart", "hardware", "doctor")
_CONNECTING = (
    "refused",
    "login refused",
    "host key changed",
    "not SSH",
    "endless greeting",
    "silent network",
    "dropped before",
)
_NO_HALF = "it is done as a whole, or not at all"
_NO_OUTPUT = (
    "a call of SFTP answers with one packet: only a file that is read can be endless or noise"
)
IMPOSSIBLE: dict[Cell, str] = {
    **{
        ("connect", name): "a connection has no answer, no file and no output"
        for name in FAULTS
        if name not in _CONNECTING
    },
    **{(one, "dropped halfway"): _NO_HALF for one in ("lock", "replace", "undo")},
    **{(one, name): _NO_OUTPUT for one in _FILES[1:] for name in ("endless", "garbage")},
    **{(one, "no such program"): "SFTP runs no program" for one in _FILES},
    **{
        (one, "does not start"): "no service is started"
        for one in (*_FILES, "reload", "hardware", "doctor")
    },
    **{
        (one, name): "the command doesn't read the config file"
        for one in ("restart", "hardware", "doctor")
        for name in ("file replaced", "file gone")
    },
    ("read", "disk full"): "reading takes no room",
}
_STATUS = "the status of the program decides, its output is not read"
_LOOKED_AT = "the file is looked at on a new connection, and is as it has to be"
_ONE_STEP = "SFTP can't compare and rename at once: a change in between is overwritten"
NOTHING_TO_SAY: dict[Cell, str] = {
    ("restart", "garbage"): _STATUS,
    **{(one, "file replaced"): _ONE_STEP for one in ("replace", "undo")},
    **{(one, "file gone"): "a rename needs no file in that place" for one in ("replace", "undo")},
    **{(one, "dropped after"): _LOOKED_AT for one in ("replace", "undo")},
}
"""Cells in which the app rightly says nothing, with the reason."""

SAYS: dict[Cell, str] = {
    **{("restart", name): "systemctl restart does not end" for name in ("silent", "endless")},
    ("reload", "file replaced"): "Add some to its conf",
    **{("doctor", name): "does not answer" for name in ("silent", "endless")},
}
"""Cells in which it says something else than the fault has in general."""

HOST = Matrix(
    "test_host.py",
    HOST_OPERATIONS,
    FAULTS,
    IMPOSSIBLE,
    SAYS,
    NOTHING_TO_SAY,
    every=31,
)
