"""Frames for slow lines: each sends only what differs, and none is sent before the last was taken."""

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache, partial
from typing import Any

from msgspec import Struct
from rich.cells import get_character_cell_size
from rich.color import ColorSystem
from rich.console import Console, RenderableType
from rich.style import Style
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual._styles_cache import StylesCache
from textual.app import App
from textual.geometry import Offset
from textual.screen import Screen
from textual.strip import Strip

MERGE_GAP = 8
"""Cells between two changes that are sent as well: to move and to set colors costs more."""


class CellStyle(Struct, frozen=True):
    """Colors and flags as parameters of SGR, each empty where it is the terminal's own."""

    flags: str = ""
    foreground: str = ""
    background: str = ""


PLAIN = CellStyle()
UNDRAWN = CellStyle("?")


class ScreenLine:
    """Cells of a line: the text of each, empty where a wide character goes on, and its colors.

    `has_irregular_width` is set where terminals may disagree about the width of a character.
    """

    __slots__ = ("has_irregular_width", "styles", "texts")

    def __init__(self, width: int = 0) -> None:
        self.texts = [""] * width
        self.styles = [UNDRAWN] * width
        self.has_irregular_width = False


class ScreenDiff:
    """Follows what was sent to a terminal that shows nothing else.

    A terminal that was written to from elsewhere has to be forgotten. Without `colors` only flags
    are sent, such as bold and reverse: grays are colors, too.
    """

    def __init__(self, *, colors: bool = True) -> None:
        self._colors = colors
        self._size = (0, 0)
        self._lines: list[ScreenLine] = []

    def invalidate(self) -> None:
        """Send the next update completely."""
        self._size = (0, 0)

    def diff(self, update: CompositorUpdate, size: tuple[int, int], console: Console) -> str:
        """What makes the terminal show the update, empty where it does already.

        Columns and lines are the terminal's. Only for updates that can be compared.
        """
        if size != self._size:
            self._size = size
            self._lines = [ScreenLine(size[0]) for _ in range(size[1])]
        colors = console._color_system or ColorSystem.TRUECOLOR  # noqa: SLF001 - as Textual asks
        pen = AnsiWriter()
        for y, x, strip in _update_strips(update):
            if 0 <= y < size[1] and x < size[0]:
                self._update_line(
                    pen, y, x, _line_from_strip(strip, colors if self._colors else None)
                )
        return pen.finish()

    def _update_line(self, pen: "AnsiWriter", y: int, x: int, new: ScreenLine) -> None:
        old, end = self._lines[y], min(x + len(new.texts), self._size[0])
        texts, inks = new.texts[: end - x], new.styles[: end - x]
        if old.texts[x:end] == texts and old.styles[x:end] == inks:
            return
        if new.has_irregular_width or old.has_irregular_width:
            runs = [(x, end)]
        else:
            changed = (
                at
                for at in range(x, end)
                if old.texts[at] != texts[at - x] or old.styles[at] != inks[at - x]
            )
            runs = list(_merge_changes(changed))
        old.texts[x:end], old.styles[x:end] = texts, inks
        old.has_irregular_width = old.has_irregular_width or new.has_irregular_width
        for run in runs:
            pen.write(y, old, run)


def _update_strips(update: CompositorUpdate) -> Iterator[tuple[int, int, Strip]]:
    """Yield line, column and content of everything that the update draws."""
    if isinstance(update, LayoutUpdate):
        for y, strips in enumerate(update.strips, update.region.y):
            yield y, update.region.x, Strip.join(strips)
    elif isinstance(update, ChopsUpdate):
        for y, first, last in update.spans:
            for end, (x, strip) in zip(update.chop_ends[y], update.chops[y].items(), strict=False):
                if strip is not None and x <= last and end > first:
                    yield y, x, strip if end <= last else strip.crop(0, last - x)


