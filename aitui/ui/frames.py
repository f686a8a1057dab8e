"""Frames for slow lines: each sends only what differs, and none is sent that nobody takes."""

from typing import TYPE_CHECKING

from rich.console import Console
from textual._compositor import CompositorUpdate
from textual._styles_cache import StylesCache
from textual.geometry import Offset

from aitui.ui.key_order import KeyQueueApp
from aitui.ui.picture import ScreenDiff, is_diffable

if TYPE_CHECKING:
    from rich.console import RenderableType
    from textual.screen import Screen

MAX_PENDING_WRITES = 6
"""Writes that wait for the terminal, a frame is up to three; Textual would block at 30."""
RETRY_INTERVAL = 0.05
"""Seconds until a terminal that took nothing is looked at again."""

CACHE_CLEAR_INTERVAL = 60.0
"""Seconds. A screen with a log is 200 kB of drawn lines."""


class RenderedUpdate(CompositorUpdate):
    """An update that is text for the terminal already."""

    def __init__(self, text: str) -> None:
        self._text = text

    def render_segments(self, console: Console) -> str:  # noqa: ARG002 - as Textual calls it
        """The text."""
        return self._text


class ScreenDiffApp(KeyQueueApp):
    """Sends less than Textual does: an idle dashboard costs a slow line next to nothing."""

    def __init__(self) -> None:
        super().__init__()
        self._screen_diff = ScreenDiff(colours=not self.no_color)
        self._last_cursor: Offset | None = None
        self._frame_pending = False

    def redraw_screen(self) -> None:
        """Send the whole screen: something else may have written to the terminal."""
        self._screen_diff.invalidate()
        self.refresh(layout=True)

    def on_mount(self) -> None:
        """After `^z` and `fg`, or another program in between, nothing is known of the screen."""
        self.app_resume_signal.subscribe(self, lambda _: self.redraw_screen(), immediate=True)
        self.set_interval(CACHE_CLEAR_INTERVAL, clear_style_caches)

    def on_resize(self) -> None:
        """Terminals do as they like with what they showed."""
        self._screen_diff.invalidate()

    def _display(self, screen: "Screen[object]", renderable: "RenderableType | None") -> None:
        update: object = renderable
        if not isinstance(update, CompositorUpdate) or not self._can_diff(update):
            super()._display(screen, renderable)
            return
        if self.is_behind:
            if not self._frame_pending:
                self._frame_pending = True
                self.set_timer(RETRY_INTERVAL, self._send_skipped_frame)
            return
        size = (self.size.width, self.size.height)
        text = self._screen_diff.diff(update, size, self.console)
        if text or self._last_cursor != self.cursor_position:
            self._last_cursor = self.cursor_position
            super()._display(screen, RenderedUpdate(text))  # type: ignore[arg-type]

    def _can_diff(self, update: CompositorUpdate) -> bool:
        """Whether Textual would send this now, as a whole frame of a full-screen terminal."""
        runs = self._running and not self._closed and not self._batch_count
        return runs and not self.is_headless and not self.is_inline and is_diffable(update)

    @property
    def is_behind(self) -> bool:
        """Whether the terminal hasn't taken the last frames yet."""
        # Drivers of other systems have no such thread, and so never seem to be behind.
        writer = getattr(self._driver, "_writer_thread", None)
        return writer is not None and writer._queue.qsize() > MAX_PENDING_WRITES  # noqa: SLF001

    def _send_skipped_frame(self) -> None:
        """Instead of the frames that were left out: one of how it is by now."""
        if self.is_behind:
            self.set_timer(RETRY_INTERVAL, self._send_skipped_frame)
        else:
            self._frame_pending = False
            self.screen.refresh()


def clear_style_caches() -> None:
    """Let go of the lines of widgets that are no more.

    Textual keeps the last thousand widgets' backgrounds, and by that everything that those widgets
    had drawn. What it asks for again costs it two styles a widget.
    """
    StylesCache.get_inner_outer.cache_clear()
