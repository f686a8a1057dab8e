"""The machine behind the server: its config file, view 5, its service, and every change of them."""

import asyncio
import os
import posixpath
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace
from textual.app import App

from aitui.aio import shield
from aitui.domain.config.sizes import format_context_size
from aitui.domain.config.text_merge import merge_texts
from aitui.domain.confirmation import Ask, Confirmation
from aitui.domain.memory.forecast import OffloadSlowdown
from aitui.domain.models import Model, find_model
from aitui.domain.progress import Steps
from aitui.domain.sanitize import sanitize_line
from aitui.domain.snapshot import Clock, Snapshot
from aitui.errors import (
    ActionRefused,
    AituiError,
    ConfigChangedMeanwhile,
    ConfigRefused,
    LoadFailed,
    ServiceFailed,
    SshKeyPassphraseNeeded,
)
from aitui.host.config_file import FileSnapshot
from aitui.services.config_change import ConfigRunner, Job, JobResult, PlanAnswer
from aitui.services.config_plan import (
    CONTEXT_SIZE,
    CONTEXT_SIZE_FLAGS,
    MERGED_NOTE,
    ChangePlan,
    change_confirmation,
    find_unused_files,
    plan_content,
    plan_preload,
    plan_removal,
    resolve_confirmation,
    revert_context_confirmation,
    slowdown_text,
)
from aitui.services.config_watch import (
    CHECK_INTERVAL,
    NEEDS_USER,
    ServerConfig,
    read_server_config,
)
from aitui.services.host_admin import HostAdmin, connect, no_host_error
from aitui.services.load import refuse_if_elsewhere, resolve_model
from aitui.services.session import Session
from aitui.ui.context import ServerContext
from aitui.ui.keymap import APP, remedy_text, takes_letters
from aitui.ui.screens.config import ConfigScreen, highlight_config
from aitui.ui.terminal.external_editor import edit_bytes, keep_edit

# The view of the file opens without the dialogs that change it.
if TYPE_CHECKING:
    from aitui.ui.screens.steps import StepsScreen

LOG_LINES = 8
DIFF_LINES = 24

_Change = Callable[[ConfigRunner], Awaitable[JobResult | None]]
_DONE = {
    Job.DOWNLOAD: "Downloaded",
    Job.LOAD: "Loaded",
    Job.UNDO: "Undone",
    Job.RELOAD: "Reloaded",
    Job.RESTART: "Restarted",
}


class DialogFrontend:
    """Confirms in dialogs, and shows the steps of each job in one of its own."""

    def __init__(self, app: App[None], clock: Clock, session: Session, ask: Ask) -> None:
        self._app = app
        self._clock = clock
        self._session = session
        self._ask = ask
        self._screen: StepsScreen | None = None
        self._on_failure, self._of_context = "", False
        self.goes_back = False
        """Whether the last plan was answered with No, and not cancelled."""

    async def ask(self, build: Callable[[Snapshot], Confirmation]) -> bool:
        return await self._ask(build)

    async def confirm_plan(self, plan: ChangePlan) -> PlanAnswer:
        """Show the diff and what it unloads and cuts, and ask."""
        from aitui.ui.screens.confirm import ConfirmScreen

        self._of_context = _is_of_context(plan)
        screen = ConfirmScreen(
            lambda snapshot: change_confirmation(plan, snapshot),
            self._session.snapshot,
            of_context=self._of_context,
        )
        # Before it is asked: what follows the answer is done at once.
        self._on_failure = failure_text(plan)
        if await self._app.push_screen_wait(screen):
            return PlanAnswer.YES
        self._on_failure, self._of_context = "", False
        self.goes_back = not (screen.is_cancelled or screen.wants_other)
        return PlanAnswer.ONLY_THIS_MODEL if screen.wants_other else PlanAnswer.NO

    def begin(self, title: str, model: str) -> Callable[[Steps], None]:
        """Open the dialog of a job, in place of the one before it."""
        from aitui.ui.screens.steps import StepsScreen

        if self._screen is not None and self._screen.is_current:
            self._screen.dismiss()
        screen = self._screen = StepsScreen(
            title, self._clock, model, on_failure=self._on_failure, of_context=self._of_context
        )
        self._on_failure, self._of_context = "", False
        self._app.push_screen(screen)

        def show(steps: Steps) -> None:
            screen.steps = steps

        return show

    def finish(self, result: JobResult) -> None:
        """Show the result in the dialog, or in passing if that was closed."""
        screen, lines = self._screen, result_lines(result)
        assert screen is not None, "a job ends after it began"
        screen.finish(*lines, well=result.error is None)
        if screen not in self._app.screen_stack:
            self._app.notify(
                "\n".join(lines[:3]),
                severity="information" if result.error is None else "error",
                timeout=10,
            )


