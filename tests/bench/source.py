"""The server of the benchmark: answers chats over mTLS, one event a token, at a given rate.

The model's name says what it is asked for: `shape:tokens:rate`, tokens a second. Its standard output
has the port, then for each answer the monotonic time at which the last of it was sent.
"""

import asyncio
import json
import sys
import time
from pathlib import Path

from bench.texts import tokens
from certificates import make_certificates

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def event(delta: dict[str, object], reason: str | None = None) -> bytes:
    """One event as llama-server writes it."""
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    body = {
        "choices": [choice],
        "created": 1790000000,
        "id": "chatcmpl-w7VvuQJfzDq9mcZ3hNnqFqzVxWz1cJpY",
        "model": "bench",
        "system_fingerprint": "b9999-0123456789",
        "object": "chat.completion.chunk",
    }
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def chunk(data: bytes) -> bytes:
    """One chunk of the body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one chat, each token in a TLS record of its own."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    size = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
    shape, count, rate = json.loads(await reader.readexactly(size))["model"].split(":")
    events = [chunk(event({"content": token})) for token in tokens(shape, int(count))]
    writer.write(_HEAD + chunk(event({"role": "assistant", "content": None})))
    began = time.monotonic()
    sent = 0
    while sent < len(events):
        due = min(len(events), int((time.monotonic() - began) * float(rate)) + 1)
        for data in events[sent:due]:
            writer.write(data)
        sent = due
        await writer.drain()
        await asyncio.sleep(0.0005)
    writer.write(chunk(event({}, "stop")) + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")
    await writer.drain()
    print(time.monotonic(), flush=True)
    writer.close()


async def main(folder: Path) -> None:
    """Serve until standard input ends."""
    context = make_certificates(folder).server_context(require_client_certificate=True)
    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
