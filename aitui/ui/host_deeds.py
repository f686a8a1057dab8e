"""Deeds at the machine behind the server: reached, asked about, watched step by step."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from aitui.commands.administration import Administration, no_host, open_administration
from aitui.commands.change_config import CHANGING, NotEffective, change_config
from aitui.commands.config_watch import ConfigWatch
from aitui.commands.ending import end
from aitui.commands.preset import Preset, read_preset
from aitui.commands.progress import Progress
from aitui.commands.propose import (
    Proposal,
    question_before_change,
)
from aitui.commands.reach import reach
from aitui.commands.recover import recover
from aitui.commands.session import Session
from aitui.commands.undo import (
    UNDOING,
    question_before_putting_back,
    undo,
)
from aitui.domain.question import Question
from aitui.domain.server import Server
from aitui.domain.snapshot import Snapshot
from aitui.domain.steps import Steps
from aitui.errors import (
    AituiError,
    ConfigChangedMeanwhile,
    ConfigRefused,
    LoadFailed,
    ServiceFailed,
    SshKeyPassphraseNeeded,
)
from aitui.paths import Paths
from aitui.ui.coloured_config import coloured
from aitui.ui.opening import Opening
from aitui.ui.screens.config import ConfigScreen
from aitui.ui.screens.confirm import ConfirmScreen
from aitui.ui.screens.key_password import KeyPasswordScreen
from aitui.ui.screens.steps import StepsScreen

if TYPE_CHECKING:
    from textual.app import App

WIDE, TALL = 100, 34
"""Columns and rows from which a diff has room for the lines around it."""
LOG_LINES = 8
DIFF_LINES = 24

Beside = Callable[[Coroutine[Any, Any, None], str], None]
Ask = Callable[[Callable[[Snapshot], Question]], Awaitable[bool]]


class HostDeeds:
    """Belongs to the app; `beside` runs a deed of a group and tells what goes wrong.

    `on_newer` is told what is to be said of a config file that the server hasn't read yet.
    """

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
        self._rules_known = False
        self._changing = False
        self._recovering = asyncio.Lock()
        self._recovered: set[str] = set()

    @asynccontextmanager
    async def serving(self, server: Server, paths: Paths) -> AsyncIterator[None]:
        """Have the host of that server at hand; without one, the keys say why they can't."""
        self._server, self._admin = server, None
        if not server.ssh_host:
            yield
            return
        async with open_administration(server, paths, self._opening.clock) as admin:
            self._admin = admin
            if (session := self._session()) is not None:
                session.hardware.host_found(admin.host)
            watch = self._watch = ConfigWatch(admin, self._config_seen)
            watching = asyncio.create_task(watch.run(), name="watch the config file")
            try:
                yield
            finally:
                self._admin = self._watch = None
                await end(watching)

    def read_config(self) -> None:
        """Read the file that view 5 shows."""
        self._beside(self._read_config(), "read config")

    def _config_seen(self, preset: Preset | None) -> None:
        session = self._session()
        self._on_newer(preset.newer if preset is not None else "")
        if session is None:
            return
        # The monitor tells everybody, as it does of whatever else it learns.
        if preset is None:
            # Only now are they forgotten: that is no reason to try a host again that refuses us.
            self._rules_known = False
            self._beside(session.monitor.config_lost(), "config read")
        else:
            rules = preset.swap_rules if preset.in_force else None
            self._beside(session.monitor.config_read(preset.contexts, rules), "config read")
            session.hardware.commands_read(preset.commands, preset.environments)
            if not self._recovering.locked():
                self._beside(self._recover(), "recover")

    def snapshot_came(self, snapshot: Snapshot) -> None:
        """Look at the file again where the server may have begun to run another one."""
        known, self._rules_known = self._rules_known, snapshot.swap_rules is not None
        if known and not self._rules_known:
            self._look_again()

    async def _recover(self) -> None:
        """Settle changes whose end nobody saw, and say once what came of each."""
        async with self._recovering:
            if self._admin is None:
                return
            for sentence in await recover(self._admin):
                if sentence not in self._recovered:
                    self._recovered.add(sentence)
                    self._app.notify(sentence, severity="warning", timeout=20, markup=False)

    async def _read_config(self) -> None:
        screen = self._config_screen
        if screen is None:
            self._look_again()
            return
        try:
            admin, _ = await self._ready()
            preset = await read_preset(admin)
        except AituiError as error:
            screen.show_error(error)
            return
        self._look_again()
        screen.show_config(preset, await asyncio.to_thread(coloured, preset.text))

    def _look_again(self) -> None:
        """What the table shows of the file may have changed, or may only now be readable."""
        if self._watch is not None:
            self._watch.look()

    def _change(self, deed: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run what changes something there; one at a time, since each waits for its effect."""
        if self._changing:
            words = "Something is being changed there already: wait for its end"
            self._app.notify(words, severity="warning", markup=False)
        else:
            self._beside(self._changed_by(deed), "change")

    async def _changed_by(self, deed: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._changing = True
        try:
            await deed()
        finally:
            self._changing = False

    async def _ready(self, deed: str = "") -> tuple[Administration, Session]:
        """The host, reached, and the session. Raises what keeps either from being there."""
        admin, session = self._admin, self._session()
        if admin is None or session is None:
            raise no_host(self._server or self._opening.settings.server)
        if deed:
            admin.refuse_if_read_only(deed)
        await reach(admin, self._ask, self._ask_for_passphrase)
        await self._recover()
        return admin, session

    async def _ask_for_passphrase(self, error: SshKeyPassphraseNeeded) -> str:
        return await self._app.push_screen_wait(KeyPasswordScreen(error))

    async def _ask_about(self, proposal: Proposal) -> tuple[bool, bool]:
        session = self._session()
        if session is None:
            return False, False
        size = self._app.size
        whole = size.width >= WIDE and size.height >= TALL
        screen = ConfirmScreen(
            lambda snapshot: question_before_change(proposal, snapshot, whole_diff=whole),
            session.snapshot,
        )
        answer = await self._app.push_screen_wait(screen)
        return answer, screen.wants_other

    async def _carry_out(self, admin: Administration, session: Session, proposal: Proposal) -> bool:
        """Make the change and show its steps; whether it was made and works."""
        change = proposal.change
        subject = f"{change.flag} of {change.model}" if change.flag else change.model
        deed = "Changing"
        if change.model and not change.flag:
            deed = "Adding" if change.added else "Removing"
        screen, progress = self._watched(f"{deed} {subject or 'the config file'}", *CHANGING)
        screen.expected = expected_load(session, change.model)
        works = False
        try:
            made = await change_config(admin, session, proposal, progress, self._ask)
        except NotEffective as error:
            self._end(screen, *reasons(error.cause), well=False)
            await self._offer_to_put_back(admin, session, error, screen)
        except AituiError as error:
            self._end(screen, *reasons(error), well=False)
        else:
            words = f"{change.flag} is {change.new} now" if change.flag else "The file is changed"
            self._end(screen, f"{words}. Undo is in the palette (:).", *made.warnings, well=True)
            works = True
        self.read_config()
        return works

    async def _offer_to_put_back(
        self, admin: Administration, session: Session, error: NotEffective, screen: StepsScreen
    ) -> None:
        question = question_before_putting_back(error)
        if not await self._ask(lambda _: question):
            return
        screen.action_close()
        screen, progress = self._watched("Putting the old value back", *UNDOING)
        screen.expected = expected_load(session, error.made.entry.model)
        try:
            await undo(admin, session, error.made.entry, progress, self._ask)
        except AituiError as second:
            self._end(screen, *reasons(second), well=False)
        else:
            lines = ("The old value is back, and works.", "The new one didn't:")
            self._end(screen, *lines, *reasons(error.cause), well=True)

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
            self._end(screen, *reasons(error.cause), well=False)
        except AituiError as error:
            self._end(screen, *reasons(error), well=False)
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


def expected_load(session: Session, model_id: str) -> float | None:
    """Seconds that loading that model took the last times."""
    model = session.snapshot.model(model_id)
    return None if model is None else model.expected_load


def reasons(error: AituiError) -> tuple[str, ...]:
    log: tuple[str, ...] = ()
    if isinstance(error, LoadFailed):
        log = error.log[-LOG_LINES:]
    elif isinstance(error, ServiceFailed):
        log = error.journal[-LOG_LINES:]
    elif isinstance(error, ConfigChangedMeanwhile):
        # Their change, not ours: what stands there now and wasn't read.
        log = tuple(error.difference.splitlines()[2 : 2 + DIFF_LINES])
    place = error.place if isinstance(error, ConfigRefused) else ""
    lines = (error.what, place, error.why, *(f"| {line}" for line in log), error.remedy)
    return tuple(line for line in lines if line)
