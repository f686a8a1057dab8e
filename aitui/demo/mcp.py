"""`/api/mcp`: the documentation of config keys, from aitui's own table of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aitui.domain.config.keys import TOP, KeySchema
from aitui.domain.release import version_number

REVISION = "2026-07-28"
_SCHEMA_TOOL = "docs__get_config_schema"
_TOOL = {
    "name": _SCHEMA_TOOL,
    "title": "Configuration schema",
    "description": "Type, default and values of a configuration key",
    "inputSchema": {"type": "object", "properties": {"path": {"type": "string"}}},
    "annotations": {"readOnlyHint": True, "idempotentHint": True},
}


class _RpcError(Exception):
    """A JSON-RPC error: its code, its words, its data if it has any."""


def respond(body: bytes, headers: Mapping[str, str], version: str) -> dict[str, Any] | None:
    """Answer one request; None for a notification."""
    try:
        request = json.loads(body)
    except ValueError:
        return _error(None, -32700, "parse error")
    if not isinstance(request, dict):
        return _error(None, -32600, "batch requests are not supported")
    if request.get("id") is None:
        return None
    try:
        result = _result(request, headers, version)
    except _RpcError as error:
        return _error(request["id"], *error.args)
    return {"jsonrpc": "2.0", "id": request["id"], "result": result}


def _error(id_: object, code: int, words: str, data: object = None) -> dict[str, Any]:
    body = {"code": code, "message": words} | ({} if data is None else {"data": data})
    return {"jsonrpc": "2.0", "id": id_, "error": body}


def _result(request: Mapping[str, Any], headers: Mapping[str, str], version: str) -> dict[str, Any]:
    asked = headers.get("Mcp-Protocol-Version", "")
    if asked != REVISION:
        versions = {"supported": [REVISION], "requested": asked}
        raise _RpcError(-32022, "unsupported protocol version", versions)
    method, parameters = request.get("method"), request.get("params") or {}
    name = parameters.get("name")
    if headers.get("Mcp-Method") != method:
        raise _RpcError(-32600, "Mcp-Method does not match the method")
    if method == "tools/call" and headers.get("Mcp-Name") != name:
        raise _RpcError(-32600, "Mcp-Name does not match the tool")
    match method:
        case "ping":
            return {}
        case "server/discover":
            about = {"name": "llama-swap", "version": version}
            return {"supportedVersions": [REVISION], "capabilities": {"tools": {}}, "_meta": about}
        case "tools/list":
            return {"tools": [_TOOL], "ttlMs": 60000, "cacheScope": "public"}
        case "tools/call" if name == _SCHEMA_TOOL:
            return _describe_key(str(parameters.get("arguments", {}).get("path", "")), version)
        case "tools/call":
            raise _RpcError(-32603 if str(name).startswith("docs__") else -32600, "unknown tool")
    raise _RpcError(-32601, "method not found")


def _describe_key(path: str, version: str) -> dict[str, Any]:
    """Describe the key of a dotted path, with `*` for a mapping's free keys."""
    newest = version_number(version) or 0
    schema, known = TOP, ""
    for part in path.split(".") if path else ():
        inner = schema.each if part == "*" else schema.keys.get(part)
        if inner is None or inner.since > newest:
            valid = _keys(schema, newest)
            return _text(f"unknown path {path!r}; valid below {known or 'the top'}: {valid}") | {
                "isError": True
            }
        schema, known = inner, f"{known}.{part}".lstrip(".")
    choices = f"\nvalues: {', '.join(schema.choices)}" if schema.choices else ""
    below = f"\nkeys: {keys}" if (keys := _keys(schema, newest)) else ""
    return _text(f"# {known or 'config'}\ntype: {schema.takes.value}{choices}{below}")


def _keys(schema: KeySchema, newest: int) -> str:
    keys = [key for key, inner in schema.keys.items() if inner.since <= newest]
    return ", ".join([*keys, "*"] if schema.each is not None else keys)


def _text(words: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": words}]}
