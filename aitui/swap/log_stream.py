"""A log stream as it arrives, line by line."""

from collections.abc import AsyncGenerator, AsyncIterator

from aitui.domain.log_lines import LineAssembler, LineBatch


async def read_lines(chunks: AsyncIterator[bytes]) -> AsyncGenerator[LineBatch, None]:
    """What each chunk completes; a chunk that only goes on with a line changes `unfinished`."""
    assembler = LineAssembler()
    async for chunk in chunks:
        yield assembler.feed(chunk)
