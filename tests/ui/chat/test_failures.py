"""When it goes wrong: what is said, what is kept, and what comes back into the prompt."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from aitui.demo.answers import (
    EVENT_STREAM,
    JSON,
    ChunkedResponse,
    CompleteResponse,
    Response,
    ResponseContent,
)
from aitui.demo.call import IncomingRequest
from aitui.domain.chat.conversation import TurnState
from aitui.domain.chat.reply import ReplyPhase
from aitui.domain.snapshot import Clock, Server
from aitui.services import chat as chat_module
from aitui.services import monitor as sleep_watch
from other_client import OtherClient
from stand_in import ConnectionClose, Fault, FixedResponse, HtmlPage, StandIn
from ui.chat.pane import BROKEN, CONFIG, DIES, ENDLESS, FAST, OTHER, SHARED, Pane, chatting

CHAT = "/v1/chat"
WIDE = (120, 36)


@dataclass(frozen=True)
class Streams(Fault):
    """Answer with a stream of exactly these pieces, and end it."""

    pieces: tuple[bytes, ...]

    async def respond(self, call: IncomingRequest, /) -> Response:
        """Send them."""
        stream = await call.begin(ChunkedResponse({"Content-Type": EVENT_STREAM}))
        for piece in self.pieces:
            await stream.send(piece)
        return stream


@dataclass(frozen=True)
class FallsSilent(Fault):
    """Answer with a stream that begins with these pieces, and never goes on."""

    pieces: tuple[bytes, ...]

    async def respond(self, call: IncomingRequest, /) -> Response:
        """Send them."""
        stream = await call.begin(ChunkedResponse({"Content-Type": EVENT_STREAM}))
        for piece in self.pieces:
            await stream.send(piece)
        await asyncio.Event().wait()
        return stream


@dataclass(frozen=True)
class Refuses(Fault):
    """Answer with an error and these headers."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()

    async def respond(self, _call: IncomingRequest, /) -> Response:
        """Send it."""
        return CompleteResponse(ResponseContent(self.status, self.body, JSON, dict(self.headers)))


def says(text: str) -> bytes:
    chunk = {"id": "x", "model": FAST, "choices": [{"index": 0, "delta": {"content": text}}]}
    return f"data: {json.dumps(chunk)}\n\n".encode()


def error(**told: Any) -> bytes:
    return json.dumps({"error": told}).encode()


CONTEXT = error(
    code=400,
    message="the request exceeds the available context size",
    type="exceed_context_size_error",
    n_prompt_tokens=41210,
    n_ctx=32768,
)


async def cut_midway(pane: Pane, cut: Callable[[], Any]) -> None:
    """Let an endless answer begin, and do that to it."""
    await pane.send("go on")
    await pane.streams()
    result = cut()
    if asyncio.iscoroutine(result):
        await result
    answer = await pane.ended()
    assert answer.phase is ReplyPhase.CUT
    turn = pane.chat.conversation.path[-1]
    assert turn.state is TurnState.CUT
    assert turn.reasoning


# --- the stream ends early: what came is kept


async def test_a_server_that_dies_midway(stand_in: StandIn, server: Server, tmp_path: Path) -> None:
    async with chatting(stand_in, server, tmp_path, DIES) as pane:
        answer = await pane.ask("hi")
        assert answer.phase is ReplyPhase.CUT
        await pane.app.see("✘ cut", "after 20 tokens", "/continue")
        await pane.app.told(f"{DIES} crashed: upstream exited unexpectedly")
        assert pane.written == ""


async def test_a_model_that_is_unloaded_midway(
    stand_in: StandIn, server: Server, other: OtherClient, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path, ENDLESS) as pane:
        await cut_midway(pane, lambda: other.unload(ENDLESS))
        await pane.app.see("✘ cut", "unloaded")


async def test_a_server_that_reloads_midway(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path, ENDLESS) as pane:
        await cut_midway(pane, lambda: stand_in.reload(CONFIG))