def _is_of_context(plan: ChangePlan) -> bool:
    return plan.change.flag in CONTEXT_SIZE_FLAGS


def failure_text(plan: ChangePlan) -> str:
    """Say what is done if a step of a change fails."""
    change, file = plan.change, sanitize_line(posixpath.basename(plan.reading.path), 60)
    again = ""
    if _is_of_context(plan) and (change.old or "").isdecimal():
        again = f" and {format_context_size(int(change.old or 0))}"
    return f"If a step fails, aitui offers to restore {file}{again}."


def result_lines(result: JobResult) -> tuple[str, ...]:
    if result.error is not None:
        return error_lines(result.error)
    if result.job is Job.ROLLBACK and result.cause is not None:
        lines = ("The old value is back and works.", "The new value didn't work:")
        return (*lines, *error_lines(result.cause))
    if result.plan is None or result.written is None:
        return (_DONE[result.job],)
    change = result.plan.change
    is_size = _is_of_context(result.plan) and (change.new or "").isdecimal()
    new = format_context_size(int(change.new or 0)) if is_size else change.new
    words = f"{change.flag} is {new} now" if change.flag else "The file is changed"
    palette = f"the palette ({APP.sign('command_palette')})"
    return (f"{words}. Undo is in {palette}.", *result.written.warnings)


def error_lines(error: AituiError) -> tuple[str, ...]:
    """Format an error with the lines that explain it."""
    log: tuple[str, ...] = ()
    if isinstance(error, LoadFailed):
        log = error.log[-LOG_LINES:]
    elif isinstance(error, ServiceFailed):
        log = error.journal[-LOG_LINES:]
    elif isinstance(error, ConfigChangedMeanwhile):
        # Their change, not ours: what stands there now and wasn't read.
        log = tuple(error.diff.splitlines()[2 : 2 + DIFF_LINES])
    place = error.location if isinstance(error, ConfigRefused) else ""
    lines = (error.what, place, error.why, *(f"| {line}" for line in log), remedy_text(error))
    return tuple(line for line in lines if line)


