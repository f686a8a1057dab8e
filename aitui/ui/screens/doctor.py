"""The check-up of everything between the settings and the terminal, line by line as it goes on."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from msgspec.structs import replace
from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.worker import Worker, WorkerState

from aitui.domain.checks import CheckResult, CheckStage
from aitui.domain.snapshot import Clock, Server
from aitui.domain.units import format_seconds
from aitui.format.doctor import MARKS, as_text, summary
from aitui.services.doctor.run import examine
from aitui.services.doctor.terminal import TerminalInfo
from aitui.ui.context import AppContext
from aitui.ui.frame import set_frame_title
from aitui.ui.keymap import APP, DOCTOR, remedy_text
from aitui.ui.plain import PlainText
from aitui.ui.widgets.key_bar import KeyBar


def run_checks(
    context: AppContext, server: Server | None, size: tuple[int, int]
) -> AsyncGenerator[CheckResult | CheckStage, None]:
    """Check the server that is shown, or the chosen one if none is; `size` is the terminal's."""
    settings = context.settings
    if server is not None and server is not settings.server:
        origins = {**settings.origins, "server": "chosen in the dashboard"}
        settings = replace(settings, server=server, has_server=True, origins=origins)
    return examine(settings, TerminalInfo(size, context.environment), context.clock)


RunChecks = Callable[[], AsyncGenerator[CheckResult | CheckStage, None]]
"""Begins a check-up of the server that is shown."""


class DoctorScreen(Screen[None]):
    """Shows each check as it ends; ends the check-up when it is closed.

    `redact` removes what is private from a copied report.
    """

    CSS_PATH = "doctor.tcss"
    BINDINGS = DOCTOR.bindings()
    BLANK = True

    def __init__(self, check_up: RunChecks, clock: Clock, redact: Callable[[str], str]) -> None:
        super().__init__()
        self._redact = redact
        self._run_checks = check_up
        self._clock = clock
        self._checks_running = True
        # A check-up may end after a screen that closes has lost its children.
        self._pane = VerticalScroll(id="checks")

    def compose(self) -> ComposeResult:
        yield self._pane
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        self.query_one(KeyBar).hints = (
            *(DOCTOR.hint(action) for action in ("copy_report", "check_again", "dismiss")),
            APP.hint("help"),
        )
        self._pane.focus()
        self._begin()

    async def action_check_again(self) -> None:
        self.workers.cancel_group(self, "doctor")
        await self._pane.remove_children()
        self._begin()

    def action_copy_report(self) -> None:
        self.app.copy_to_clipboard(self._redact(as_text(self._checks)))

    def action_scroll(self, lines: int) -> None:
        self._pane.scroll_relative(y=lines, animate=False)

    def action_go_to_top(self) -> None:
        self._pane.scroll_home(animate=False)

    def action_go_to_end(self) -> None:
        self._pane.scroll_end(animate=False)

    def _begin(self) -> None:
        self._checks: list[CheckResult] = []
        self._stage: CheckStage | None = None
        self._began = self._clock.monotonic()
        self._checks_running = True
        self.run_worker(self._examine(), name="doctor", group="doctor", exit_on_error=False)

    async def _examine(self) -> None:
        checks = self._pane
        async with aclosing(self._run_checks()) as found:
            async for item in found:
                if isinstance(item, CheckStage):
                    self._stage = item
                    await checks.mount(PlainText(item.words, classes="stage"))
                else:
                    self._checks.append(item)
                    await checks.mount(CheckRow(item))
                self.tick()
        first_failed = next(iter(self.query("CheckRow.-failed")), None)
        if first_failed is not None:
            # The last lines have no place yet.
            self.call_after_refresh(checks.scroll_to_widget, first_failed, animate=False)

    @on(Worker.StateChanged)
    def _handle_worker_state(self, message: Worker.StateChanged) -> None:
        if message.state in {WorkerState.SUCCESS, WorkerState.ERROR}:
            self._checks_running = False
            self.tick()

    def tick(self) -> None:
        """Show how far the checks are, and for how long they have run."""
        # Textual cancels a screen's workers only when its children are gone: the checks go on till then.
        if not self.is_attached:
            return
        counts = summary(self._checks)
        if self._checks_running:
            seconds = format_seconds(self._clock.monotonic() - self._began)
            stage = self._stage
            where = f"{stage.number} of {stage.of}: {stage.words}" if stage else "beginning"
            words = f"Checking {where}, {seconds} · {counts}"
        else:
            words = f"Checked · {counts}"
        set_frame_title(self._pane, "Doctor", words)


class CheckRow(Horizontal):
    """One check, with its remedy below the result."""

    def __init__(self, check: CheckResult) -> None:
        words = Content.assemble((check.name, "bold"), "  ", check.seen)
        if check.remedy:
            words = Content.assemble(words, "\n", (f"→ {remedy_text(check)}", "$text-accent"))
        super().__init__(
            PlainText(MARKS[check.status], classes="mark"),
            PlainText(words, classes="words"),
            classes=f"-{check.status.value}",
        )
