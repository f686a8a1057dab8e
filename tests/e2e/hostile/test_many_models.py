"""A hundred thousand models, in a real pseudo-terminal."""

import json
from pathlib import Path

from e2e.hostile.payloads import EVIL, leaks
from e2e.pseudo_terminal.terminal import surroundings, terminal
from stand_in import FixedResponse, StandIn

MANY = 100_000


async def test_a_hundred_thousand_models_are_listed_and_searched(tmp_path: Path) -> None:
    data = [{"id": f"model-{number:06d}{MARK}", "object": "model"} for number in range(MANY)]
    body = json.dumps({"object": "list", "data": data}).encode()
    async with StandIn("models: {}") as stand_in:
        stand_in.fault("/v1/models", FixedResponse(200, body))
        async with terminal(["--url", stand_in.url], surroundings(tmp_path)) as shown:
            await shown.see(" ms ", "model-000000", "first 5,000")
            shown.press("G")
            await shown.see("model-004999")
            shown.press("/")
            await shown.see("filter by id")
            shown.press("004321")
            await shown.see("model-004321")
            await shown.unsee("model-004999")
            assert not leaks(bytes(shown.sent))


MARK = EVIL[:40]
