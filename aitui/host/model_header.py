"""The header of a model file on the host: only the bytes that hold it are read."""

import asyncio

from aitui.domain.clean import sanitize_line
from aitui.domain.gguf.header import GgufHeader, merge_headers
from aitui.domain.gguf.parts import part_paths
from aitui.domain.gguf.reader import GgufHeaderReader
from aitui.errors import ModelFileUnreadable
from aitui.host.shell import Host


async def read_model_header(host: Host, path: str) -> GgufHeader:
    """What a model's file says of it; a split model is read from all of its files.

    `path` is that of any of them. Raises ModelFileUnreadable where it is no GGUF file, and
    HostError.
    """
    first = await _read_header(host, path)
    others = [other for other in part_paths(path, first.parts) if other != path]
    headers = [first, *[await _read_header(host, other) for other in others]]
    # The first part alone has the model's metadata; the path may be that of another one.
    headers.sort(key=lambda header: header.layers is None)
    return merge_headers(headers)


async def _read_header(host: Host, path: str) -> GgufHeader:
    facts = await host.facts(await host.resolve(path))
    try:
        reader = GgufHeaderReader(facts.size)
        while (needs := reader.needs) is not None:
            content = await host.read(path, start=needs.offset, largest=needs.length)
            await asyncio.to_thread(reader.feed, content)
    except ModelFileUnreadable as error:
        raise ModelFileUnreadable(
            f"The header of {sanitize_line(path, 300)} can't be read", why=error.why
        ) from error
    return reader.header
