"""Loads and unloads models of one server, and says what came of it."""

import asyncio
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import Callable, Mapping
from urllib.parse import quote

from aitui.domain.confirmation import Ask, Confirmation
from aitui.domain.models import ActiveRequest, Model, find_model
from aitui.domain.snapshot import ConnectionPhase
from aitui.domain.units import format_elapsed
from aitui.errors import LoadFailed
from aitui.services.load import describe_queued, load_model, open_loads, stays_queued
from aitui.services.unload import cancel_request, unload_all_models, unload_model
from aitui.ui.context import ServerContext
from aitui.ui.keymap import MODELS
from aitui.ui.text import NOT_REACHED

MODEL_PAGES_SINCE = 231
"""The release since which the web page shows one model by its URL."""


async def open_in_browser(url: str, environment: Mapping[str, str]) -> bool:
    """Open a page, unless there is no desktop to show it on: over SSH the browser is elsewhere."""
    names = ("DISPLAY", "WAYLAND_DISPLAY")
    desktop = sys.platform == "darwin" or any(environment.get(name) for name in names)
    if environment.get("SSH_CONNECTION") or not desktop:
        return False
    # In a process of its own, without this terminal: browsers write to it.
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "webbrowser", "-t", url),
        env=dict(environment),
        stdin=DEVNULL,
        stdout=DEVNULL,
        stderr=DEVNULL,
        start_new_session=True,
    )
    return await process.wait() == 0


class ModelsController:
    """Acts on the models of one session: load, unload, abort a load, cancel a request."""

    def __init__(self, context: ServerContext) -> None:
        self._app = context.app
        self._session = context.session
        self._tasks = context.tasks
        self._ask = context.ask
        self._notifier = context.notifier
        self._environment = context.app_context.environment

    @property
    def is_loading(self) -> bool:
        """Whether a load that was begun here is still open."""
        return bool(open_loads(self._session.snapshot))

    def open_page(self, model: Model | None) -> None:
        """Open llama-swap's own page in a browser, that of a model where the server has one."""
        url, snapshot = f"{self._session.server.url}/ui/", self._session.snapshot
        if model is not None and model.loadable and snapshot.release.has(MODEL_PAGES_SINCE):
            url += f"#/models/{quote(model.id, safe='')}"
        self._tasks.run_in_background(self._open_page(url), "page", exclusive=False)

    async def _open_page(self, url: str) -> None:
        if await open_in_browser(url, self._environment):
            self._app.notify(f"Opened {url}")
        else:
            # A browser over SSH, or one without a desktop, would draw over this screen.
            self._app.copy_to_clipboard(url)

    def load(self, model_id: str) -> None:
        """Load a model, unless that is under way."""
        model = find_model(model_id, self._session.monitor.snapshot.models)
        if model is not None and model.requested is not None:
            # A second request would take the place of the one that is open.
            self._app.notify(f"{model_id} is loading already")
        else:
            self._tasks.run_in_background(self._load(model_id), _load_group(model_id))

    def unload(self, model_id: str) -> None:
        """Unload a model, or abort its load."""
        self._tasks.run_in_background(self._unload(model_id), f"unload {model_id}")

    def unload_or_give_up(self, model: Model) -> None:
        """Unload a model, or stop waiting for one that the server has not started loading."""
        if model.requested is not None and not model.resident:
            self._tasks.cancel(_load_group(model.id))
            words, snapshot = f"Stopped waiting for {model.id}", self._session.snapshot
            if stays_queued(model, snapshot):
                sign = MODELS.sign("unload")
                words += (
                    f". It is {describe_queued(model, snapshot)}. {sign} removes it from the queue."
                )
            self._app.notify(words)
        else:
            self.unload(model.id)

    def unload_all(self) -> None:
        self._tasks.run_in_background(self._unload_all(), "unload all")

    def cancel(self, request: ActiveRequest) -> None:
        self._tasks.run_in_background(self._cancel(request), "cancel")

    def choose_profile(self) -> None:
        """List the server's profiles and switch to the chosen one."""
        self._tasks.run_in_background(self._choose_profile(), "profile")

    async def _choose_profile(self) -> None:
        from aitui.services.profiles import switch_profile
        from aitui.ui.screens.dialogs import ProfilesScreen

        profiles = await self._session.client.profiles()
        if not profiles.listed:
            self._app.notify("This server has no profiles: its config file describes them")
            return
        wanted = await self._app.push_screen_wait(ProfilesScreen(profiles))
        if wanted is None or wanted == profiles.active:
            return
        await switch_profile(self._session, wanted, self._ask)

    async def _load(self, model_id: str) -> None:
        try:
            loaded = await load_model(
                self._session, model_id, self._ask, at_limit=lambda: self._warn_overdue(model_id)
            )
        except LoadFailed as error:
            self._notifier.notify_if_away(error.what)
            if not error.evicted:
                self._tasks.notify_error(error)
            await offer_evicted_models(error, self._ask, self.load)
            return
        if loaded is not None and loaded.seconds:
            self._app.notify(f"{loaded.model_id} is ready after {format_elapsed(loaded.seconds)}")
            self._notifier.notify_if_away(f"{loaded.model_id} is ready")
        elif loaded is not None:
            self._app.notify(f"{loaded.model_id} is loaded already")

    def _warn_overdue(self, model_id: str) -> None:
        limit = self._session.server.timeout
        words = f"{model_id} is still loading after {limit:g} s. {MODELS.sign('unload')} aborts it."
        self._app.notify(words, severity="warning")

    async def _unload(self, model_id: str) -> None:
        before = self._session.snapshot.model(model_id)
        if await unload_model(self._session, model_id, self._ask):
            self._app.notify(f"{model_id} is unloaded")
        elif before is not None and before.queued is not None:
            self._app.notify(f"{model_id} is no longer queued at the server")
        elif (model := self._session.snapshot.model(model_id)) and not model.resident:
            self._app.notify(f"{model_id} is not loaded", severity="warning")

    async def _unload_all(self) -> None:
        snapshot = self._session.snapshot
        if not snapshot.resident:
            live = snapshot.connection.phase is ConnectionPhase.LIVE
            self._app.notify("No model is loaded" if live else NOT_REACHED, severity="warning")
        elif gone := await unload_all_models(self._session, self._ask):
            self._app.notify(f"Unloaded {', '.join(gone)}")

    async def _cancel(self, request: ActiveRequest) -> None:
        if await cancel_request(self._session, request, self._ask):
            self._app.notify(f"Canceled the request to {request.model}")


_LOG_LINES = 6


def _load_group(model_id: str) -> str:
    return f"load {model_id}"


async def offer_evicted_models(error: LoadFailed, ask: Ask, load: Callable[[str], None]) -> None:
    """Ask of each model that a failed load has evicted whether to load it again."""
    for victim in error.evicted:
        if await ask(lambda _: _restore_confirmation(error, victim)):  # noqa: B023
            load(victim)


def _restore_confirmation(error: LoadFailed, victim: str) -> Confirmation:
    """Offer to bring back a model that was evicted in vain."""
    return Confirmation(
        f"{error.what}. Load {victim} again?",
        (error.why, *error.log[-_LOG_LINES:], "", f"{victim} was evicted for it."),
        yes=f"Load {victim}",
        no="Not now",
        unprompted=True,
    )