async def test_a_server_that_goes_midway_and_comes_back(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path, ENDLESS) as pane:
        await cut_midway(pane, stand_in.stop)
        await stand_in.start()
        await pane.app.press("escape", "f5")
        await pane.app.until(lambda: pane.app.models.snapshot.events_flow, "live")
        await pane.send("/continue")
        await pane.streams()
        await pane.app.press("ctrl+c")
        await pane.ended()


async def test_what_was_cut_is_there_after_a_restart(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path, DIES) as pane:
        await pane.ask("hi")
        kept = pane.chat.conversation.path[-1]
    async with chatting(stand_in, server, tmp_path) as pane:
        await pane.send("/history")
        await pane.app.see("hi")
        await pane.app.press("enter", "down", "enter")
        await pane.app.until(lambda: pane.said, "resumed")
        assert pane.chat.conversation.path[-1].text == kept.text
        await pane.app.see("✘ cut")


async def test_a_stream_without_its_end(pane: Pane) -> None:
    pane.stand_in.fault(CHAT, Streams((says("half of an an"),)), 1)
    answer = await pane.ask("hi")
    assert answer.phase is ReplyPhase.CUT
    await pane.app.see("half of an an", "✘ cut", "/continue")


async def test_an_error_object_inside_a_stream(pane: Pane) -> None:
    told = error(code=500, message="CUDA error: out of luck", type="server_error")
    pane.stand_in.fault(CHAT, Streams((says("half of"), b"data: " + told + b"\n\n")), 1)
    answer = await pane.ask("hi")
    assert answer.phase is ReplyPhase.CUT
    await pane.app.see("half of", "CUDA error: out of luck")


async def test_a_bare_error_line_inside_a_stream(pane: Pane) -> None:
    pane.stand_in.fault(CHAT, Streams((says("half of"), b'{"error": "exit status 1"}\n')), 1)
    answer = await pane.ask("hi")
    assert answer.phase is ReplyPhase.CUT
    await pane.app.see("half of", "exit status 1")


async def test_the_context_is_full_midway(pane: Pane) -> None:
    told = error(code=500, message="Context size has been exceeded.", type="server_error")
    pane.stand_in.fault(CHAT, Streams((says("half of"), b"data: " + told + b"\n\n")), 1)
    await pane.ask("hi")
    await pane.app.see("half of", f"The context of {FAST} is full")


async def test_retry_after_a_cut_asks_anew(pane: Pane) -> None:
    pane.stand_in.fault(CHAT, Streams((says("half of"),)), 1)
    await pane.ask("hi")
    await pane.send("/retry")
    await pane.app.until(lambda: len(pane.bodies) == 2, "asked")
    answer = await pane.ended()
    assert answer.phase is ReplyPhase.DONE


