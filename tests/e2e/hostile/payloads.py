"""Texts of a server that wants the terminal, and what of them must never reach it."""

import json
import re

MARKUP = "[@click=app.quit]x[/][/x][bold"
SEQUENCES = (
    "\x1b[999;999H",
    "\x1b[38;2;66;6;66m",
    "\x1b[2J",
    "\x1b]8;;http://evil.invalid\x1b\\L\x1b]8;;\x1b\\",
    "\x1b]52;c;ZXZpbA==\x07",
    "\x1b]0;owned\x07",
    "\x1bPq#0;2;0;0;0\x1b\\",
    "\x1b_Gevil\x1b\\",
    "\x1bc",
    "\x9b2J",
    "\x9d0;owned\x9c",
    "\x90q\x9c",
)
CONTROLS = "\x00\x07\x08\x0b\x7f\x85\u2028\u202egnp\u2066\u200b"
EVIL = "evil" + "".join(SEQUENCES) + CONTROLS + MARKUP

_FINE = re.compile(
    r"\x1b\[\d{1,3};\d{1,3}H"  # places
    r"|\x1b\[[\d;]*m"  # colors
    r"|\x1b\[\?\d+(?:[hlu]|\$p)|\x1b\[\?u|\x1b\[[<>=]\d*u"  # modes, and questions about them
    r"|\x1b\]22;[\w-]*(?:\x07|\x1b\\)"  # the mouse's shape
)
_LEAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069]+.{0,20}")
_COPIES = re.compile(r"\x1b\]52;c;(?!ZXZpbA)[\w+/=]*\x07")
"""What aitui itself copies."""
_MARKS = ("999;999H", "38;2;66;6;66", "evil.invalid", "ZXZpbA", "owned", "Gevil")


def leaks(sent: bytes) -> list[str]:
    """What came through of such texts, in the bytes that a terminal got."""
    text = _COPIES.sub("", sent.decode("utf-8", "replace"))
    found = [mark for mark in _MARKS if mark in text]
    return found + [repr(leak) for leak in _LEAKS.findall(_FINE.sub("", text))]


def catalogue() -> str:
    """Ids, names, descriptions, aliases, commands and peers, each as hostile as can be."""
    models = {
        f"{number}{payload}": {
            "cmd": f"llama-server --port ${{PORT}} --alias '{MARKUP}' --load-delay 0.1",
            "name": f"name {payload}",
            "description": f"about {payload}",
            "aliases": [f"alias{number}{payload}"],
        }
        for number, payload in enumerate((*SEQUENCES, CONTROLS, MARKUP, EVIL))
    }
    models["fails"] = {"cmd": "llama-server --port ${PORT} --fail-oom 0.2"}
    peers = {f"peer{EVIL}": {"proxy": "http://127.0.0.1:9", "models": [f"remote{EVIL}"]}}
    return json.dumps({"models": models, "peers": peers})
