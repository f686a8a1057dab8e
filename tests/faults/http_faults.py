"""What a server, a proxy or a network can do to one request."""

import json
import re
from collections.abc import Callable
from typing import Any

from faults.gateway import Exchange, Fault

_JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
_HOSTILE = "\x1b]0;owned\x07\x1b[2J[@click=app.quit]\u202etxt.exe[/]"
_MIB = 1 << 20


async def close_before(exchange: Exchange) -> None:
    """End the connection in order, without a word."""


async def reset_before(exchange: Exchange) -> None:
    """End the connection with a reset, before any answer."""
    exchange.reset()


async def reset_in_head(exchange: Exchange) -> None:
    """End the connection in the middle of the headers."""
    await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Ty")
    exchange.reset()


async def cut(exchange: Exchange) -> None:
    """Announce a whole body, send half of it, and end the connection."""
    body = await _first_of(exchange)
    await exchange.send(_JSON + f"Content-Length: {len(body)}\r\n\r\n".encode())
    await exchange.send(body[: len(body) // 2])


async def reset_after(exchange: Exchange) -> None:
    """Give the whole answer, and reset the connection."""
    await exchange.pass_on()
    exchange.reset()


async def hang(exchange: Exchange) -> None:
    """Never answer."""
    await exchange.until_left()


async def hang_in_body(exchange: Exchange) -> None:
    """Announce a body, and send one byte of it."""
    await exchange.send(_JSON + b"Content-Length: 1000\r\n\r\n{")
    await exchange.until_left()


async def trickle(exchange: Exchange) -> None:
    """Send a header, one byte every twenty seconds."""
    import asyncio

    for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"z" * 200:
        await exchange.send(bytes([byte]))
        await asyncio.sleep(20)
    await exchange.until_left()


async def garbage(exchange: Exchange) -> None:
    """Answer with something that isn't HTTP."""
    await exchange.send(bytes(range(256)) * 64)


async def garbage_body(exchange: Exchange) -> None:
    """Answer with bytes that aren't what the headers say."""
    noise = bytes(byte ^ 0xA5 for byte in range(256)) * 16
    await exchange.send(_JSON + f"Content-Length: {len(noise)}\r\n\r\n".encode() + noise)


async def html(exchange: Exchange) -> None:
    """Answer with the page of a portal, status 200."""
    page = b"<!doctype html><title>Sign in</title><h1>Welcome to the hotel</h1>"
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n"
    await exchange.send(head + f"Content-Length: {len(page)}\r\n\r\n".encode() + page)


async def huge(exchange: Exchange) -> None:
    """Answer with 200 MB."""
    await exchange.send(_JSON + f"Content-Length: {200 * _MIB}\r\n\r\n[".encode())
    for _ in range(200):
        await exchange.send(b"0," * (_MIB // 2))


async def gzip_bomb(exchange: Exchange) -> None:
    """Answer with a compressed body, which nobody asked for."""
    import gzip

    body = gzip.compress(b"0" * (16 * _MIB))
    await exchange.send(_JSON + b"Content-Encoding: gzip\r\n")
    await exchange.send(f"Content-Length: {len(body)}\r\n\r\n".encode() + body)


async def endless_headers(exchange: Exchange) -> None:
    """Send headers for as long as somebody reads them."""
    await exchange.send(_JSON)
    for number in range(1 << 20):
        await exchange.send(f"X-{number}: {'x' * 1000}\r\n".encode())


async def nesting(exchange: Exchange) -> None:
    """Answer with a list in a list, 200,000 times."""
    body = b"[" * 200_000
    await exchange.send(_JSON + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)


async def redirect(exchange: Exchange) -> None:
    """Send the client somewhere else."""
    await exchange.send(
        b"HTTP/1.1 302 Found\r\nLocation: http://elsewhere.invalid/\r\n"
        b"Content-Length: 0\r\nConnection: close\r\n\r\n"
    )


def status(code: int) -> Fault:
    """Answer with a status that is an error, with a line of text as proxies have it."""

    async def respond(exchange: Exchange) -> None:
        body = f"status {code} of the test".encode()
        head = f"HTTP/1.1 {code} Odd\r\nContent-Type: text/plain\r\nConnection: close\r\n"
        await exchange.send(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    return respond


def edited(change: Callable[[Any], Any]) -> Fault:
    """Pass the answer on, each value of its JSON changed; also in the events of a stream."""

    async def respond(exchange: Exchange) -> None:
        if _streams(exchange):
            await exchange.pass_on(lambda data: _edit_text(data, change))
            return
        _, body = await exchange.answer()
        body = _edit_text(body, change)
        await exchange.send(_JSON + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)

    return respond


def _each(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Change every value, also in JSON that is a text of other JSON, as in llama-swap's events."""

    def edit(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: edit(one) for key, one in value.items()}
        if isinstance(value, list):
            return [edit(one) for one in value]
        if isinstance(value, str) and value.startswith(("{", "[")):
            try:
                return json.dumps(edit(json.loads(value)))
            except ValueError:
                pass
        return change(value)

    return edit


@_each
def wrong_types(value: Any) -> Any:
    """Another kind of value in every place."""
    if isinstance(value, bool) or value is None:
        return [value]
    return {"was": value} if isinstance(value, str) else f"{value}x"


@_each
def odd_numbers(value: Any) -> Any:
    """Numbers that nothing can be counted with."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return (float("nan"), float("inf"), -(10**400), 10**400, -1)[int(value * 10) % 5]


@_each
def hostile_texts(value: Any) -> Any:
    """Escape sequences and markup in every text."""
    return value + _HOSTILE if isinstance(value, str) else value


_DATA_LINE = re.compile(rb"(?m)^(data: ?)(.*)$")


def _edit_text(data: bytes, change: Callable[[Any], Any]) -> bytes:
    def edit(found: re.Match[bytes]) -> bytes:
        return found[1] + _edit_json(found[2], change)

    return _DATA_LINE.sub(edit, data) if b"data:" in data else _edit_json(data, change)


def _edit_json(data: bytes, change: Callable[[Any], Any]) -> bytes:
    try:
        return json.dumps(change(json.loads(data))).encode()
    except ValueError:
        return data


def _streams(exchange: Exchange) -> bool:
    return (
        "/api/events" in exchange.line or "/logs/" in exchange.line or b'"stream"' in exchange.body
    )


async def _first_of(exchange: Exchange) -> bytes:
    """The answer, or the beginning of a stream."""
    if not _streams(exchange):
        return (await exchange.answer())[1] or b"OK, and then it broke"
    async with exchange.ask() as (_, reader):
        return await reader.read(1 << 14)