def _line_from_strip(strip: Strip, colors: ColorSystem | None) -> ScreenLine:
    line = ScreenLine()
    for text, style, control in strip:
        if control:
            continue
        ink = PLAIN if style is None else _cell_style(style, colors)
        before = len(line.texts)
        if text.isascii():
            line.texts.extend(text)
        else:
            _append_wide_text(line, text)
        line.styles.extend([ink] * (len(line.texts) - before))
    return line


def _append_wide_text(line: ScreenLine, text: str) -> None:
    for character in text:
        # ASCII and lines have one cell. Rich loads its table for the first other character: 5 ms.
        one = " " <= character <= "~" or "─" <= character <= "◼"
        width = 1 if one else get_character_cell_size(character)
        if width == 1:
            # Each character beyond Latin-1 is an object of its own: 80 bytes a cell of a plot.
            line.texts.append(_shared(character))
            continue
        line.has_irregular_width = True
        if width:
            line.texts += (character, "")
        elif line.texts:
            line.texts[-1] += character


_shared = lru_cache(4096)(str)
"""Return one object for all equal characters; bounded, since servers choose them."""


@lru_cache(4096)
def _cell_style(style: Style, colors: ColorSystem | None) -> CellStyle:
    """A style for a terminal. Links are left out: nothing follows them, and no filter cleans a target."""
    flags = Strip.render_ansi(style.without_color, ColorSystem.STANDARD)
    if colors is None:
        return CellStyle(flags)
    color = style.color.downgrade(colors).get_ansi_codes() if style.color else ()
    ground = (
        style.bgcolor.downgrade(colors).get_ansi_codes(foreground=False) if style.bgcolor else ()
    )
    return CellStyle(flags, ";".join(color), ";".join(ground))


