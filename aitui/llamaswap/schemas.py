"""The server's JSON, validated and converted to values.

Strict about what aitui relies on, lenient about what users put into their configuration:
`meta.llamaswap` holds metadata of any shape, unknown fields are ignored, and a state or kind that
this version doesn't know is no reason to show nothing. All texts are sanitized at this border: ESC
and C1 would reach the terminal raw from nearly every Textual widget.
"""

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from aitui.domain.models import FinishedRequest, ListedModel, ModelKind, RunningModel, RunState
from aitui.domain.sanitize import sanitize_line, sanitize_text
from aitui.errors import BadResponse

MOST_MODELS = 200_000

_LONGEST_NAME = 300
_LONGEST_DESCRIPTION = 2_000
_BOM = b"\xef\xbb\xbf"
_TITLE = rb"(?is)<title[^<>]*>(.{0,400}?)</title>"
_LARGEST_CONTEXT = 2**40

_T = TypeVar("_T")


class ServerVersion(Struct, frozen=True):
    """The build of a server, from `/api/version`; empty if not reported."""

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


class _Tokens(msgspec.Struct):
    cache_tokens: Any = None
    input_tokens: Any = None
    output_tokens: Any = None
    prompt_per_second: Any = None
    tokens_per_second: Any = None
    draft_tokens: Any = None
    draft_acc_tokens: Any = None


class _Row(msgspec.Struct):
    model: str | None = None
    timestamp: Any = None
    tokens: _Tokens | None = None
    id: Any = None
    src: Any = None
    req_path: Any = None
    resp_status_code: Any = None
    duration_ms: Any = None
    error_msg: Any = None
    has_capture: Any = None


class _Page(msgspec.Struct):
    data: list[_Row] | None = None
    total_pages: Any = None


_MODELS = msgspec.json.Decoder(_ModelList)
_RUNNING = msgspec.json.Decoder(_RunningList)
_VERSION = msgspec.json.Decoder(_Version)
_ROWS = msgspec.json.Decoder(list[_Row] | None)
_PAGE = msgspec.json.Decoder(_Page)


def parse_models(body: bytes, endpoint: str) -> tuple[ListedModel, ...]:
    """Parse `/v1/models`, each id once. Raises BadResponse."""
    entries = _decode_list("data", _ListedEntry, _MODELS, body, endpoint)
    _check_model_count(len(entries), endpoint)
    models: dict[str, ListedModel] = {}
    for entry in entries:
        model = _build_listed_model(entry)
        if model.id:
            models.setdefault(model.id, model)
    return tuple(models.values())


def parse_running(body: bytes, endpoint: str) -> tuple[RunningModel, ...]:
    """Parse `/running`, each id once. Old servers call `id` what others call `model`.

    Raises BadResponse.
    """
    entries = _decode_list("running", _RunningEntry, _RUNNING, body, endpoint)
    _check_model_count(len(entries), endpoint)
    models: dict[str, RunningModel] = {}
    for entry in entries:
        identifier = sanitize_line(entry.model or entry.id or "")
        if identifier:
            models.setdefault(identifier, _build_running_model(identifier, entry))
    return tuple(models.values())


def parse_version(body: bytes, endpoint: str) -> ServerVersion:
    """Parse `/api/version`. Raises BadResponse."""
    found = decode_as("its JSON", _VERSION, body, endpoint)
    return ServerVersion(
        sanitize_name(found.version), sanitize_name(found.commit), sanitize_name(found.build_date)
    )


def parse_run_state(text: str | None) -> RunState:
    """Parse a state in the server's words; "" is that of a peer's model."""
    if not text:
        return RunState.STOPPED
    try:
        return RunState(text)
    except ValueError:
        return RunState.UNKNOWN


def sanitize_name(text: str | None) -> str:
    """Sanitize and shorten a name from the server."""
    return sanitize_line(text or "", _LONGEST_NAME)


def sanitize_description(text: str | None) -> str:
    """Sanitize a description from the server to one line."""
    return sanitize_line(text or "", _LONGEST_DESCRIPTION)


