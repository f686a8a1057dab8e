"""What a server under test answers, asked without aitui."""

import asyncio
import json
import urllib.request
from urllib.error import URLError

PATIENCE = 20.0


def asked(url: str) -> bytes:
    """The body of an answer."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        body: bytes = answer.read()
        return body


async def until_it_answers(url: str) -> None:
    """Return when the server is healthy."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                await asyncio.to_thread(asked, f"{url}/health")
            except (URLError, ConnectionError):
                await asyncio.sleep(0.05)
            else:
                return


async def running_commands(url: str) -> dict[str, str]:
    """The commands of the models that run, by id, words apart by single blanks."""
    answer = json.loads(await asyncio.to_thread(asked, f"{url}/running"))
    return {model["model"]: " ".join(model["cmd"].split()) for model in answer["running"]}
