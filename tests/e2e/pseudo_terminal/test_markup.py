"""A model whose id is markup, in a real terminal: the chat with it opens, and the app goes on."""

import json

import pytest

from e2e.pseudo_terminal.terminal import terminal
from stand_in import StandIn


@pytest.mark.parametrize("model_id", ["a[/]b", "[@click=app.quit]zzz", "a[bold", "[/x]"])
async def test_a_chat_with_such_a_model_opens(nobody: dict[str, str], model_id: str) -> None:
    config = json.dumps({"models": {model_id: {"cmd": "llama-server --port ${PORT}"}}})
    async with (
        StandIn(config) as server,
        terminal(["--url", server.url], nobody, size=(60, 20)) as opened,
    ):
        await opened.see(" ms ", model_id)
        opened.press("\r")
        await opened.see(f"Ask {model_id} …")
        row = opened.line_of(f"Ask {model_id} …")
        column = opened.screen.display[row].index("zzz" if "zzz" in model_id else model_id)
        opened.press(f"\x1b[<0;{column + 1};{row + 1}M\x1b[<0;{column + 1};{row + 1}m")
        opened.press("hello")
        await opened.see("hello")
        opened.press("\x1b")
        await opened.see("write")
        opened.press("\x1b")
        await opened.see("○", model_id)
        opened.press("q")
        assert await opened.ends() == 0
