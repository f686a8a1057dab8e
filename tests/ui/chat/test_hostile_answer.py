"""Answers that could harm whoever reads them are shown harmlessly."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from textual import events

from aitui.demo.answers import EVENT_STREAM, ChunkedResponse, Response
from aitui.demo.call import IncomingRequest
from e2e.pseudo_terminal.terminal import Terminal, surroundings, terminal
from stand_in import Fault, FixedResponse, StandIn
from ui.chat.pane import CONFIG, FAST, Pane

CLIPBOARD = "\x1b]52;c;b3duZWQ=\x07"
TITLE = "\x1b]0;owned\x07"
LINK = "[harmless](javascript:alert(1)) and \x1b]8;;http://evil.invalid\x1b\\there\x1b]8;;\x1b\\"
MARKUP = "[@click=app.quit]press[/] [bold red]loud[/bold red] [/nothing]"
HOSTILE = f"begin {CLIPBOARD}{TITLE}\x1b[2J\x1b[31mred\x1b[0m\x9b2J\x9d0;x\x9c\r\n\n{LINK}\n\n{MARKUP}\n\n"


@dataclass(frozen=True)
class Says(Fault):
    """Answer with these texts, a chunk each, and end well."""

    texts: tuple[str, ...]

    async def respond(self, call: IncomingRequest, /) -> Response:
        """Send them."""
        stream = await call.begin(ChunkedResponse({"Content-Type": EVENT_STREAM}))
        for text in self.texts:
            delta = {"choices": [{"index": 0, "delta": {"content": text}}]}
            await stream.send(f"data: {json.dumps(delta)}\n\n".encode())
        await stream.send(b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n')
        await stream.send(b"data: [DONE]\n\n")
        return stream


def controls_in(text: str) -> list[str]:
    return [sign for sign in text if ord(sign) < 32 or 127 <= ord(sign) < 160]


async def test_sequences_split_over_chunks_never_reach_the_strips(pane: Pane) -> None:
    pane.stand_in.fault("/v1/chat", Says(tuple(HOSTILE + "the end")), 1)
    await pane.ask("hi")
    await pane.app.see("the end", "press", "loud")
    for strip in pane.app.strips:
        assert not controls_in(strip.text)


async def test_markup_is_text_and_clicks_do_nothing(pane: Pane) -> None:
    pane.stand_in.fault("/v1/chat", Says((MARKUP,)), 1)
    await pane.ask("hi")
    await pane.app.see("[@click=app.quit]press[/]")
    await pane.app.click("press")
    await pane.app.settle()
    assert pane.app.app.is_running


async def test_no_strip_carries_a_link_or_an_action(pane: Pane) -> None:
    pane.stand_in.fault("/v1/chat", Says((HOSTILE + "the end",)), 1)
    await pane.ask("hi")
    await pane.app.see("the end")
    for strip in pane.app.strips:
        for segment in strip:
            if segment.style is not None:
                assert segment.style.link is None
                assert not any(key.startswith("@") for key in segment.style.meta)


async def test_a_line_of_a_megabyte_is_shown_and_left(pane: Pane) -> None:
    pane.stand_in.fault("/v1/chat", Says(("x" * (1 << 20), "\n\nthe end")), 1)
    await pane.ask("hi")
    await pane.app.see("the end")
    await pane.app.press("escape", "g")
    await pane.app.see("hi", "xxxx")


async def test_what_is_pasted_is_shown_harmlessly(pane: Pane) -> None:
    pane.app.app.post_message(events.Paste(HOSTILE))
    await pane.app.see("begin")
    for strip in pane.app.strips:
        assert not controls_in(strip.text)


async def test_hostile_words_of_an_error_are_shown_harmlessly(pane: Pane) -> None:
    told = json.dumps({"error": {"message": f"no {CLIPBOARD}{MARKUP}"}}).encode()
    pane.stand_in.fault("/v1/chat", FixedResponse(400, told), 1)
    await pane.send("hi")
    await pane.app.told("[@click=app.quit]press[/]")
    for strip in pane.app.strips:
        assert not controls_in(strip.text)


@pytest.fixture
async def shown(tmp_path: Path) -> AsyncIterator[tuple[StandIn, Terminal]]:
    """The program in a pseudo-terminal, in front of a stand-in without TLS."""
    async with (
        StandIn(CONFIG) as stand_in,
        terminal(["--url", stand_in.url], surroundings(tmp_path)) as running,
    ):
        await running.see(" ms ", FAST)
        yield stand_in, running


async def test_no_byte_of_it_reaches_the_terminal(shown: tuple[StandIn, Terminal]) -> None:
    stand_in, running = shown
    stand_in.fault("/v1/chat", Says((*HOSTILE, "x" * 100_000, "\n\nthe end")), 1)
    running.press("\r")
    await running.see("Start typing")
    running.press("hi\r")
    await running.see("the end")
    assert b"\x1b]52" not in running.sent
    assert b"\x1b]0;owned" not in running.sent
    assert b"\x1b]8;" not in running.sent
    assert b"\x9d0;" not in running.sent
    assert b"\x1b[2J" not in bytes(running.sent).partition(b"Ask ")[2]