def parse_token_count(value: object) -> int | None:
    """Return a plausible context size in tokens, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 0 < value < _LARGEST_CONTEXT else None


def parse_names(value: object) -> tuple[str, ...]:
    """Return the texts of a value that should be a list of them."""
    if not isinstance(value, Iterable) or isinstance(value, str | Mapping):
        return ()
    return tuple(sanitize_name(item) for item in value if isinstance(item, str) and item)


def _build_listed_model(entry: _ListedEntry) -> ListedModel:
    meta = entry.meta if isinstance(entry.meta, dict) else {}
    ours = meta.get("llamaswap")
    ours = ours if isinstance(ours, dict) else {}
    peer = ours.get("peerID")
    peer = sanitize_name(peer) if isinstance(peer, str) else ""
    # Servers that know kinds also send `status`; elsewhere `type` is a user's own metadata.
    knows_kinds = entry.status is not msgspec.UNSET
    kind = _parse_kind(ours.get("type")) if knows_kinds else ModelKind.MODEL
    return ListedModel(
        id=sanitize_line(entry.id),
        name=sanitize_name(entry.name),
        description=sanitize_description(entry.description),
        kind=ModelKind.PEER if peer and kind is ModelKind.MODEL else kind,
        aliases=parse_names(ours.get("aliases")) if knows_kinds else (),
        peer=peer,
        targets=parse_names(ours.get("targets")) if knows_kinds else (),
        context_length=parse_token_count(entry.context_length)
        or parse_token_count(meta.get("n_ctx")),
    )


def _parse_kind(value: object) -> ModelKind:
    try:
        return ModelKind(value)
    except ValueError:
        return ModelKind.MODEL


def _build_running_model(identifier: str, entry: _RunningEntry) -> RunningModel:
    ttl = entry.ttl or 0
    return RunningModel(
        id=identifier,
        state=parse_run_state(entry.state),
        command=sanitize_text(entry.cmd or ""),
        proxy=sanitize_name(entry.proxy),
        ttl=int(ttl) if 0 < ttl < _LARGEST_CONTEXT else 0,
        name=sanitize_name(entry.name),
        description=sanitize_description(entry.description),
    )


def decode_as(expected: str, decoder: msgspec.json.Decoder[_T], body: bytes, endpoint: str) -> _T:
    """Decode what should be the expected thing, as messages name it. Raises BadResponse."""
    if looks_like_html(body):
        raise _html_error(body, endpoint)
    try:
        return decoder.decode(body.removeprefix(_BOM))
    except msgspec.ValidationError as error:
        why = str(error)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        why = str(error) if body.strip() else "the response is empty"
    except RecursionError:
        why = "it is nested too deeply"
    raise BadResponse(
        f"{endpoint} returned something that can't be {expected}",
        why=sanitize_line(why, _LONGEST_NAME),
        remedy="check that the URL is that of a llama-swap server",
    )


def _decode_list(
    key: str, kind: type[_T], decoder: msgspec.json.Decoder[Any], body: bytes, endpoint: str
) -> list[_T]:
    """Decode the list under a key, without the entries that can't be read. Raises BadResponse."""
    try:
        return getattr(decode_as("its JSON", decoder, body, endpoint), key) or []
    except BadResponse:
        found = _load_leniently(body)
        entries = _readable_entries(kind, found.get(key) if isinstance(found, dict) else None)
        if not entries:
            raise
        return entries


def decode_entries(
    kind: type[_T], decoder: msgspec.json.Decoder[list[_T] | None], body: bytes
) -> list[_T]:
    """Decode a bare list, without the entries that can't be read. Raises msgspec.DecodeError."""
    try:
        return decoder.decode(body) or []
    except (msgspec.DecodeError, UnicodeDecodeError):
        entries = _readable_entries(kind, _load_leniently(body))
        if not entries:
            raise
        return entries


def _load_leniently(body: bytes) -> object:
    """Decode JSON with lone surrogates and bytes that aren't UTF-8; None if it is no JSON at all."""
    import json

    with suppress(ValueError, RecursionError):
        return json.loads(body.removeprefix(_BOM).decode(errors="replace"))
    return None


def _readable_entries(kind: type[_T], found: object) -> list[_T]:
    """Convert entries one by one: a field of a wrong type is dropped, an entry without its name as well."""
    read = (_readable_fields(kind, one) for one in (found if isinstance(found, list) else ()))
    return [kind(**fields) for fields in read if fields]


def _readable_fields(kind: type[_T], entry: object) -> dict[str, object]:
    fields: dict[str, object] = {}
    if not (isinstance(entry, dict) and issubclass(kind, Struct)):
        return fields
    for field in msgspec.structs.fields(kind):
        try:
            fields[field.name] = msgspec.convert(entry[field.encode_name], field.type)
        except (KeyError, msgspec.ValidationError):
            if field.required or (field.name in {"id", "model"} and field.encode_name in entry):
                return {}
    return fields