async def test_what_a_sleep_of_the_machine_cut_is_gone_on_with(
    monkeypatch: pytest.MonkeyPatch, stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    monkeypatch.setattr(sleep_watch, "CHECK_SECONDS", 0.05)
    monkeypatch.setattr(chat_module, "SILENCE_AFTER_SUSPEND", 0.2)
    slept = [0.0]
    clock = Clock(time.monotonic, lambda: time.time() + slept[0])
    async with chatting(stand_in, server, tmp_path, clock=clock) as pane:
        stand_in.fault(CHAT, FallsSilent((says("half of"),)), 1)
        await pane.send("hi")
        await pane.begun()
        slept[0] = 3600.0
        answer = await pane.ended()
        assert answer.phase is ReplyPhase.CUT
        await pane.app.see("half of", "machine slept", "/continue")
        await pane.send("/continue")
        await pane.app.until(lambda: len(pane.bodies) == 2, "asked")
        assert (await pane.ended()).phase is ReplyPhase.DONE
        assert pane.said[-1].startswith("half of")


async def test_an_answer_that_falls_silent_is_shown_as_waiting(pane: Pane) -> None:
    pane.stand_in.fault(CHAT, FallsSilent((says("half"), says(" of"), says(" it"))), 1)
    await pane.send("hi")
    await pane.app.see("waiting, 3 s without a token")
    assert "tok/s" not in pane.app.text
    monitor = pane.app.controllers.context.session.monitor
    await monitor.expect_restart(time.monotonic() + 20)
    await pane.app.see("waiting, the server restarts within 1")
    await monitor.expect_restart(None)
    await pane.app.press("ctrl+c")
    await pane.ended()
    await pane.app.see("stopped")
    assert "0.00" not in pane.app.text


# --- nothing came: the prompt comes back


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Refuses(400, CONTEXT), "41,210 tokens, the context of"),
        (
            Refuses(429, error(message="Too many requests"), (("Retry-After", "7"),)),
            "7 s",
        ),
        (Refuses(401, error(message="Invalid API Key")), "Invalid API Key"),
        (FixedResponse(502, b"", "text/plain"), "502"),
        (HtmlPage(), "web page"),
        (ConnectionClose(), "127.0.0.1"),
        (Streams(()), "never began"),
    ],
    ids=["context", "too-many", "key", "proxy", "page", "closed", "empty"],
)
async def test_where_nothing_came_the_prompt_comes_back(
    pane: Pane, fault: Fault, words: str
) -> None:
    pane.stand_in.fault(CHAT, fault)
    await pane.send("Why is the sky blue?")
    await pane.app.told(words)
    assert pane.written == "Why is the sky blue?"
    assert pane.said == []


async def test_a_full_context_says_what_helps(pane: Pane) -> None:
    pane.stand_in.fault(CHAT, Refuses(400, CONTEXT), 1)
    await pane.send("hi")
    await pane.app.told("/delete removes turns, /clear starts a new conversation")


