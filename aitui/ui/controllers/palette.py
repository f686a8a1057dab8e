"""The entries of the command palette: keys of a screen, models, conversations, servers, themes."""

import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from textual.app import App
from textual.message import Message
from textual.screen import Screen

from aitui.domain.eviction import predict_victims
from aitui.domain.memory.forecast import FitVerdict
from aitui.domain.models import Model, RunState
from aitui.domain.sanitize import sanitize_line
from aitui.domain.snapshot import Server, Snapshot
from aitui.domain.units import count_of, format_age, format_seconds, format_tokens
from aitui.services.load import load_confirmation
from aitui.ui import messages
from aitui.ui.background import TaskRunner
from aitui.ui.keymap import ABOUT, MODELS, PALETTE
from aitui.ui.screens.help import active_keys
from aitui.ui.screens.palette import Command, PaletteScreen, StyledText

if TYPE_CHECKING:
    from aitui.domain.chat.conversation import ListedConversation
    from aitui.ui.controllers.server import ServerSwitcher
    from aitui.ui.screens.models import ModelsScreen

_SIGNS = {
    RunState.READY: ("●", "$ready"),
    RunState.STARTING: ("◑", "$transit"),
    RunState.STOPPING: ("◌", "$transit"),
}


def open_palette(
    app: App[None],
    models: "ModelsScreen",
    servers: "ServerSwitcher",
    tasks: TaskRunner,
    *,
    choose_theme: Callable[[str], None],
    query: str = "",
) -> None:
    """Show the palette at once, so that what is typed ahead is its own, and run what is chosen."""
    screen, current = app.screen, servers.controllers

    async def chat(model: Model) -> None:
        await app.run_action("app.models")
        await models.chat_with(model)

    palette = PaletteScreen(
        [
            *screen_commands(screen),
            *model_commands(app.post_message, models.snapshot, chat),
            *server_commands(servers.known_servers, models.server, servers.go_to),
            *theme_commands(app, choose_theme),
        ],
        lambda: models.snapshot,
        query,
    )

    async def add_what_is_read() -> None:
        """Add entries that are read from files: URLs of servers, and conversations."""
        more = [
            Command(f"server {url}", partial(servers.go_to_url, url), cost=_fixed("used before"))
            for url in await servers.read_urls()
        ]
        if current is not None:
            conversations = current.conversations
            more += conversation_commands(await conversations.list(), conversations.resume)
        if palette in app.screen_stack:
            palette.add_commands(more)

    def run(chosen: Command | None) -> None:
        if chosen is not None and isawaitable(result := chosen.run()):
            tasks.run_in_background(_wait_for(result), "palette command")

    app.push_screen(palette, run)
    tasks.run_in_background(add_what_is_read(), "palette")


async def _wait_for(result: Awaitable[object]) -> None:
    await result


def screen_commands(screen: Screen[Any]) -> Iterator[Command]:
    """Yield what the keys of a screen do; moving the cursor is left to the keys."""
    costs = {
        "app.reload_config": cost_of_all,
        "app.restart_service": cost_of_all,
        "app.unload_all": cost_of_all,
    }
    for keys, words, action in active_keys(screen):
        if "move(" in action or action in {"app.command_palette", "dismiss", "back"}:
            continue
        run, about = partial(screen.run_action, action), ABOUT.get(action, "")
        cost = costs.get(action)
        yield Command(words, run, keys.split()[0], cost=cost, about=about, hidden=False)
    for title, action in PALETTE:
        run = partial(screen.run_action, action)
        yield Command(title, run, about=ABOUT[action], hidden=False)


def _fixed(words: str) -> Callable[[Snapshot], StyledText]:
    return lambda _: (words, "$muted")


def cost_of_all(snapshot: Snapshot) -> StyledText:
    """Count the models and requests that end when everything is unloaded."""
    models, requests = len(snapshot.resident), snapshot.requests.total or 0
    parts = [f"unloads {count_of(models, 'model')}"] if models else []
    parts += [f"cuts {count_of(requests, 'request')}"] if requests else []
    return ", ".join(parts) or "nothing is loaded", "$warning" if parts else "$muted"


def model_commands(
    post: Callable[[Message], object], snapshot: Snapshot, chat: Callable[[Model], object]
) -> Iterator[Command]:
    """Yield load, chat and log of each model."""
    load, talk, log = (MODELS.sign(action) for action in ("load", "chat", "log"))
    for model in snapshot.models:
        if not model.loadable:
            continue
        sign = ("✘", "$error") if model.failed else _SIGNS.get(model.state, ("○", "$muted"))
        cost, asked = partial(_load_cost, model.id), partial(load_confirmation, model.id)
        ready = model.state is RunState.READY
        if not ready:
            run = partial(post, messages.LoadRequested(model))
            yield Command(f"load {model.id}", run, load, sign, cost, asked)
        first = None if ready else cost
        yield Command(f"chat with {model.id}", partial(chat, model), talk, sign, first, asked)
        run = partial(post, messages.LogRequested(model))
        yield Command(f"log of {model.id}", run, log, about="Reading a log never loads a model.")


def _load_cost(model_id: str, snapshot: Snapshot) -> StyledText:
    model = snapshot.model(model_id)
    if model is None:
        return "", ""
    victims = predict_victims(model, snapshot)
    goes = [victim.model.id for victim in victims]
    fit = snapshot.hardware.fit(model_id, model.context.tokens, goes)
    takes = "" if model.expected_load is None else format_seconds(model.expected_load)
    if fit.verdict is FitVerdict.NO:
        words, style = "does not fit", "$error"
    elif victims:
        words, style = f"unloads {len(victims)}", "$warning"
    elif fit.needed is None:
        words, style = "memory unknown", "$muted"
    else:
        words, style = fit.needed.label, "$muted"
    return " · ".join(part for part in (words, takes) if part), style


def conversation_commands(
    found: Sequence["ListedConversation"], resume: Callable[[str], object]
) -> Iterator[Command]:
    """Yield the conversations of the history, the latest first."""
    for one in found:
        age = format_age(time.time() - one.changed)
        cost = age if one.tokens is None else f"{age} · {format_tokens(one.tokens)}"
        about = f"Continues it with {sanitize_line(one.model, 120)}." if one.model else ""
        run = partial(resume, one.id)
        yield Command(f"conversation {one.heading}", run, cost=_fixed(cost), about=about)


def server_commands(
    servers: Sequence[Server], current: Server | None, connect: Callable[[Server], object]
) -> Iterator[Command]:
    """Yield the servers of the settings."""
    for server in servers:
        here = server == current
        words = "connected" if here else server.url
        about = "" if here else "Connects to this server."
        run = partial(connect, server)
        yield Command(f"server {server.label}", run, cost=_fixed(words), about=about)


def theme_commands(app: App[None], choose: Callable[[str], None]) -> Iterator[Command]:
    """Yield the themes; the selected one is shown at once."""
    before = app.theme
    for name in sorted(app.available_themes):

        def show(on: bool, name: str = name) -> None:  # noqa: FBT001
            app.theme = name if on else before

        words = "current" if name == before else "shown while selected"
        yield Command(
            f"theme {name}",
            partial(choose, name),
            cost=_fixed(words),
            about="Shown while it is selected; run it to keep it.",
            preview=show,
        )
