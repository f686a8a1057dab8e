"""The app with a conversation open, in front of models that answer in a known way."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aitui.domain.chat.reply import Reply, ReplyPhase
from aitui.domain.snapshot import Server
from aitui.services.chat import ChatSession
from aitui.ui.widgets.chat_pane import ChatPane
from stand_in import StandIn
from ui.driven import Driven, driven

FAST, OTHER, ENDLESS = "fast-7b", "other-3b", "endless-30b"
DIES, UNHURRIED, BROKEN = "dies-midway", "unhurried-14b", "broken-405b"
SHARED, TALKATIVE = "shared-4b", "talkative-9b"

CONFIG = f"""\
healthCheckTimeout: 10
macros:
  "fake": "llama-server --port ${{PORT}} --ctx-size 8192 --parallel 1"
models:
  "{FAST}":
    cmd: "${{fake}} --tokens-per-second 2000 --chunks 40 --mmproj eyes.gguf"
  "{OTHER}":
    cmd: "${{fake}} --tokens-per-second 2000 --chunks 40"
  "{ENDLESS}":
    cmd: "${{fake}} --tokens-per-second 100 --chunks 100000"
  "{DIES}":
    cmd: "${{fake}} --tokens-per-second 2000 --chunks 40 --die-after 20"
  "{UNHURRIED}":
    cmd: "${{fake}} --load-delay 1 --tokens-per-second 2000"
  "{SHARED}":
    cmd: "llama-server --port ${{PORT}} --ctx-size 8192 --parallel 4 --tokens-per-second 2000"
    env: ["LLAMA_ARG_KV_UNIFIED=1"]
  "{TALKATIVE}":
    cmd: "${{fake}} --tokens-per-second 60 --chunks 400"
  "{BROKEN}":
    cmd: "${{fake}} --fail-oom 0.1"
"""


class Pane:
    """One running app, as somebody who chats sees it."""

    def __init__(self, app: Driven, stand_in: StandIn) -> None:
        self.app = app
        self.stand_in = stand_in

    @property
    def widget(self) -> ChatPane:
        return self.app.models.chat

    @property
    def written(self) -> str:
        """What stands in the prompt."""
        return self.widget.prompt.text

    @property
    def chat(self) -> ChatSession:
        chat = self.app.controllers.chat.chat
        assert chat is not None
        return chat

    @property
    def answer(self) -> Reply:
        assert self.chat.reply is not None
        return self.chat.reply

    @property
    def said(self) -> list[str]:
        """What the conversation that is shown holds, without reasoning."""
        return [turn.text for turn in self.chat.conversation.path]

    @property
    def asked(self) -> list[list[dict[str, Any]]]:
        """The messages of each request that reached the server."""
        return [body["messages"] for body in self.bodies]

    @property
    def bodies(self) -> list[dict[str, Any]]:
        """Each request that reached the server."""
        requests = self.stand_in.requests
        return [json.loads(r.body) for r in requests if r.path.startswith("/v1/chat")]

    async def open(self, model_id: str) -> None:
        """Chat with that model."""
        self.app.table.focus()
        self.app.go_to(model_id)
        await self.app.press("enter")
        chats = self.app.controllers.chat
        await self.app.until(
            lambda: chats.chat is not None and chats.chat.conversation.model == model_id, "open"
        )

    async def send(self, text: str) -> None:
        """Write that and send it."""
        self.widget.prompt.focus()
        self.widget.prompt.set_text(text)
        await self.app.press("enter")

    async def ask(self, text: str) -> Reply:
        """Send that, and wait for the answer's end."""
        before = self.app.controllers.chat.chat and self.chat.reply
        await self.send(text)
        await self.app.until(lambda: self.chat.reply is not before, "asked")
        return await self.ended()

    async def ended(self) -> Reply:
        """Wait until no answer is under way any more, and everything is said of it."""
        chats = self.app.controllers.chat
        await self.app.until(lambda: not chats.any_busy and not chats._pending_requests, "ended")
        await self.app.settle()
        return self.answer

    async def streams(self, tokens: int = 5) -> None:
        """Wait until so much of an answer came."""
        await self.app.until(
            lambda: self.chat.busy and self.answer.rates.tokens >= tokens, "streaming"
        )

    async def begun(self) -> None:
        """Wait until text of an answer is on screen."""
        await self.app.until(
            lambda: self.chat.busy and self.answer.phase is ReplyPhase.STREAMING, "text"
        )

    def busy_slots(self, model_id: str) -> int:
        """How many answers that model is at."""
        return self.stand_in._active_runtime.swap.processes[model_id].busy_slots


@asynccontextmanager
async def chatting(
    stand_in: StandIn, server: Server, folder: Path, model_id: str = FAST, **more: Any
) -> AsyncIterator[Pane]:
    """The app with an empty conversation, or, with no model, in front of the table."""
    async with driven(server, folder, **more) as app:
        await app.until(lambda: app.models.snapshot.events_flow, "live")
        pane = Pane(app, stand_in)
        if model_id:
            await pane.open(model_id)
        yield pane