async def test_where_the_config_can_be_changed_a_size_that_fits_is_named(
    stand_in: StandIn, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    administered = replace(server, ssh_host="local")
    async with chatting(stand_in, administered, tmp_path) as pane:
        stand_in.fault(CHAT, Refuses(400, CONTEXT), 1)
        await pane.send("hi")
        await pane.app.told("^g makes it 64k")
        await pane.app.see("^g more context")
        await pane.app.press("ctrl+g")
        await pane.app.until(lambda: pane.widget.needed_context == 65536, "kept until it is sent")


async def test_what_is_written_meanwhile_is_not_written_over(pane: Pane) -> None:
    pane.stand_in.fault(CHAT, Refuses(401, error(message="Invalid API Key")), 1)
    pane.app.burst(*"one", "enter", *"two")
    await pane.app.told("Invalid API Key")
    assert pane.written == "two"
    await pane.app.press("up")
    assert pane.written == "one"


async def test_an_image_comes_back_with_its_prompt(pane: Pane, tmp_path: Path) -> None:
    (tmp_path / "cat.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    await pane.send(f"/file {tmp_path / 'cat.png'}")
    await pane.app.told("is attached")
    pane.stand_in.fault(CHAT, FixedResponse(502, b"", "text/plain"), 1)
    await pane.send("What is this?")
    await pane.app.until(lambda: pane.written == "What is this?", "back")
    await pane.app.press("enter")
    await pane.app.until(lambda: len(pane.asked) == 2, "asked")
    assert isinstance(pane.asked[1][0]["content"], list)


async def test_a_refused_image_is_named_and_detached(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    path = tmp_path / "cat.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n")
    async with chatting(stand_in, server, tmp_path, OTHER, size=WIDE) as pane:
        await pane.send(f"/file {path}")
        await pane.app.see("▣ cat.png ×")
        await pane.send("What is this?")
        await pane.app.told(f"{OTHER} rejected an image: cat.png is detached")
        await pane.app.told("image input is not supported")
        assert any("again: /file " in one for one in pane.app.said)
        assert pane.written == "What is this?"
        await pane.app.unsee("▣")
        await pane.app.press("enter")
        assert (await pane.ended()).phase is ReplyPhase.DONE


async def test_an_image_that_another_model_took_is_named_too(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    (tmp_path / "cat.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    async with chatting(stand_in, server, tmp_path) as pane:
        await pane.send(f"/file {tmp_path / 'cat.png'}")
        await pane.app.told("is attached")
        await pane.ask("What is this?")
        await pane.send(f"/model {SHARED}")
        await pane.app.until(lambda: pane.widget.model_id == SHARED, "with the other")
        await pane.send("Are you sure?")
        await pane.app.answer("y")
        await pane.app.told(f"{SHARED} rejected an image: cat.png, from an earlier prompt")
        await pane.app.told("/clear starts a new conversation")


async def test_a_model_that_is_gone_from_the_server_names_the_nearest(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path) as pane:
        await stand_in.reload(CONFIG.replace(FAST, "fast-8b"))
        await pane.app.until(
            lambda: any(model.id == "fast-8b" for model in pane.app.models.snapshot.models),
            "listed",
        )
        await pane.send("hi")
        await pane.app.told("fast-8b")
        assert pane.written == "hi"


async def test_a_server_that_is_gone_says_so(pane: Pane) -> None:
    await pane.stand_in.stop()
    await pane.send("hi")
    await pane.app.until(lambda: pane.written == "hi", "back")
    assert pane.said == []
    await pane.app.until(lambda: pane.app.said, "said")


async def test_a_load_that_fails_says_why(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path, BROKEN) as pane:
        await pane.send("hi")
        await pane.app.told(f"{BROKEN} could not be loaded")
        await pane.app.told("out of memory")
        await pane.app.until(lambda: pane.written == "hi", "back")
        await pane.app.see("failed: out of memory")


async def test_a_load_that_fails_offers_what_it_had_evicted(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path, BROKEN, size=WIDE) as pane:
        async with stand_in.busy(OTHER):
            await pane.app.until_ready(OTHER)
        await pane.send("hi")
        await pane.app.see(f"▌{OTHER}")
        await pane.app.answer("y")
        await pane.app.see(f"Load {OTHER} again?", "out of memory")
        await pane.app.answer("y")
        await pane.app.until_ready(OTHER)
        assert pane.written == "hi"


@pytest.mark.parametrize("size", [(80, 24), WIDE])
async def test_what_is_said_of_a_full_context_is_whole_on_screen(
    stand_in: StandIn, server: Server, tmp_path: Path, size: tuple[int, int]
) -> None:
    async with chatting(stand_in, server, tmp_path, size=size) as pane:
        stand_in.fault(CHAT, Refuses(400, CONTEXT), 1)
        await pane.send("hi")
        await pane.app.told(f"The prompt has 41,210 tokens, the context of {FAST} holds 32,768")
        await pane.app.told("raise the context size")


async def test_why_it_failed_stays_in_sight_until_it_is_asked_anew(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path) as pane:
        stand_in.fault(CHAT, Refuses(400, CONTEXT), 1)
        await pane.send("hi")
        await pane.app.told("The prompt has 41,210 tokens")
        pane.app.forget()
        assert "41,210" in pane.app.line_of("failed: ")
        await pane.send(" again")
        await pane.app.see("done")
        assert "failed" not in pane.app.text


async def test_a_reason_that_would_steer_the_terminal_is_shown_as_text(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    hostile = "\x1b[2J\x1b]0;owned\x07[bold]loud[/]\tand\nwide 漢" + "x" * 5000
    async with chatting(stand_in, server, tmp_path) as pane:
        stand_in.fault(CHAT, Refuses(400, error(message=hostile)), 1)
        await pane.send("hi")
        await pane.app.told("[bold]loud[/]")
        await pane.app.see("failed: ")
        for keys, words in (((), "failed: "), (("escape", "m"), "[bold]loud[/]")):
            await pane.app.press(*keys)
            await pane.app.see(words)
            for strip in pane.app.strips:
                assert strip.cell_length == 80
                assert strip.text.isprintable(), repr(strip.text)
