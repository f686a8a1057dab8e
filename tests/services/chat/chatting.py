"""A chat with a stand-in over mutual TLS, and every state that its answers went through."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aitui.demo.certificates import Certificates
from aitui.demo.dialect import Dialect
from aitui.domain.chat.conversation import Conversation
from aitui.domain.chat.reply import Reply, ReplyPhase
from aitui.domain.snapshot import Clock, Server
from aitui.llamaswap.chat import ChatClient
from aitui.services.chat import ChatSession
from aitui.store.history import ConversationHistory
from stand_in import StandIn

FAST, LONG, ENDLESS = "fast", "long", "endless"
DIES, LOADS, BROKEN = "dies", "loads", "broken"

CONFIG = f"""\
healthCheckTimeout: 10
macros:
  "fake": "llama-server --port ${{PORT}} --ctx-size 8192"
models:
  "{FAST}":
    cmd: "${{fake}} --tokens-per-second 2000 --chunks 40"
  "{LONG}":
    cmd: "${{fake}} --tokens-per-second 400 --chunks 2000"
  "{ENDLESS}":
    cmd: "${{fake}} --tokens-per-second 100 --chunks 100000 --parallel 1"
  "{DIES}":
    cmd: "${{fake}} --tokens-per-second 2000 --chunks 40 --die-after 20"
  "{LOADS}":
    cmd: "${{fake}} --load-delay 0.3 --tokens-per-second 2000"
    sendLoadingState: true
  "{BROKEN}":
    cmd: "${{fake}} --fail-oom 0.1"
"""


@dataclass
class Talk:
    """A chat, the stand-in, and the states that were published."""

    stand_in: StandIn
    server: Server
    chat: ChatSession
    published: list[Reply] = field(default_factory=list)

    @property
    def phases(self) -> list[ReplyPhase]:
        """The phases in their order, each run of one once."""
        return [phase for phase, _ in itertools.groupby(answer.phase for answer in self.published)]

    @property
    def answer(self) -> Reply:
        assert self.chat.reply is not None
        return self.chat.reply

    async def until(self, condition: Callable[[Reply], object], limit: float = 10.0) -> Reply:
        async with asyncio.timeout(limit):
            while not (self.published and condition(self.published[-1])):
                await asyncio.sleep(0.005)
        return self.published[-1]

    def busy_slots(self, model: str) -> int:
        """How many answers that model is at."""
        return self.stand_in._active_runtime.swap.processes[model].busy_slots

    async def until_idle(self, model: str, limit: float = 10.0) -> None:
        async with asyncio.timeout(limit):
            while self.busy_slots(model):
                await asyncio.sleep(0.005)


@asynccontextmanager
async def talking(
    certificates: Certificates,
    model: str = FAST,
    *,
    history: ConversationHistory | None = None,
    dialect: Dialect = Dialect.V218,
) -> AsyncIterator[Talk]:
    """An empty conversation with that model."""
    async with StandIn(CONFIG, dialect, certificates) as stand_in:
        server = Server(
            url=stand_in.url,
            identity="stand-in",
            ca=certificates.root_ca,
            client_cert=certificates.client_cert,
            client_key=certificates.client_key,
            timeout=10.0,
        )
        published: list[Reply] = []
        numbers = itertools.count(1)
        async with ChatClient(server) as client:
            chat = ChatSession(
                client,
                Conversation("c", server="stand-in", model=model),
                clock=Clock(time.monotonic, time.time),
                new_id=lambda: f"t{next(numbers)}",
                history=history,
                on_change=lambda _, reply: published.append(reply),
            )
            try:
                yield Talk(stand_in, server, chat, published)
            finally:
                await chat.close()
