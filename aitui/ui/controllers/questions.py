"""Questions to the user: yes or no, a server, a password."""

from collections.abc import Callable
from dataclasses import replace

from textual.app import App

from aitui.domain.confirmation import Ask
from aitui.domain.snapshot import Server
from aitui.errors import KeyPasswordNeeded, LoadFailed
from aitui.ui.screens.dialogs import KeyPasswordScreen, ServersScreen
from aitui.ui.text import restore_confirmation


async def ask_for_server(
    app: App[None], servers: tuple[Server, ...], current: Server | None
) -> Server | str | None:
    """One of the servers, a URL, or None."""
    return await app.push_screen_wait(ServersScreen(servers, current))


async def ask_for_password(
    app: App[None], server: Server, error: KeyPasswordNeeded
) -> Server | None:
    """The server with the password of its key, or None; kept in memory alone."""
    password = await app.push_screen_wait(KeyPasswordScreen(error))
    return replace(server, client_key_password=password) if password else None


async def offer_evicted_models(error: LoadFailed, ask: Ask, load: Callable[[str], None]) -> None:
    """Ask of each model that a failed load has evicted whether to load it again."""
    for victim in error.evicted:
        if await ask(lambda _: restore_confirmation(error, victim)):  # noqa: B023
            load(victim)
