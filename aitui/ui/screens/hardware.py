"""View 4: which model uses each card's memory, and how cards and host did lately."""

from textual.app import ComposeResult
from textual.screen import Screen

from aitui.domain.snapshot import Clock, Snapshot
from aitui.domain.units import format_seconds
from aitui.format.hardware import hardware_errors, missing_card_warnings
from aitui.ui.keymap import APP, HARDWARE
from aitui.ui.plain import PlainText
from aitui.ui.widgets.hardware_view import SPANS, HardwareView
from aitui.ui.widgets.key_bar import KeyBar
from aitui.ui.widgets.server_header import ServerHeader

STALE_AFTER = 60.0
"""Seconds after which a sample's age is shown."""


class HardwareScreen(Screen[None]):
    """Shows what each snapshot has of the hardware."""

    CSS_PATH = "hardware.tcss"
    BINDINGS = HARDWARE.bindings()
    BLANK = True

    def __init__(self, clock: Clock) -> None:
        super().__init__(name="hardware")
        self._clock = clock
        self._view = HardwareView(clock, id="hardware")
        self._problems = PlainText(id="problems")
        self._shown_problems = ""

    def compose(self) -> ComposeResult:
        yield ServerHeader(self._clock, id="header")
        yield self._view
        yield self._problems
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        self._view.focus()
        self._show_hints()
        self.watch(self.app, "snapshot", self._show_snapshot)

    def on_screen_resume(self) -> None:
        self._view.redraw()

    def tick(self) -> None:
        """Update ages and seconds."""
        for header in self.query(ServerHeader):  # none yet while the screen opens
            header.tick()
        if self._sample_age > STALE_AFTER:
            self._show_problems()

    @property
    def _sample_age(self) -> float:
        at = self._view.snapshot.hardware.last_sample_at
        return 0.0 if at is None else self._clock.monotonic() - at

    def _show_snapshot(self, snapshot: Snapshot) -> None:
        self._view.snapshot = snapshot
        self._show_problems()

    def _show_problems(self) -> None:
        """Show errors, and the age of old samples."""
        hardware = self._view.snapshot.hardware
        lines = [f"✘ {words}" for words in missing_card_warnings(hardware)]
        if hardware.usage.source is not None:
            lines += [f"! {words}" for words in hardware_errors(hardware)]
            if self._sample_age > STALE_AFTER:
                lines.append(f"! measured {format_seconds(self._sample_age)} ago")
        text = "\n".join(lines)
        if text != self._shown_problems:
            self._shown_problems = text
            self._problems.update(text)
            self._problems.display = bool(text)

    def _show_hints(self) -> None:
        spans = " ".join(
            f"[{span / 60:.0f}]" if span == self._view.seconds else f"{span / 60:.0f}"
            for span in SPANS
        )
        others = ("zoom", "next_card(1)", "processes")
        self.query_one(KeyBar).hints = (
            HARDWARE.hint("next_span", f"{spans} min"),
            *(HARDWARE.hint(action) for action in others),
            APP.hint("command_palette"),
            APP.hint("help"),
        )

    def action_next_span(self) -> None:
        view = self._view
        view.seconds = SPANS[(SPANS.index(view.seconds) + 1) % len(SPANS)]
        self._show_hints()

    def action_zoom(self) -> None:
        self._view.zoomed = not self._view.zoomed

    def action_processes(self) -> None:
        if not self._view.snapshot.hardware.processes:
            self.notify("Processes are listed only if ssh_host is set for this server")
        self._view.shows_processes = not self._view.shows_processes

    def action_next_card(self, step: int) -> None:
        self._view.choose_next(step)

    def action_scroll(self, lines: int) -> None:
        self._view.scroll_relative(y=lines, animate=False)
