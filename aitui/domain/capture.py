"""What a server kept of one request: headers and bodies, and the chat that they are."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct, field


class Capture(Struct, frozen=True):
    """One request with its response as the server kept it; a body of None was not kept.

    Bodies are text with its lines, sanitized; `is_cut` is set if one is too long to be shown whole.
    """

    id: int
    path: str = ""
    request_headers: Mapping[str, str] = field(default_factory=dict)
    request_body: str | None = None
    response_headers: Mapping[str, str] = field(default_factory=dict)
    response_body: str | None = None
    is_cut: bool = False


class CapturedTurn(Struct, frozen=True):
    """One message of the chat: who said it, its reasoning apart from its text, and tool calls."""

    role: str
    text: str
    reasoning: str = ""
    calls: tuple[str, ...] = ()


def captured_chat(capture: Capture) -> tuple[CapturedTurn, ...]:
    """Return the messages of a chat and its reply, none if the request was no chat."""
    request = _object(capture.request_body)
    turns = [_turn(message) for message in _objects(request.get("messages"))]
    if not turns and isinstance(prompt := request.get("prompt") or request.get("input"), str):
        turns.append(CapturedTurn("user", prompt))
    if turns and (reply := _reply(capture.response_body)) is not None:
        turns.append(reply)
    return tuple(turns)


def pretty_body(body: str | None) -> str:
    """Return a JSON body indented, a stream of events an event a line, anything else as it is."""
    if body is None:
        return "(not kept by the server)"
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except ValueError:
        if not body.startswith(("data:", "event:", ":")):
            return body
    return "\n".join(line for line in body.splitlines() if line)


def _turn(message: Mapping[str, Any]) -> CapturedTurn:
    return CapturedTurn(
        _string(message.get("role")) or "user",
        _content(message.get("content")),
        _string(message.get("reasoning_content")) or _string(message.get("reasoning")),
        tuple(_call(call) for call in _objects(message.get("tool_calls"))),
    )


def _call(call: Mapping[str, Any]) -> str:
    function = call.get("function")
    function = function if isinstance(function, dict) else {}
    return f"{_string(function.get('name'))}({_string(function.get('arguments'))})"


def _content(content: object) -> str:
    if isinstance(content, str):
        return content
    parts = []
    for part in _objects(content):
        kind = _string(part.get("type"))
        parts.append(_string(part.get("text")) if kind == "text" else f"[{kind or 'part'}]")
    return "\n".join(parts)


def _reply(body: str | None) -> CapturedTurn | None:
    if not body:
        return None
    whole = _object(body)
    chunks = [whole] if whole else [_object(data) for data in _event_data(body)]
    text, reasoning, calls = "", "", dict[int, str]()
    for chunk in chunks:
        error = chunk.get("error")
        if error:
            words = _string(error.get("message")) if isinstance(error, dict) else str(error)
            text += f"[error: {words}]"
        for choice in _objects(chunk.get("choices"))[:1]:
            part = choice.get("message") or choice.get("delta") or {"content": choice.get("text")}
            if not isinstance(part, dict):
                continue
            turn = _turn(part)
            text, reasoning = text + turn.text, reasoning + turn.reasoning
            for number, call in enumerate(_objects(part.get("tool_calls"))):
                index = call.get("index", number)
                index = index if isinstance(index, int) else number
                calls[index] = calls.get(index, "") + _call(call).removesuffix(")").removeprefix(
                    "(" if index in calls else ""
                )
    if not (text or reasoning or calls):
        return None
    return CapturedTurn("assistant", text, reasoning, tuple(f"{call})" for call in calls.values()))


def _event_data(body: str) -> Iterable[str]:
    for line in body.splitlines():
        if line.startswith("data:"):
            yield line.removeprefix("data:").strip()


def _object(text: str | None) -> Mapping[str, Any]:
    try:
        found = json.loads(text or "")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _objects(found: object) -> list[Mapping[str, Any]]:
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _string(found: object) -> str:
    return found if isinstance(found, str) else ""
