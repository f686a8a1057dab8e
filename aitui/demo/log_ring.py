"""A log's history in a ring, and broadcasts to readers that may be too slow."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")

HISTORY_BYTES = 100 * 1024
LOG_STREAM_CHUNKS = 10


class BroadcastReader(Generic[T]):
    """One reader of a broadcast. What doesn't fit into its queue is dropped silently."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._items: deque[T] = deque()
        self._arrived = asyncio.Event()
        self._ended = False

    def offer(self, item: T) -> None:
        """Queue an item, or drop it when the reader is too far behind."""
        if len(self._items) < self._limit:
            self._items.append(item)
            self._arrived.set()

    def end(self) -> None:
        """End the reader after what is queued."""
        self._ended = True
        self._arrived.set()

    async def __aiter__(self) -> AsyncIterator[T]:
        """Yield items until the broadcast ends."""
        while True:
            while self._items:
                yield self._items.popleft()
            if self._ended:
                return
            self._arrived.clear()
            await self._arrived.wait()


class Broadcast(Generic[T]):
    """Hands each item to every reader."""

    def __init__(self) -> None:
        self._readers: set[BroadcastReader[T]] = set()
        self.first_reader = asyncio.Event()

    @contextmanager
    def reader(self, limit: int) -> Iterator[BroadcastReader[T]]:
        """Read along, with at most `limit` items waiting."""
        reader = BroadcastReader[T](limit)
        self._readers.add(reader)
        self.first_reader.set()
        try:
            yield reader
        finally:
            self._readers.discard(reader)

    def publish(self, item: T) -> None:
        """Hand an item to all readers."""
        for reader in self._readers:
            reader.offer(item)

    def end(self) -> None:
        """End all readers."""
        for reader in self._readers:
            reader.end()


class ServerLog:
    """The last 100 KiB of a log, and the stream of what is added."""

    def __init__(self, also: Callable[[str], None] | None = None) -> None:
        self.stream: Broadcast[str] = Broadcast()
        self._history = b""
        self._also = also

    @property
    def history(self) -> str:
        """The history; its oldest line may be incomplete."""
        return self._history.decode(errors="replace")

    def write(self, text: str) -> None:
        """Add text, line breaks included."""
        self._history = (self._history + text.encode())[-HISTORY_BYTES:]
        self.stream.publish(text)
        if self._also is not None:
            self._also(text)

    def clear(self) -> None:
        """Begin with an empty history."""
        self._history = b""
