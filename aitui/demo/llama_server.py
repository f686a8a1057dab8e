"""The fake llama-server's responses to everything but a chat."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from aitui.demo.answers import ResponseContent, llama_server_json
from aitui.demo.upstream_process import UpstreamProcess

_PROMETHEUS = "text/plain; version=0.0.4"
_SERVER = {"Server": "llama.cpp"}


def plain_response(
    process: UpstreamProcess, method: str, path: str, body: bytes
) -> ResponseContent:
    """Answer a request to the model's own server, as in the recordings."""
    path = path.partition("?")[0]
    if method in {"GET", "HEAD"} and path in _GET_HANDLERS:
        return _GET_HANDLERS[path](process)
    for ending, answer in _POST_HANDLERS.items():
        if method == "POST" and path.endswith(ending):
            return answer(process, _parse_object(body))
    missing = {"code": 404, "message": "File Not Found", "type": "not_found_error"}
    return llama_server_json({"error": missing}, 404)


def error_answer(status: int, message: str, kind: str = "invalid_request_error") -> ResponseContent:
    """llama-server's own error shape."""
    return llama_server_json({"error": {"code": status, "message": message, "type": kind}}, status)


def context_error(tokens: int, size: int) -> ResponseContent:
    """The error for a prompt that the context can't hold."""
    message = (
        f"request ({tokens} tokens) exceeds the available context size ({size} tokens), "
        "try increasing it"
    )
    kind = "exceed_context_size_error"
    counts = {"n_prompt_tokens": tokens, "n_ctx": size}
    error = {"code": 400, "message": message, "type": kind, **counts}
    return llama_server_json({"error": error}, 400)


def _parse_object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _health(_process: UpstreamProcess) -> ResponseContent:
    return llama_server_json({"status": "ok"})


def _page(_process: UpstreamProcess) -> ResponseContent:
    return ResponseContent(200, b"<html>fake llama-server ui</html>", "text/html", _SERVER)


def _props(process: UpstreamProcess) -> ResponseContent:
    flags = process.flags
    parameters = {"temperature": 0.8, "top_k": 40, "top_p": 0.95, "min_p": 0.05, "n_predict": -1}
    settings = {"id": 0, "n_ctx": flags.slot_size, "params": parameters}
    return llama_server_json(
        {
            "default_generation_settings": settings,
            "total_slots": flags.slots,
            "model_path": flags.model_file,
            "model_alias": flags.alias,
            "modalities": {"vision": flags.takes_images, "audio": False},
            "chat_template": "{{ messages }}",
            "bos_token": "<s>",
            "eos_token": "</s>",
            "build_info": "b6789-abcdef12",
        }
    )


def _slots(process: UpstreamProcess) -> ResponseContent:
    slots = [
        {
            "id": number,
            "id_task": -1,
            "n_ctx": process.flags.slot_size,
            "speculative": False,
            "is_processing": number < process.busy_slots,
        }
        for number in range(process.flags.slots)
    ]
    return llama_server_json(slots)


def _metrics(process: UpstreamProcess) -> ResponseContent:
    text = (
        "# HELP llamacpp:prompt_tokens_total Number of prompt tokens processed.\n"
        "# TYPE llamacpp:prompt_tokens_total counter\n"
        "llamacpp:prompt_tokens_total 0\n"
        "# TYPE llamacpp:tokens_predicted_total counter\n"
        "llamacpp:tokens_predicted_total 0\n"
        f"llamacpp:requests_processing {process.busy_slots}\n"
    )
    return ResponseContent(200, text.encode(), _PROMETHEUS, _SERVER)


def _models(process: UpstreamProcess) -> ResponseContent:
    meta = {
        "n_ctx_train": 40960,
        "n_embd": 4096,
        "n_params": 8190735360,
        "size": process.flags.memory_mib << 20,
    }
    entry = {
        "id": process.flags.alias,
        "object": "model",
        "created": int(time.time()),
        "owned_by": "llamacpp",
        "meta": meta,
    }
    return llama_server_json({"object": "list", "data": [entry]})


def _tokenize(_process: UpstreamProcess, body: dict[str, Any]) -> ResponseContent:
    words = str(body.get("content", "")).split()
    return llama_server_json({"tokens": list(range(len(words)))})


def _embeddings(process: UpstreamProcess, body: dict[str, Any]) -> ResponseContent:
    vector = {"object": "embedding", "index": 0, "embedding": [0.1, 0.2, 0.3]}
    return llama_server_json(
        {
            "object": "list",
            "model": body.get("model", process.id),
            "data": [vector],
            "usage": {"prompt_tokens": 3, "total_tokens": 3},
        }
    )


def _rerank(process: UpstreamProcess, body: dict[str, Any]) -> ResponseContent:
    documents = body.get("documents")
    count = len(documents) if isinstance(documents, list) else 0
    return llama_server_json(
        {
            "object": "list",
            "model": body.get("model", process.id),
            "usage": {"prompt_tokens": 10, "total_tokens": 10},
            "results": [
                {"index": index, "relevance_score": 1.0 / (index + 1)} for index in range(count)
            ],
        }
    )


_GET_HANDLERS: dict[str, Callable[[UpstreamProcess], ResponseContent]] = {
    "/": _page,
    "/health": _health,
    "/props": _props,
    "/slots": _slots,
    "/metrics": _metrics,
    "/v1/models": _models,
}

_POST_HANDLERS: dict[str, Callable[[UpstreamProcess, dict[str, Any]], ResponseContent]] = {
    "/tokenize": _tokenize,
    "/embeddings": _embeddings,
    "/rerank": _rerank,
}
