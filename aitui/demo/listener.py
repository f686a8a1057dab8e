"""Closing what listens without forgetting who has just come in."""

import asyncio

_TURNS = 3  # until a connection that is accepted in one has its protocol


async def close_listener(listener: asyncio.Server) -> None:
    """Close it as its own `close()` does, except that connections just accepted are made first.

    asyncio forgets the sockets of those: https://github.com/python/cpython/issues/109564
    """
    loop = asyncio.get_running_loop()
    for listening in listener.sockets:
        loop.remove_reader(listening.fileno())
    try:
        for _ in range(_TURNS):
            await asyncio.sleep(0)
    finally:
        listener.close()