def _merge_changes(changed: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Merge changed cells into stretches; near ones become one."""
    first = last = -1
    for at in changed:
        if first < 0:
            first = at
        elif at - last > MERGE_GAP:
            yield first, last + 1
            first = at
        last = at
    if first >= 0:
        yield first, last + 1


class AnsiWriter:
    """Writes cells at places, and of their colors only what differs from those before."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._style = PLAIN

    def write(self, y: int, line: ScreenLine, run: tuple[int, int]) -> None:
        """Write a stretch of a line."""
        first, end = run
        self._parts.append(f"\x1b[{y + 1};{first + 1}H")
        for at in range(first, end):
            if line.styles[at] != self._style:
                self._parts.append(_style_transition(self._style, line.styles[at]))
                self._style = line.styles[at]
            self._parts.append(line.texts[at])

    def finish(self) -> str:
        """Return everything that was written, with the colors reset at its end."""
        return "".join((*self._parts, _style_transition(self._style, PLAIN)))


@lru_cache(4096)
def _style_transition(before: CellStyle, after: CellStyle) -> str:
    """The shortest way from one ink to another."""
    if before == after:
        return ""
    if after == PLAIN:
        return "\x1b[0m"
    if before.flags != after.flags:
        # Most flags can't be taken back one at a time.
        clear = "0" if before != PLAIN else ""
        parameters = clear, after.flags, after.foreground, after.background
        return f"\x1b[{';'.join(filter(None, parameters))}m"
    color = "" if before.foreground == after.foreground else after.foreground or "39"
    ground = "" if before.background == after.background else after.background or "49"
    return f"\x1b[{';'.join(filter(None, (color, ground)))}m"


MAX_PENDING_WRITES = 6
"""Writes that wait for the terminal, a frame is up to three; Textual would block at 30."""
RETRY_INTERVAL = 0.05
"""Seconds until a terminal that took nothing is looked at again."""

FORGET_INTERVAL = 60.0
"""Seconds. A screen with a log is 200 kB of drawn lines."""


class RenderedUpdate(CompositorUpdate):
    """An update that is text for the terminal already."""

    def __init__(self, text: str) -> None:
        self._text = text

    def render_segments(self, console: Console) -> str:  # noqa: ARG002 - as Textual calls it
        return self._text


def is_terminal_ready(app: App[Any]) -> bool:
    """Whether the terminal has taken the last frames."""
    # Drivers of other systems have no such thread, and so always seem to be ready.
    writer = getattr(app._driver, "_writer_thread", None)  # noqa: SLF001 - it has no public name
    return writer is None or writer._queue.qsize() <= MAX_PENDING_WRITES  # noqa: SLF001


class FrameWriter:
    """Sends less than Textual does: an idle dashboard costs a slow line next to nothing.

    `display` is what Textual does with a frame.
    """

    def __init__(
        self, app: App[Any], display: Callable[[Screen[Any], RenderableType | None], None]
    ) -> None:
        self._app = app
        self._display = display
        self._screen_diff = ScreenDiff(colors=not app.no_color)
        self._last_cursor: Offset | None = None
        self._frame_pending = False

    def start(self) -> None:
        """Send the whole screen after `^z` and `fg`, or after another program in between."""
        self._app.app_resume_signal.subscribe(self._app, lambda _: self.redraw(), immediate=True)
        self._app.set_interval(FORGET_INTERVAL, partial(forget_closed_widgets, self._app))

    def redraw(self) -> None:
        """Send the whole screen: something else may have written to the terminal."""
        self.invalidate()
        self._app.refresh(layout=True)

    def invalidate(self) -> None:
        """Rely on nothing that was sent, as after a resize: terminals change what they show then."""
        self._screen_diff.invalidate()

    def write(self, screen: Screen[Any], renderable: RenderableType | None) -> None:
        """Send what differs, or nothing while the terminal takes nothing."""
        update: object = renderable
        if not isinstance(update, CompositorUpdate) or not self._can_diff(update):
            self._display(screen, renderable)
            return
        if not is_terminal_ready(self._app):
            if not self._frame_pending:
                self._frame_pending = True
                self._app.set_timer(RETRY_INTERVAL, self._send_skipped_frame)
            return
        size = (self._app.size.width, self._app.size.height)
        text = self._screen_diff.diff(update, size, self._app.console)
        if text or self._last_cursor != self._app.cursor_position:
            self._last_cursor = self._app.cursor_position
            self._display(screen, RenderedUpdate(text))  # type: ignore[arg-type]

    def _can_diff(self, update: CompositorUpdate) -> bool:
        """Whether Textual would send this now, as a whole frame of a full-screen terminal."""
        app = self._app
        runs = app._running and not app._closed and not app._batch_count  # noqa: SLF001
        full_screen = not app.is_headless and not app.is_inline
        return runs and full_screen and isinstance(update, ChopsUpdate | LayoutUpdate)

    def _send_skipped_frame(self) -> None:
        """Send one frame of the present state instead of those that were left out."""
        if not is_terminal_ready(self._app):
            self._app.set_timer(RETRY_INTERVAL, self._send_skipped_frame)
        else:
            self._frame_pending = False
            self._app.screen.refresh()


def forget_closed_widgets(app: App[Any]) -> None:
    """Let go of what Textual 8.2.8 keeps of widgets that are no more.

    It keeps the last thousand widgets' backgrounds, and by that everything that those widgets had
    drawn; what it asks for again costs it two styles a widget. And it lets go of those that watch an
    attribute or listen to a signal only with the next change: of each view that was left the header
    stayed until another server was chosen, the table and the plots until another theme was.
    """
    StylesCache.get_inner_outer.cache_clear()
    for watchers in getattr(app, "__watchers", {}).values():
        watchers[:] = [watcher for watcher in watchers if not watcher[0]._closing]  # noqa: SLF001
    signal = app.theme_changed_signal
    for node in list(signal._subscriptions):  # noqa: SLF001
        if node._closing:  # noqa: SLF001
            signal.unsubscribe(node)
