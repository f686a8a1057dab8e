"""Recordings of real servers, and what in them has to be the same in the stand-in's answers."""

from __future__ import annotations

import base64
import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

RECORDINGS = Path(__file__).parent.parent / "recordings" / "llama-swap"

FREE_MAPS = frozenset({"req_headers", "resp_headers"})
"""Maps whose keys are another program's header names."""

NO_GPU_IN_THE_LAB = frozenset({"gpu_stats", "accelerators"})
"""Lists that were empty because the recording machine had no GPU."""


@dataclass(frozen=True)
class Recording:
    """One call of curl, and what came back. `target` is the raw path with the query."""

    name: str
    method: str
    target: str
    headers: dict[str, str]
    body: bytes | None
    status: int
    content_type: str
    answer: str
    cut_short: bool


def read_recording(path: Path) -> Recording | None:
    """Read one file; None when the server had sent no headers before curl gave up."""
    text = path.read_text(errors="replace")
    command, _, rest = text.partition("\n")
    if not rest.startswith("HTTP/1.1 "):
        return None
    head, _, answer = rest.partition("\n\n")
    status_line, *header_lines = head.splitlines()
    headers = dict(line.split(": ", 1) for line in header_lines)
    cut_short = "\ncurl: (28)" in rest
    answer = re.split(r"\n*curl: \(28\)|\n\[curl: ", answer)[0]
    return Recording(
        name=path.stem,
        status=int(status_line.split()[1]),
        content_type=headers.get("Content-Type", ""),
        answer=answer,
        cut_short=cut_short,
        **_request(command),
    )


def _request(command: str) -> dict[str, Any]:
    words = shlex.split(command.removeprefix("$ curl "))
    method, body, headers = "GET", None, {}
    url = ""
    while words:
        word = words.pop(0)
        if word == "-X":
            method = words.pop(0)
        elif word == "-I":
            method = "HEAD"
        elif word == "-H":
            name, _, value = words.pop(0).partition(":")
            headers[name] = value.strip()
        elif word == "-u":
            headers["Authorization"] = f"Basic {base64.b64encode(words.pop(0).encode()).decode()}"
        elif word == "-d":
            body = words.pop(0).encode()
            headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
        elif word == "--max-time":
            words.pop(0)
        elif word.startswith("http"):
            parts = urlsplit(word)
            url = parts.path + (f"?{parts.query}" if parts.query else "")
    if headers.get("Content-Type") == "":
        del headers["Content-Type"]
    return {"method": method, "target": url, "headers": headers, "body": body}


def essence(content_type: str, body: str) -> object:
    """What of a body has to be the same: the tree of keys and types, or a short text's words."""
    if content_type.startswith("application/json") and body:
        return shape(json.loads(body))
    if content_type.startswith("text/event-stream"):
        if body.startswith("event:"):
            return events_essence(read_events(body))
        return chat_essence(body)
    words = re.sub(r"dial tcp \S+:", "dial tcp:", body)
    return re.sub(r"\d+(\.\d+)?", "N", words).strip()


def read_events(body: str) -> list[tuple[str, Any]]:
    """The complete frames of `/api/events`, both layers of JSON decoded."""
    events = []
    for frame in body.split("\n\n"):
        if frame.startswith("event:message\ndata:"):
            outer = json.loads(frame.removeprefix("event:message\ndata:"))
            events.append((outer["type"], json.loads(outer["data"])))
    return events


def events_essence(events: list[tuple[str, Any]]) -> dict[str, frozenset[str]]:
    """For each type of event the union of all its trees."""
    trees: dict[str, frozenset[str]] = {}
    for kind, data in events:
        trees[kind] = trees.get(kind, frozenset()) | shape(data)
    return trees


def chat_essence(body: str) -> dict[str, frozenset[str]]:
    """The union of all chunks' trees, whether the end was announced, and errors without `data:`."""
    chunks: frozenset[str] = frozenset()
    bare: frozenset[str] = frozenset()
    done: frozenset[str] = frozenset()
    for line in body.splitlines():
        if line == "data: [DONE]":
            done = frozenset({"[DONE]"})
        elif line.startswith("data: "):
            chunks |= shape(json.loads(line.removeprefix("data: ")))
        elif line:
            bare |= shape(json.JSONDecoder().raw_decode(line)[0])
    return {"chunks": chunks, "bare errors": bare, "end": done}


def differences(said: object, expected: object) -> list[str]:
    """What two essences differ in. Null says nothing about a type, where the other side has one."""
    if isinstance(said, dict) and isinstance(expected, dict):
        return [
            f"{key}: {line}"
            for key in sorted(said.keys() | expected.keys())
            for line in differences(said.get(key, "nothing"), expected.get(key, "nothing"))
        ]
    if isinstance(said, frozenset) and isinstance(expected, frozenset):
        return [
            *(
                f"only said: {path}"
                for path in sorted(said - expected)
                if not _is_null(path, expected)
            ),
            *(f"missing: {path}" for path in sorted(expected - said) if not _is_null(path, said)),
        ]
    return [] if said == expected else [f"said {said!r}, expected {expected!r}"]


def _is_null(path: str, other: frozenset[str]) -> bool:
    """Whether a difference is only that one side has null where the other has, or had, a value."""
    stem, _, kind = path.rpartition(":")
    others = {item.rpartition(":")[2] for item in other if item.rpartition(":")[0] == stem}
    return bool(others) and (kind == "null" or others == {"null"})


def shape(value: object) -> frozenset[str]:
    """The tree of keys and types of a JSON value, as a set of paths."""
    return frozenset(_paths("", value))


def _paths(path: str, value: object) -> Iterator[str]:
    if isinstance(value, dict):
        yield f"{path}{{}}"
        for key, item in value.items():
            inside = f"{path}.{key}"
            if key in FREE_MAPS | NO_GPU_IN_THE_LAB:
                yield inside
            else:
                yield from _paths(inside, item)
    elif isinstance(value, list):
        yield f"{path}[]"
        for item in value:
            yield from _paths(f"{path}[]", item)
    else:
        yield f"{path}:{_type(value)}"


def _type(value: object) -> str:
    match value:
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case None:
            return "null"
        case _:
            return "string"