def looks_like_html(body: bytes) -> bool:
    """Whether a body is a web page, as proxies and login pages send it."""
    start = body[:512].removeprefix(_BOM).lstrip().lower()
    return start.startswith((b"<!doctype", b"<html", b"<head", b"<body", b"<?xml", b"<!--"))


def page_title(body: bytes) -> str:
    """Return the title of a web page, sanitized; "" without one."""
    found = re.search(_TITLE, body[:65_536])
    return sanitize_line(found[1].decode("utf-8", "replace").strip(), 100) if found else ""


def _html_error(body: bytes, endpoint: str) -> BadResponse:
    title = page_title(body)
    return BadResponse(
        f"{endpoint} returned HTML, not JSON",
        why=f"its title is “{title}”" if title else "the page has no title",
        remedy="check that the URL is that of a llama-swap server",
    )


def _check_model_count(count: int, endpoint: str) -> None:
    if count > MOST_MODELS:
        raise BadResponse(
            f"{endpoint} lists {count:,} models", why=f"aitui shows at most {MOST_MODELS:,}"
        )


def parse_finished_requests(body: bytes) -> tuple[FinishedRequest, ...]:
    """Parse a bare list of rows. Raises msgspec.DecodeError."""
    return _build_requests(decode_entries(_Row, _ROWS, body))


def parse_activity_page(body: bytes, endpoint: str) -> tuple[FinishedRequest, ...]:
    """Parse a page of `/api/metrics/activity`. Raises BadResponse."""
    return _build_requests(_decode_list("data", _Row, _PAGE, body, endpoint))


def parse_activity_rows(body: bytes, endpoint: str) -> tuple[tuple[FinishedRequest, ...], bool]:
    """Parse a page of `/api/metrics/activity`, and whether more follow it. Raises BadResponse."""
    pages = decode_as("its JSON", _PAGE, body, endpoint).total_pages
    return parse_activity_page(body, endpoint), isinstance(pages, int) and pages > 1


def parse_metrics(body: bytes, endpoint: str) -> tuple[FinishedRequest, ...]:
    """Parse `/api/metrics`. Raises BadResponse."""
    return _build_requests(decode_as("its JSON", _ROWS, body, endpoint))


def _build_requests(rows: list[_Row] | None) -> tuple[FinishedRequest, ...]:
    return tuple(_build_request(row, row.tokens or _Tokens()) for row in rows or () if row.model)


def _build_request(row: _Row, tokens: _Tokens) -> FinishedRequest:
    """Build a request from a row. A figure is −1 if unknown, 0 if there was none."""
    read, cached = _count(tokens.input_tokens), _count(tokens.cache_tokens)
    took = parse_number(row.duration_ms)
    return FinishedRequest(
        model=sanitize_line(row.model or ""),
        at=parse_unix_time(row.timestamp),
        tokens=_count(tokens.output_tokens) or None,
        rate=_positive(tokens.tokens_per_second),
        id=_count(row.id),
        client=_text(row.src).removeprefix("ip:"),
        path=_text(row.req_path),
        status=_count(row.resp_status_code) or None,
        error=_text(row.error_msg),
        # llama-server counts those that it reads, without the cached ones.
        prompt=None if not read else read + (cached or 0),
        cached=cached,
        prompt_rate=_positive(tokens.prompt_per_second),
        seconds=None if took is None else took / 1000,
        drafted=_count(tokens.draft_tokens),
        accepted=_count(tokens.draft_acc_tokens),
        has_capture=row.has_capture is True,
    )


def _text(value: object) -> str:
    return sanitize_name(value) if isinstance(value, str) else ""


def _count(value: object) -> int | None:
    found = parse_number(value)
    return None if found is None else int(found)


def _positive(value: object) -> float | None:
    return parse_number(value) or None


def parse_number(value: object) -> float | None:
    """Return a finite number that isn't negative, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if 0 <= value < 1e12 else None


def parse_unix_time(value: object) -> float | None:
    """Parse an RFC 3339 time; None for anything else, and for years that a client can't show."""
    try:
        moment = msgspec.convert(value, datetime)
    except msgspec.ValidationError:
        return None
    if moment.tzinfo is None or moment.year < 1970 or moment.year > 9000:
        return None
    return moment.timestamp()