class ConfigController:
    """Shows the config file of one session and changes something on its host, one thing at a time."""

    def __init__(self, context: ServerContext) -> None:
        self._app = context.app
        self._clock = context.app_context.clock
        self._session = context.session
        self._tasks = context.tasks
        self._ask = context.ask
        self._is_changing = False
        self._reported_slowdowns: dict[str, int] = {}

    def show(self, model: Model | None) -> None:
        if self._session.admin is None:
            self._show_refusal(no_host_error(self._session.server))
        elif not isinstance(self._app.screen, ConfigScreen):
            model_id = model.id if model is not None else ""
            self._app.push_screen(ConfigScreen(self._clock, self._session.server, model_id))

    def read_config(self) -> None:
        """Read the file that view 5 shows."""
        self._tasks.run_in_background(self._read_config(), "read config")

    def ask_for_context_size(self, model_id: str) -> None:
        """Ask for another context size, and change it.

        The dialog opens at once, before the host is reached: what is typed ahead belongs to it.
        """
        from aitui.ui.screens.context_size import ContextSizeScreen

        session = self._session
        model = session.snapshot.model(model_id)
        is_refused = session.admin is None or session.server.read_only or self._is_changing
        if model is None or is_refused or not model.loadable:
            # Says why not.
            self.change_context_size(model_id)
            return

        def change(size: int | None) -> None:
            if size is not None:
                self.change_context_size(model_id, size)

        self._app.push_screen(ContextSizeScreen(model, session.snapshot), change)

    def change_context_size(self, model_id: str, size: int | None = None) -> None:
        """Change a context size; asks for the size if none is given."""
        if (model := find_model(model_id, self._session.snapshot.models)) is not None:
            try:
                refuse_if_elsewhere(model, "get another context size", "change")
            except ActionRefused as error:
                self._show_refusal(error)
                return

        async def change(runner: ConfigRunner) -> JobResult | None:
            from aitui.ui.screens.context_size import ContextSizeScreen

            tokens, typed = size, ""
            while True:
                snapshot = self._session.snapshot
                model = snapshot.model(model_id) or resolve_model(model_id, snapshot)
                if tokens is None:
                    screen = ContextSizeScreen(model, snapshot, typed)
                    tokens = await self._app.push_screen_wait(screen)
                if tokens is None:
                    return None
                size_typed = format_context_size(tokens)
                result = await runner.change_flag(model.id, CONTEXT_SIZE, str(tokens))
                goes_back = (
                    isinstance(runner.frontend, DialogFrontend) and runner.frontend.goes_back
                )
                if result is not None or not goes_back:
                    return result
                tokens, typed = None, size_typed

        self._start("changing a context size", change)

    def change_flag(self, model_id: str, flag: str, value: str) -> None:
        """Give a flag of llama-server, or `ttl`, another value."""
        self._start("changing a flag", lambda runner: runner.change_flag(model_id, flag, value))

    def edit(self, line: int) -> None:
        self._start("editing the config file", lambda runner: self._edit(runner, line))

    def add_model(self) -> None:
        self._start("adding a model", self._add_model)

    def download_model(self) -> None:
        """Ask for a repository or a file, and add it; the question opens before the host is reached."""
        from aitui.ui.screens.dialogs import NewModelScreen

        def add(typed: str | None) -> None:
            source, _, include = (typed or "").strip().partition(" ")
            if typed and source.startswith(("/", "~/")):
                source, include = typed.strip(), ""
            if source:
                from aitui.services.new_model import add_source

                endpoint = os.environ.get("HF_ENDPOINT", "")
                self._start(
                    "adding a model",
                    lambda runner: add_source(runner, source, include.strip(), "", endpoint),
                )

        self._app.push_screen(NewModelScreen(), add)

    def remove_model(self, model_id: str) -> None:
        self._change_by("removing a model", partial(plan_removal, model_id=model_id))

    def preload_model(self, model_id: str) -> None:
        """Have llama-swap load a model whenever it starts."""
        self._change_by("preloading a model", partial(plan_preload, model_id=model_id))

    def _change_by(self, action: str, plan: Callable[[HostAdmin], Awaitable[ChangePlan]]) -> None:
        async def change(runner: ConfigRunner) -> JobResult | None:
            return await runner.change(await plan(runner.admin))

        self._start(action, change)

    def reload(self) -> None:
        self._start("reloading the server", ConfigRunner.reload)

    def restart(self) -> None:
        self._start("restarting the service", ConfigRunner.restart)

    def undo(self) -> None:
        def format_time(at: float) -> str:
            return time.strftime("%H:%M", time.localtime(at))

        self._start("undoing a change", lambda runner: runner.undo(format_time))

    def report_slowdowns(self, snapshot: Snapshot) -> None:
        """Report each model that became slow with a larger context, once."""
        for slowdown in snapshot.hardware.slowdowns:
            if self._reported_slowdowns.get(slowdown.model) != slowdown.context_size:
                self._reported_slowdowns[slowdown.model] = slowdown.context_size
                self._tasks.run_in_background(
                    self._offer_context_rollback(slowdown), "slow", exclusive=False
                )

    def _show_refusal(self, error: AituiError) -> None:
        words = f"{error.why}\n{remedy_text(error)}"
        self._app.notify(words, title=error.what, severity="warning")

    def _start(self, action: str, change: _Change) -> None:
        """Run a change in the background, one at a time, since each waits for its effect."""
        if self._is_changing:
            words = "Another change is running: wait for it to end"
            self._app.notify(words, severity="warning")
        else:
            self._tasks.run_in_background(self._run(action, change), "change")

    async def _run(self, action: str, change: _Change) -> None:
        self._is_changing = True
        try:
            admin = await self._connect_host(action)
            frontend = DialogFrontend(self._app, self._clock, self._session, self._ask)
            if await change(ConfigRunner(admin, self._session, frontend)):
                self.read_config()
        except asyncio.CancelledError:
            self._check_config()  # settles what was cut off
            raise
        finally:
            self._is_changing = False

    async def _read_config(self) -> None:
        screens = (one for one in self._app.screen_stack if isinstance(one, ConfigScreen))
        screen = next(screens, None)
        if screen is None:
            self._check_config()
            return
        watch = self._session.config_watch
        if not screen.has_config and watch is not None and watch.last_read is not None:
            # Over SSH the file takes three round trips: until then it is as it was within a minute.
            await self._show_plain(screen, watch.last_read)
        while True:
            try:
                admin = await self._connect_host()
                config = await read_server_config(admin, self._session.snapshot)
            except AituiError as error:
                screen.show_error(error)
                if isinstance(error, NEEDS_USER):
                    return
                await asyncio.sleep(CHECK_INTERVAL)
                if screen not in self._app.screen_stack:
                    return
            else:
                break
        self._check_config()
        if not screen.has_config:
            await self._show_plain(screen, config)
        screen.show_config(config, await asyncio.to_thread(highlight_config, config.text))

    async def _show_plain(self, screen: ConfigScreen, config: ServerConfig) -> None:
        # At first without colors: to import what finds them takes as long as to open the view.
        screen.show_config(config, await asyncio.to_thread(highlight_config, config.text, ""))

    def _check_config(self) -> None:
        """Read the file again: it may have changed, or may have become readable."""
        if self._session.config_watch is not None:
            self._session.config_watch.check_now()

    async def _connect_host(self, action: str = "") -> HostAdmin:
        """Connect the host; raises the reason if that, or a change, is impossible."""
        admin, config_watch = self._session.require_host()
        if action:
            admin.server.refuse_if_read_only(action)
        await connect(admin, self._ask, self._ask_for_passphrase)
        await config_watch.recover()
        return admin

    async def _ask_for_passphrase(self, error: SshKeyPassphraseNeeded) -> str:
        from aitui.ui.screens.dialogs import KeyPasswordScreen

        return await self._app.push_screen_wait(KeyPasswordScreen(error)) or ""

    async def _offer_context_rollback(self, slowdown: OffloadSlowdown) -> None:
        model_id, before = slowdown.model, slowdown.context_before
        server = self._session.server
        changeable = server.ssh_host and not server.read_only
        # While text is typed, a question would take the letters.
        if changeable and not takes_letters(self._app.focused):
            question = revert_context_confirmation(slowdown)
            if await self._ask(lambda _: question):
                self.change_context_size(model_id, before)
            return
        words = f"{slowdown_text(slowdown)}. /ctx {model_id} {before} changes it back."
        title = f"{model_id} has become slow"
        self._app.notify(words, title=title, severity="warning", timeout=20)

    async def _edit(self, runner: ConfigRunner, line: int) -> JobResult | None:
        reading = await runner.admin.config.read()
        content = await self._open_editor(reading, reading.content, line)
        notes: tuple[str, ...] = ()
        while True:
            try:
                plan = await plan_content(runner.admin, reading, content)
            except ConfigRefused as error:
                confirmation = Confirmation(
                    "That file can't be used. Edit it again?",
                    error_lines(error),
                    yes="Edit again",
                    no="Discard the edit",
                )
                line = error.line or line
                if not await self._ask(lambda _: confirmation):  # noqa: B023
                    return None
                content = await self._open_editor(reading, content, line)
                continue
            if plan is None:
                self._app.notify("No changes made")
                return None
            try:
                result = await runner.change(replace(plan, notes=notes))
                merged = await self._merge(runner, reading, content, result)
            except BaseException as error:
                kept = await shield(keep_edit(content, ".yaml"))
                if isinstance(error, AituiError):
                    error.remedy = f"The edit is saved in {kept}."
                raise
            if merged is not None:
                (reading, content), notes = merged, (MERGED_NOTE,)
                continue
            if result is None or result.error is not None:
                words = f"The edit is saved in {await keep_edit(content, '.yaml')}"
                self._app.notify(words, timeout=20)
            return result

    async def _open_editor(self, reading: FileSnapshot, content: bytes, line: int) -> bytes:
        return await edit_bytes(
            self._app, content, suffix=".yaml", line=line, elsewhere=reading.content
        )

    async def _merge(
        self, runner: ConfigRunner, reading: FileSnapshot, content: bytes, result: JobResult | None
    ) -> tuple[FileSnapshot, bytes] | None:
        """Merge an edit with what was written meanwhile; None if nothing was, or by the answer."""
        if result is None or not isinstance(result.error, ConfigChangedMeanwhile):
            return None
        now = await runner.admin.config.read()
        merged = await asyncio.to_thread(merge_texts, reading.content, content, now.content)
        if not merged.conflicts:
            return now, merged.content
        if not await self._ask(lambda _: resolve_confirmation(merged)):
            return None
        return now, await self._open_editor(now, merged.content, merged.conflicts[0])

    async def _add_model(self, runner: ConfigRunner) -> JobResult | None:
        files = await find_unused_files(runner.admin)
        if not files:
            words = "Every GGUF file in the folders of the config's models is in the config already"
            self._app.notify(words, severity="warning", timeout=8)
            return None
        from aitui.ui.screens.dialogs import ChooseScreen

        path = await self._app.push_screen_wait(
            ChooseScreen("Which file should become a model?", files)
        )
        if path is None:
            return None
        from aitui.services.new_model import add_file

        return await add_file(runner, path)
