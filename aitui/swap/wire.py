"""The server's JSON, checked and turned into values.

Strict about what aitui stands on, lenient about what users put into their configuration:
`meta.llamaswap` holds metadata of any shape, unknown fields are ignored, and a state or kind that
this version doesn't know is no reason to show nothing.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from aitui.domain.clean import clean_line, clean_text
from aitui.domain.model import Kind, ListedModel, RunningModel, RunState
from aitui.errors import BadAnswer

MOST_MODELS = 200_000

_LONGEST_NAME = 300
_LONGEST_DESCRIPTION = 2_000
_BOM = b"\xef\xbb\xbf"
_TITLE = re.compile(rb"<title[^>]*>(.{0,400}?)</title>", re.IGNORECASE | re.DOTALL)
_LARGEST_CONTEXT = 2**40

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Version:
    """The build of a server, from `/api/version`; empty where it doesn't say."""

    version: str
    commit: str = ""
    build_date: str = ""


class _ListedEntry(msgspec.Struct):
    id: str
    name: str | None = None
    description: str | None = None
    context_length: int | float | None = None
    meta: Any = None
    status: Any = msgspec.UNSET


class _ModelList(msgspec.Struct):
    data: list[_ListedEntry] | None


class _RunningEntry(msgspec.Struct):
    model: str | None = None
    id: str | None = None
    state: str | None = "ready"
    cmd: str | None = None
    proxy: str | None = None
    ttl: int | float | None = None
    name: str | None = None
    description: str | None = None


class _RunningList(msgspec.Struct):
    running: list[_RunningEntry] | None


class _Version(msgspec.Struct):
    version: str
    commit: str | None = None
    build_date: str | None = None


_MODELS = msgspec.json.Decoder(_ModelList)
_RUNNING = msgspec.json.Decoder(_RunningList)
_VERSION = msgspec.json.Decoder(_Version)


def listed_models(body: bytes, endpoint: str) -> tuple[ListedModel, ...]:
    """The entries of `/v1/models`, each id once.

    Raises BadAnswer.
    """
    entries = _decoded(_MODELS, body, endpoint).data or []
    _check_number(len(entries), endpoint)
    models: dict[str, ListedModel] = {}
    for entry in entries:
        model = _listed(entry)
        if model.id:
            models.setdefault(model.id, model)
    return tuple(models.values())


def running_models(body: bytes, endpoint: str) -> tuple[RunningModel, ...]:
    """The entries of `/running`, each id once. Old servers say `id` where others say `model`.

    Raises BadAnswer.
    """
    entries = _decoded(_RUNNING, body, endpoint).running or []
    _check_number(len(entries), endpoint)
    models: dict[str, RunningModel] = {}
    for entry in entries:
        identifier = clean_line(entry.model or entry.id or "")
        if identifier:
            models.setdefault(identifier, _running(identifier, entry))
    return tuple(models.values())


def version(body: bytes, endpoint: str) -> Version:
    """The answer of `/api/version`.

    Raises BadAnswer.
    """
    found = _decoded(_VERSION, body, endpoint)
    return Version(name(found.version), name(found.commit), name(found.build_date))


def run_state(text: str | None) -> RunState:
    """A state in the server's words; "" is what a peer's model has."""
    if not text:
        return RunState.STOPPED
    try:
        return RunState(text)
    except ValueError:
        return RunState.UNKNOWN


def name(text: str | None) -> str:
    """A name of the server's, harmless and no longer than a name should be."""
    return clean_line(text or "", _LONGEST_NAME)


def description(text: str | None) -> str:
    """A description of the server's, on one harmless line."""
    return clean_line(text or "", _LONGEST_DESCRIPTION)


def token_count(value: object) -> int | None:
    """A context size that can be one, in tokens."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 0 < value < _LARGEST_CONTEXT else None


def names(value: object) -> tuple[str, ...]:
    """The texts of a list that a user may have written as anything."""
    if not isinstance(value, Iterable) or isinstance(value, str | Mapping):
        return ()
    return tuple(name(item) for item in value if isinstance(item, str) and item)


def _listed(entry: _ListedEntry) -> ListedModel:
    meta = entry.meta if isinstance(entry.meta, dict) else {}
    ours = meta.get("llamaswap")
    ours = ours if isinstance(ours, dict) else {}
    peer = ours.get("peerID")
    peer = name(peer) if isinstance(peer, str) else ""
    # Servers that know kinds also send `status`; elsewhere `type` is a user's own metadata.
    knows_kinds = entry.status is not msgspec.UNSET
    kind = _kind(ours.get("type")) if knows_kinds else Kind.MODEL
    return ListedModel(
        id=clean_line(entry.id),
        name=name(entry.name),
        description=description(entry.description),
        kind=Kind.PEER if peer and kind is Kind.MODEL else kind,
        aliases=names(ours.get("aliases")) if knows_kinds else (),
        peer=peer,
        targets=names(ours.get("targets")) if knows_kinds else (),
        context_length=token_count(entry.context_length) or token_count(meta.get("n_ctx")),
    )


def _kind(value: object) -> Kind:
    try:
        return Kind(value)
    except ValueError:
        return Kind.MODEL


def _running(identifier: str, entry: _RunningEntry) -> RunningModel:
    ttl = entry.ttl or 0
    return RunningModel(
        id=identifier,
        state=run_state(entry.state),
        command=clean_text(entry.cmd or ""),
        proxy=name(entry.proxy),
        ttl=int(ttl) if 0 < ttl < _LARGEST_CONTEXT else 0,
        name=name(entry.name),
        description=description(entry.description),
    )


def _decoded(decoder: msgspec.json.Decoder[_T], body: bytes, endpoint: str) -> _T:
    if looks_like_html(body):
        raise BadAnswer(
            f"{endpoint} answered with HTML, not JSON",
            why=_titled(body),
            remedy="check that the URL is that of a llama-swap server",
        )
    try:
        return decoder.decode(body.removeprefix(_BOM))
    except msgspec.ValidationError as error:
        why = str(error)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        why = str(error) if body.strip() else "the answer is empty"
    except RecursionError:
        why = "it is nested too deeply"
    raise BadAnswer(
        f"{endpoint} answered with something that can't be its JSON",
        why=clean_line(why, _LONGEST_NAME),
        remedy="check that the URL is that of a llama-swap server",
    )


def looks_like_html(body: bytes) -> bool:
    """Whether a body is a web page."""
    start = body[:512].removeprefix(_BOM).lstrip().lower()
    return start.startswith((b"<!doctype", b"<html", b"<head", b"<body", b"<?xml", b"<!--"))


def _titled(body: bytes) -> str:
    found = _TITLE.search(body[:65_536])
    title = clean_line(found[1].decode("utf-8", "replace").strip(), 100) if found else ""
    return f"the page is called “{title}”" if title else "the page has no title"


def _check_number(count: int, endpoint: str) -> None:
    if count > MOST_MODELS:
        raise BadAnswer(
            f"{endpoint} lists {count:,} models", why=f"aitui shows at most {MOST_MODELS:,}"
        )
