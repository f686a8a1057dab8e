"""What somebody does with the app while a fault is in place, and what has to be there afterwards."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from aitui.domain.models import RunState
from aitui.domain.snapshot import ConnectionPhase
from catalogue import QUICK, STEADY
from faults.gateway import Gateway
from stand_in import StandIn
from ui.driven import Driven

PROMPT = "What is a borrow checker?"


@dataclass(frozen=True)
class World:
    """The app, the gateway in front of the server, and the server."""

    app: Driven
    gateway: Gateway
    stand_in: StandIn

    @property
    def is_live(self) -> bool:
        """Whether the app is connected."""
        return self.app.models.snapshot.connection.phase is ConnectionPhase.LIVE

    async def until_live(self) -> None:
        """Wait until the app is connected, and hears of the server's events."""
        app = self.app
        await app.until(lambda: self.is_live and app.models.snapshot.events_flow, "live")

    async def swap(self, to: str) -> None:
        """Let another client load a model, and wait until the table shows it ready."""
        async with self.stand_in.busy(to):
            pass
        await self.app.until(lambda: self.app.model(to).state is RunState.READY, f"{to} ready")


class Operation(ABC):
    """One thing that aitui does with a server."""

    name: str
    requests: str
    """Which requests it is, as a pattern for method and path."""
    lasts = 20.0
    """Seconds after which the app has said what came of an answer."""

    async def prepare(self, world: World) -> None:  # noqa: B027 - most have nothing to prepare
        """Bring the app to the place where it is done."""

    @abstractmethod
    async def act(self, world: World) -> None:
        """Do it while the fault is in place; return once it met the fault."""

    @abstractmethod
    async def recover(self, world: World) -> None:
        """See that it works again in the same view, and that nothing was lost."""

    async def _meet(self, world: World) -> None:
        await world.app.until(lambda: world.gateway.broken, f"{self.name} sent")


class Poll(Operation):
    """Ask which models run."""

    name, requests = "poll", "GET /running"

    async def prepare(self, world: World) -> None:
        await world.swap(QUICK)

    async def act(self, world: World) -> None:
        await world.app.press("f5")
        await self._meet(world)

    async def recover(self, world: World) -> None:
        await world.until_live()
        await world.swap(STEADY)
        await world.app.until_ready(STEADY)


class ListModels(Operation):
    """Ask which models there are."""

    name, requests = "list", "GET /v1/models"

    async def act(self, world: World) -> None:
        await world.app.press("f5")
        await self._meet(world)

    async def recover(self, world: World) -> None:
        await world.until_live()
        await world.app.press("f5")
        await world.app.until(lambda: world.app.models.snapshot.model(QUICK), "listed")
        await world.swap(STEADY)


class Events(Operation):
    """Listen to the server's events."""

    name, requests = "events", "GET /api/events"

    async def act(self, world: World) -> None:
        await world.gateway.drop(self.requests)
        await self._meet(world)
        await world.swap(STEADY)  # the polls show it

    async def recover(self, world: World) -> None:
        await world.until_live()
        await world.swap(QUICK)


class Load(Operation):
    """Load a model."""

    name, requests = "load", f"GET /upstream/{QUICK}/health"

    async def prepare(self, world: World) -> None:
        world.app.go_to(QUICK)

    async def act(self, world: World) -> None:
        await world.app.press("l")
        await self._meet(world)

    async def recover(self, world: World) -> None:
        await world.until_live()
        app = world.app
        await app.until(lambda: app.model(QUICK).requested is None, "no load is open")
        assert app.under_cursor == QUICK
        if app.model(QUICK).state is not RunState.READY:
            await app.press("l")
        await app.until_ready(QUICK)


class Unload(Operation):
    """Unload a model."""

    name, lasts, requests = "unload", 70.0, f"POST /api/models/unload/{QUICK}"

    async def prepare(self, world: World) -> None:
        await world.swap(QUICK)
        world.app.go_to(QUICK)

    async def act(self, world: World) -> None:
        await world.app.press("u")
        await self._meet(world)

    async def recover(self, world: World) -> None:
        await world.until_live()
        app = world.app
        if app.model(QUICK).state is RunState.READY:
            await app.press("u")
        await app.until_ready()


class Chat(Operation):
    """Send a prompt, and read the reply as it comes."""

    name, requests = "chat", "POST /v1/chat/completions"

    async def prepare(self, world: World) -> None:
        await world.swap(QUICK)
        world.app.go_to(QUICK)
        await world.app.press("enter")
        await world.app.until(lambda: world.app.controllers.chat.chat is not None, "open")

    async def act(self, world: World) -> None:
        prompt = world.app.models.chat.prompt
        prompt.focus()
        prompt.set_text(PROMPT)
        await world.app.press("enter")
        await self._meet(world)

    async def recover(self, world: World) -> None:
        await world.until_live()
        app, chats = world.app, world.app.controllers.chat
        await app.until(lambda: not chats.any_busy, "the reply ended")
        chat = chats.chat
        assert chat is not None
        prompt = app.models.chat.prompt
        await app.until(
            lambda: prompt.text == PROMPT or PROMPT in [t.text for t in chat.conversation.path],
            "kept",
        )
        prompt.focus()
        prompt.set_text("And again?")
        await app.press("enter")
        await app.until(lambda: "And again?" in [t.text for t in chat.conversation.path], "sent")
        await app.until(lambda: not chats.any_busy and chat.conversation.path[-1].text, "replied")
        assert chat.conversation.path[-1].text != "And again?"


class Log(Operation):
    """Follow the server's log."""

    name, requests = "log", "GET /logs/stream"

    async def act(self, world: World) -> None:
        await world.app.press("2")
        await self._meet(world)

    async def recover(self, world: World) -> None:
        await world.until_live()
        world.stand_in.write_log("a line after it all\n")
        await world.app.see("a line after it all")


class Hardware(Operation):
    """Read the samples of the hardware."""

    # Samples are old after a minute.
    name, lasts, requests = "hardware", 75.0, "GET /api/performance"

    async def act(self, world: World) -> None:
        await world.app.press("4")
        await self._meet(world)

    async def recover(self, world: World) -> None:
        await world.until_live()
        await world.app.see("GPU 0")


OPERATIONS: tuple[Operation, ...] = (
    Poll(),
    ListModels(),
    Events(),
    Load(),
    Unload(),
    Chat(),
    Log(),
    Hardware(),
)
