"""The matrix: what each fault makes the app say, and the cells that differ or can't occur."""

from faults import http_faults as faults
from faults.gateway import Fault
from faults.matrix import Cell, Matrix
from faults.operations import OPERATIONS

_BROKE = "closed before an answer came|the other side reset it|connection to .* broke"
_SILENT = "did not finish|stopped responding|does not answer"
_NOT_JSON = "can't be (its JSON|samples)|not part of a reply"
HTTP_FAULTS: dict[str, tuple[Fault, str]] = {
    "closed before": (faults.close_before, _BROKE),
    "reset before": (faults.reset_before, _BROKE),
    "reset in the headers": (faults.reset_in_head, _BROKE),
    "cut": (faults.cut, r"ended after \d[\d,]* of|ended in the middle"),
    "hang": (faults.hang, _SILENT),
    "hang in the body": (faults.hang_in_body, _SILENT),
    "trickle": (faults.trickle, _SILENT),
    "garbage": (faults.garbage, "not HTTP"),
    "garbage body": (faults.garbage_body, _NOT_JSON),
    "web page": (faults.html, "HTML, not JSON|a web page"),
    "200 MB": (faults.huge, "returned more than"),
    "gzip bomb": (faults.gzip_bomb, "a compressed body"),
    "endless headers": (faults.endless_headers, "headers of the answer are too long"),
    "nesting": (faults.nesting, _NOT_JSON),
    "redirect": (faults.redirect, "redirects"),
    "wrong types": (faults.edited(faults.wrong_types), _NOT_JSON),
    "odd numbers": (faults.edited(faults.odd_numbers), _NOT_JSON),
    "reset after": (faults.reset_after, ""),
    "hostile texts": (faults.edited(faults.hostile_texts), ""),
    "status 204": (faults.status(204), "the response is empty"),
    "status 401": (faults.status(401), "requires an API key"),
    "status 403": (faults.status(403), "requires an API key"),
    "status 404": (faults.status(404), "has no"),
    "status 429": (faults.status(429), "too many running requests"),
    **{
        f"status {code}": (faults.status(code), f"{code}")
        for code in (400, 408, 418, 500, 502, 503, 504, 599)
    },
}
"""Each with a pattern of what the app says, empty where there is nothing to say."""
SLOW = {"hang", "hang in the body", "trickle", "endless headers"}
"""Faults that are noticed by a time limit only."""

_ONLY_STATUS = "the status decides, the body is not read"
_SKIPPED = "an event that makes no sense is skipped: the polls show the state"
_LEFT_OUT = "a number that can't be one is left out, and its entry stays"
NOTHING_TO_SAY: dict[Cell, str] = {
    **{(name, "odd numbers"): _LEFT_OUT for name in ("poll", "list")},
    **{("load", name): _ONLY_STATUS for name in ("cut", "wrong types", "odd numbers")},
    **{("unload", name): _ONLY_STATUS for name in ("wrong types", "odd numbers")},
    **{("events", name): _SKIPPED for name in ("wrong types", "odd numbers")},
    **{
        ("events", name): "a stream without events can't be told from a quiet server"
        for name in ("hang", "hang in the body", "trickle")
    },
}
"""Cells in which the app rightly says nothing, with the reason."""

_NO_EVENTS = "Without events, changes show"
SAYS: dict[Cell, str] = {
    **{("events", name): _NO_EVENTS for name, (_, says) in HTTP_FAULTS.items() if says},
    **{
        ("load", name): "is not loaded"
        for name in ("garbage body", "web page", "nesting", "status 204")
    },
    **{
        ("load", name): "QUEUED|queued|waiting|loading"
        for name in ("hang", "hang in the body", "trickle")
    },
    **{("unload", name): "still running" for name in ("garbage body", "status 204")},
    **{("chat", name): "waiting|prompt" for name in ("hang", "hang in the body", "trickle")},
    **{("log", name): "connecting|live" for name in ("hang", "hang in the body", "trickle")},
    ("unload", "nesting"): "returned more than",
    ("log", "status 204"): "lost, retry",
    ("log", "200 MB"): "lost, retry|live",
    ("log", "garbage body"): "lost, retry",
    ("log", "nesting"): "lost, retry",
    ("log", "cut"): "broke",
    ("hardware", "wrong types"): r"measured .* ago",
    ("hardware", "odd numbers"): r"measured .* ago",
    ("hardware", "status 404"): r"doesn.t report its hardware|measured .* ago",
    ("hardware", "redirect"): "doesn.t report its hardware|does not follow redirects",
    ("chat", "wrong types"): "the reply is empty",
    ("chat", "odd numbers"): "done",
    ("chat", "status 204"): "never began",
}
"""Cells in which it says something else than the fault has in general."""

_TEXT = "a log is plain text: it has no values that could be of another kind"
IMPOSSIBLE: dict[Cell, str] = {
    ("log", "wrong types"): _TEXT,
    ("log", "odd numbers"): _TEXT,
    ("log", "hostile texts"): "tests/e2e/hostile/test_logs.py writes them into the log itself",
}
"""Cells that can't occur, with the reason."""
HTTP = Matrix(
    "test_http.py",
    OPERATIONS,
    HTTP_FAULTS,
    IMPOSSIBLE,
    SAYS,
    NOTHING_TO_SAY,
)
