"""What keys, palette and slash commands want of the machine behind the server is done here."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from aitui.commands.administration import Administration, no_host, open_administration
from aitui.commands.change_config import CHANGING, NotEffective, change_config
from aitui.commands.config_watch import ConfigWatch
from aitui.commands.edit_config import (
    propose_content,
    propose_model,
    propose_removal,
    unnamed_files,
)
from aitui.commands.find import model_named
from aitui.commands.preset import Preset, read_preset
from aitui.commands.progress import Progress
from aitui.commands.propose import (
    CONTEXT_SIZE,
    Proposal,
    flag_edit,
    propose,
    question_before_change,
)
from aitui.commands.reach import reach
from aitui.commands.reload import (
    RELOADING,
    RESTARTING,
    question_before_reload,
    question_before_restart,
    reload,
    restart,
)
from aitui.commands.session import Session
from aitui.commands.undo import (
    UNDOING,
    last_change,
    question_before_putting_back,
    question_before_undo,
    undo,
)
from aitui.domain.model import Model
from aitui.domain.question import Question
from aitui.domain.server import Server
from aitui.domain.snapshot import Snapshot
from aitui.domain.steps import Steps
from aitui.errors import (
    AituiError,
    ConfigRefused,
    LoadFailed,
    ServiceFailed,
    SshKeyPassphraseNeeded,
)
from aitui.paths import Paths
from aitui.ui.coloured_config import coloured
from aitui.ui.editor import edited_bytes
from aitui.ui.opening import Opening
from aitui.ui.screens.choose import ChooseScreen
from aitui.ui.screens.config import ConfigScreen
from aitui.ui.screens.confirm import ConfirmScreen
from aitui.ui.screens.context_size import ContextSizeScreen
from aitui.ui.screens.key_password import KeyPasswordScreen
from aitui.ui.screens.steps import StepsScreen

if TYPE_CHECKING:
    from textual.app import App

WIDE = 100
"""Columns from which a diff has room for the lines around it."""
LOG_LINES = 8

Beside = Callable[[Coroutine[Any, Any, None], str], None]
Ask = Callable[[Callable[[Snapshot], Question]], Awaitable[bool]]


class OpenAdmin:
    """Belongs to the app; `beside` runs a deed of a group and tells what goes wrong."""

    def __init__(
        self,
        app: "App[None]",
        opening: Opening,
        session: Callable[[], Session | None],
        beside: Beside,
        *,
        ask: Ask,
        on_newer: Callable[[str], None],
    ) -> None:
        self._app = app
        self._opening = opening
        self._session = session
        self._beside = beside
        self._ask = ask
        self._on_newer = on_newer
        self._admin: Administration | None = None
        self._server: Server | None = None
        self._watch: ConfigWatch | None = None

    @asynccontextmanager
    async def serving(self, server: Server, paths: Paths) -> AsyncIterator[None]:
        """Have the host of that server at hand; without one, the keys say why they can't."""
        self._server, self._admin = server, None
        if not server.ssh_host:
            yield
            return
        async with open_administration(server, paths, self._opening.clock) as admin:
            self._admin = admin
            watch = self._watch = ConfigWatch(admin, self._config_seen)
            watching = asyncio.create_task(watch.run(), name="watch the config file")
            try:
                yield
            finally:
                self._admin = self._watch = None
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)

    def change_context(self, model_id: str, size: int | None = None) -> None:
        """Change a context size; asks for the size where none is given."""
        self._beside(self._change_context(model_id, size), "change")

    def reload(self) -> None:
        """Have the server read its config file again."""
        self._beside(self._reload(), "change")

    def restart(self) -> None:
        """Restart the service."""
        self._beside(self._restart(), "change")

    def undo(self) -> None:
        """Take the last change of the config file back."""
        self._beside(self._undo(), "change")

    def show_config(self, model: Model | None) -> None:
        """Open view 5."""
        session = self._session()
        if self._admin is None or session is None:
            self._say_no_host()
        elif not isinstance(self._app.screen, ConfigScreen):
            self._app.push_screen(
                ConfigScreen(
                    self._opening.clock,
                    session.server,
                    session.snapshot,
                    model.id if model is not None else "",
                )
            )

    def read_config(self) -> None:
        """Read the file that view 5 shows."""
        self._beside(self._read_config(), "read config")

    def edit_config(self, line: int) -> None:
        """Edit the whole file in `$EDITOR`."""
        self._beside(self._edit_config(line), "change")

    def add_model(self) -> None:
        """Put a model into the file."""
        self._beside(self._add_model(), "change")

    def remove_model(self, model_id: str) -> None:
        """Take a model out of the file."""
        self._beside(self._remove_model(model_id), "change")

    async def _change_context(self, model_id: str, size: int | None) -> None:
        admin, session = await self._ready("changing a context size")
        model = session.snapshot.model(model_id) or model_named(model_id, session.snapshot)
        if size is None:
            size = await self._app.push_screen_wait(ContextSizeScreen(model))
        if size is not None:
            await self._change_flag(admin, session, model.id, CONTEXT_SIZE, str(size))

    async def _change_flag(
        self, admin: Administration, session: Session, model_id: str, flag: str, value: str
    ) -> None:
        only = False
        while True:
            edit = flag_edit(model_id, flag, value, only_this_model=only)
            proposal = await propose(admin, edit)
            answer, wants_other = await self._ask_about(proposal)
            if not wants_other:
                break
            only = True
        if answer:
            await self._carry_out(admin, session, proposal)

    async def _ask_about(self, proposal: Proposal) -> tuple[bool, bool]:
        session = self._session()
        if session is None:
            return False, False
        whole = self._app.size.width >= WIDE
        screen = ConfirmScreen(
            lambda snapshot: question_before_change(proposal, snapshot, whole_diff=whole),
            session.snapshot,
        )
        answer = await self._app.push_screen_wait(screen)
        return answer, screen.wants_other

    async def _carry_out(self, admin: Administration, session: Session, proposal: Proposal) -> None:
        change = proposal.change
        subject = f"{change.flag} of {change.model}" if change.flag else change.model
        screen, progress = self._watched(f"Changing {subject or 'the config file'}", *CHANGING)
        model = session.snapshot.model(change.model)
        screen.expected = model.expected_load if model else None
        try:
            made = await change_config(admin, session, proposal, progress)
        except NotEffective as error:
            self._end(screen, *_reasons(error.cause), well=False)
            await self._offer_to_put_back(admin, session, error, screen)
        except AituiError as error:
            self._end(screen, *_reasons(error), well=False)
        else:
            words = f"{change.flag} is {change.new} now" if change.flag else "The file is changed"
            self._end(screen, f"{words}. Undo is in the palette (:).", *made.warnings, well=True)
        self.read_config()

    async def _offer_to_put_back(
        self, admin: Administration, session: Session, error: NotEffective, screen: StepsScreen
    ) -> None:
        question = question_before_putting_back(error)
        if not await self._ask(lambda _: question):
            return
        screen.action_close()
        screen, progress = self._watched("Putting the old value back", *UNDOING)
        try:
            await undo(admin, session, error.made.entry, progress)
        except AituiError as second:
            self._end(screen, *_reasons(second), well=False)
        else:
            lines = ("The old value is back, and works.", "The new one didn't:")
            self._end(screen, *lines, *_reasons(error.cause), well=True)

    async def _reload(self) -> None:
        admin, session = await self._ready("reloading the server")
        if await self._ask(question_before_reload):
            screen, progress = self._watched("Reloading the config file", *RELOADING)
            await self._until_end(screen, reload(admin, session, progress), "Reloaded")
            self.read_config()

    async def _restart(self) -> None:
        admin, session = await self._ready("restarting the service")
        unit = admin.service.unit
        if await self._ask(lambda snapshot: question_before_restart(unit, snapshot)):
            screen, progress = self._watched(f"Restarting {unit}", *RESTARTING)
            await self._until_end(screen, restart(admin, session, progress), "Restarted")

    async def _undo(self) -> None:
        admin, session = await self._ready("undoing a change")
        entry = await last_change(admin)
        at = time.strftime("%H:%M", time.localtime(entry.at))
        if await self._ask(lambda snapshot: question_before_undo(entry, at, snapshot)):
            screen, progress = self._watched("Undoing the last change", *UNDOING)
            await self._until_end(screen, undo(admin, session, entry, progress), "Undone")
            self.read_config()

    def _config_seen(self, preset: Preset | None) -> None:
        session = self._session()
        self._on_newer(preset.newer if preset is not None else "")
        if session is not None and preset is not None:
            # The monitor tells everybody, as it does of whatever else it learns.
            self._beside(session.monitor.config_read(preset.contexts), "config read")

    async def _read_config(self) -> None:
        if self._watch is not None:
            self._watch.look()
        screen = self._config_screen
        if screen is None:
            return
        try:
            admin, _ = await self._ready()
            preset = await read_preset(admin)
        except AituiError as error:
            screen.show_error(error)
            return
        screen.show_config(preset, await asyncio.to_thread(coloured, preset.text))

    async def _edit_config(self, line: int) -> None:
        admin, session = await self._ready("editing the config file")
        reading = await admin.config.read()
        content = reading.content
        while True:
            content = await edited_bytes(self._app, content, suffix=".yaml", line=line)
            try:
                proposal = await propose_content(reading, content)
            except ConfigRefused as error:
                question = Question(
                    "That file can't be used. Edit it again?",
                    _reasons(error),
                    yes="Edit again",
                    no="Throw the edit away",
                )
                line = error.line or line
                if await self._ask(lambda _: question):  # noqa: B023
                    continue
                return
            if proposal is None:
                self._app.notify("The file is as it was", markup=False)
            elif (await self._ask_about(proposal))[0]:
                await self._carry_out(admin, session, proposal)
            return

    async def _add_model(self) -> None:
        admin, session = await self._ready("adding a model")
        files = await unnamed_files(admin)
        if not files:
            words = "No GGUF file in the folders of the config's models is without a block"
            self._app.notify(words, severity="warning", timeout=8, markup=False)
            return
        path = await self._app.push_screen_wait(ChooseScreen("Add which file as a model?", files))
        if path is not None:
            proposal = await propose_model(admin, path)
            if (await self._ask_about(proposal))[0]:
                await self._carry_out(admin, session, proposal)

    async def _remove_model(self, model_id: str) -> None:
        admin, session = await self._ready("removing a model")
        proposal = await propose_removal(admin, model_id)
        if (await self._ask_about(proposal))[0]:
            await self._carry_out(admin, session, proposal)

    async def _ready(self, deed: str = "") -> tuple[Administration, Session]:
        """The host, reached, and the session. Raises what keeps either from being there."""
        admin, session = self._admin, self._session()
        if admin is None or session is None:
            raise no_host(self._server or self._opening.settings.server)
        if deed:
            admin.refuse_if_read_only(deed)
        await reach(admin, self._ask, self._ask_for_passphrase)
        return admin, session

    async def _ask_for_passphrase(self, error: SshKeyPassphraseNeeded) -> str:
        return await self._app.push_screen_wait(KeyPasswordScreen(error))

    def _watched(self, title: str, *names: str) -> tuple[StepsScreen, Progress]:
        screen = StepsScreen(title, self._opening.clock)
        self._app.push_screen(screen)

        def show(steps: Steps) -> None:
            screen.steps = steps

        return screen, Progress(self._opening.clock, show, *names)

    async def _until_end(
        self, screen: StepsScreen, deed: Coroutine[Any, Any, Any], done: str
    ) -> None:
        try:
            await deed
        except NotEffective as error:
            self._end(screen, *_reasons(error.cause), well=False)
        except AituiError as error:
            self._end(screen, *_reasons(error), well=False)
        else:
            self._end(screen, done, well=True)

    def _end(self, screen: StepsScreen, *lines: str, well: bool) -> None:
        screen.end(*lines, well=well)
        if screen not in self._app.screen_stack:
            self._app.notify(
                "\n".join(lines[:3]),
                severity="information" if well else "error",
                timeout=10,
                markup=False,
            )

    def _say_no_host(self) -> None:
        error = no_host(self._server or self._opening.settings.server)
        self._app.notify(
            f"{error.why}\n{error.remedy}", title=error.what, severity="warning", markup=False
        )

    @property
    def _config_screen(self) -> ConfigScreen | None:
        screens = (one for one in self._app.screen_stack if isinstance(one, ConfigScreen))
        return next(screens, None)


def _reasons(error: AituiError) -> tuple[str, ...]:
    log: tuple[str, ...] = ()
    if isinstance(error, LoadFailed):
        log = error.log[-LOG_LINES:]
    elif isinstance(error, ServiceFailed):
        log = error.journal[-LOG_LINES:]
    lines = (error.what, error.why, *(f"| {line}" for line in log), error.remedy)
    return tuple(line for line in lines if line)
