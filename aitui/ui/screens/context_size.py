"""Ask for a context size, with the present one and the memory at the new one."""

import math

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Input

from aitui.domain.config.sizes import double, format_context_size, half, parse_context_size
from aitui.domain.memory.forecast import FitForecast, FitVerdict, describe_fit
from aitui.domain.models import Model
from aitui.domain.snapshot import Snapshot
from aitui.domain.units import format_tokens
from aitui.errors import ConfigRefused
from aitui.ui.keymap import CONTEXT_SIZE, remedy_text
from aitui.ui.memory_preview import context_bar
from aitui.ui.plain import PlainText
from aitui.ui.screens.confirm import Choice
from aitui.ui.widgets.dialog import BREAKPOINTS, Dialog
from aitui.ui.widgets.key_bar import KeyBar

LABEL = 10
"""Cells of the labels at the left."""
RULER_FIRST = 4096


class ContextSizeScreen(ModalScreen[int | None]):
    """Ends with tokens, or with None if nothing is to change. `typed` stands in the field at first."""

    CSS_PATH = ["dialog.tcss", "context_size.tcss"]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = BREAKPOINTS
    BINDINGS = CONTEXT_SIZE.bindings()

    def __init__(self, model: Model, snapshot: Snapshot | None = None, typed: str = "") -> None:
        super().__init__()
        self._model = model
        self._snapshot = snapshot or Snapshot()
        self._max_context = self._snapshot.hardware.longest_context(model.id)
        self._now = PlainText(id="now")
        value = typed or format_context_size(model.context.tokens)
        self._entry = Input(value, id="size", placeholder="64k, 0.25M, or tokens")
        self._meaning = PlainText(id="meaning")
        self._ruler = PlainText(id="ruler")
        self._memory = MemoryOfContext(id="memory")
        self._fit_text = PlainText(id="fit")

    def compose(self) -> ComposeResult:
        with Dialog():
            with VerticalScroll(classes="text", can_focus=False):
                yield self._now
                with Horizontal(id="entry"):
                    yield PlainText(Content.styled("new", "$muted"), classes="label")
                    yield self._entry
                    yield self._meaning
                yield self._ruler
                yield self._memory
                yield self._fit_text
            with Horizontal(classes="choices"):
                yield Choice(f"{CONTEXT_SIZE.sign('submit')} Review", answer=True)
                yield Choice(f"{CONTEXT_SIZE.sign('dismiss')} Cancel", answer=False)
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        """Select the present size, so that typing replaces it."""
        self._entry.focus()
        self._entry.action_select_all()
        self.watch(self.app, "snapshot", self._show_snapshot)

    def on_resize(self) -> None:
        self.query_one(Dialog).show_stage("value", self._model.id)
        self._show_meaning()

    def _show_snapshot(self, snapshot: Snapshot) -> None:
        """Show a size that was read from the config file just now; what was typed stays."""
        self._snapshot = snapshot
        self._max_context = snapshot.hardware.longest_context(self._model.id)
        model = snapshot.model(self._model.id)
        if model is not None and model.context != self._model.context:
            entry = self._entry
            untouched = entry.value == format_context_size(self._model.context.tokens)
            self._model = model
            if untouched:
                entry.value = format_context_size(model.context.tokens)
                entry.action_select_all()
        self._show_meaning()

    def action_double(self) -> None:
        self._set_tokens(double(self._input_tokens()))

    def action_half(self) -> None:
        self._set_tokens(half(self._input_tokens()))

    def action_most(self) -> None:
        if self._max_context is not None:
            self._set_tokens(self._max_context)
        else:
            self.notify("The model's training limit is not known")

    def action_fitting(self) -> None:
        """Enter the largest context that fits once everything else is unloaded."""
        fitting = self._fit(self._input_tokens()).largest_context
        if fitting is not None:
            self._set_tokens(fitting)
        else:
            self.notify("How many tokens fit is unknown")

    async def action_answer(self, answer: bool) -> None:  # noqa: FBT001
        if answer:
            self._submit()
        elif self.is_current:
            self.dismiss(None)

    def _fit(self, tokens: int) -> FitForecast:
        return self._snapshot.fit_alone(self._model.id, tokens)

    @on(Input.Changed)
    def _show_meaning(self) -> None:
        """Show what the typed size means: tokens, place on the ruler, memory."""
        now = self._model.context
        size = (format_tokens(now.tokens), "bold")
        words = f"   {now.tokens:,} tokens, {now.source.value}"
        self._now.update(Content.assemble((f"{'now':{LABEL}}", "$muted"), size, (words, "$muted")))
        value = self._entry.value
        try:
            tokens = parse_context_size(value)
        except ConfigRefused as error:
            self._meaning.add_class("-wrong")
            self._meaning.update(f"{error.what} {remedy_text(error)}" if value else "")
            self._fit_text.update("")
            tokens = now.tokens
        else:
            self._meaning.remove_class("-wrong")
            self._meaning.update(comparison_text(tokens, now.tokens, self._max_context))
            self._show_fit(self._fit(tokens))
        width = max(20, self._ruler.size.width)
        self._ruler.update(ruler(now.tokens, tokens, self._max_context, width))
        self._memory.show(self._snapshot, self._model, tokens)
        self.query_one(KeyBar).hints = tuple(self._hints())

    def _show_fit(self, fit: FitForecast) -> None:
        shown = self._fit_text
        shown.set_class(fit.verdict is FitVerdict.NO, "-no")
        shown.set_class(fit.verdict in {FitVerdict.TIGHT, FitVerdict.UNTRAINED}, "-tight")
        shown.set_class(fit.verdict is FitVerdict.FITS, "-fits")
        verdict, *facts = describe_fit(fit) or ("",)
        lines = [Content(verdict), *(Content.styled(fact, "$foreground") for fact in facts)]
        if fit.largest_context and fit.verdict in {FitVerdict.FITS, FitVerdict.UNTRAINED}:
            limit = f" ({fit.limit})" if fit.limit else ""
            key = (CONTEXT_SIZE.sign("fitting"), "bold $accent")
            size = (format_tokens(fit.largest_context), "bold $foreground")
            lines.append(
                Content.assemble(key, (" largest that fits: ", "$muted"), size, (limit, "$muted"))
            )
        shown.update(Content("\n").join(lines))

    def _hints(self) -> list[tuple[str, str, str]]:
        actions = ["submit", "fitting", "double", "half"]
        if self._max_context:
            actions.append("most")
        return [CONTEXT_SIZE.hint(action) for action in (*actions, "dismiss")]

    @on(Input.Submitted)
    def _submit(self) -> None:
        try:
            tokens = parse_context_size(self._entry.value)
        except ConfigRefused as error:
            self.notify(remedy_text(error), title=error.what, severity="warning")
            return
        if self.is_current:
            self.dismiss(tokens)

    def _input_tokens(self) -> int:
        try:
            return parse_context_size(self._entry.value)
        except ConfigRefused:
            return self._model.context.tokens

    def _set_tokens(self, tokens: int) -> None:
        self._entry.value = format_context_size(tokens)
        self._entry.action_end()


class MemoryOfContext(Widget):
    """A bar of the memory with this model at another context size, if both are known."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._strip: Strip | None = None

    def show(self, snapshot: Snapshot, model: Model, tokens: int) -> None:
        """Draw the model at that size, beside the other models that run."""
        width = self.size.width
        self._strip = context_bar(self.app, snapshot, model, tokens, width) if width else None
        self.refresh()

    def render_line(self, y: int) -> Strip:
        if y or self._strip is None:
            return Strip.blank(self.size.width, self.visual_style.rich_style)
        return self._strip.apply_style(self.visual_style.rich_style)


def comparison_text(tokens: int, now: int, largest: int | None) -> str:
    """Compare a typed size with the present one and the trained maximum."""
    words = f"{tokens:,} tokens"
    if largest is not None and tokens > largest:
        return f"{words} · trained for {format_tokens(largest)}"
    if tokens == largest:
        return f"{words} · trained maximum"
    if tokens == now:
        return f"{words} · as now"
    ratio = tokens / now if tokens > now else now / tokens
    return f"{words} · {'' if tokens > now else '1/'}{ratio:.3g} × as many"


def ruler(now: int, new: int, trained: int | None, width: int) -> Content:
    """Draw a mark for each doubling: the present size, the new one, and what the model wasn't made for."""
    top = max(now, new, trained or 0, 1 << 20 if width >= 50 else 1 << 18)
    count = max(2, math.ceil(math.log2(top / RULER_FIRST)) + 1)
    step = (width - 4) / (count - 1)

    def place(tokens: int) -> int:
        doublings = math.log2(max(tokens, RULER_FIRST) / RULER_FIRST)
        return 1 + round(doublings * step)

    beyond = width if trained is None else place(trained)
    labels, notes = [" "] * (width + 4), [" "] * (width + 4)
    every = 1 if step >= 5 else 2 if step >= 3 else 4
    marks = [RULER_FIRST << number for number in range(0, count, every)]
    for tokens in marks:
        _write(labels, place(tokens), format_tokens(tokens))
    line = ["─"] * (place(RULER_FIRST << (count - 1)) + 1)
    line[place(now)] = "●"
    line[place(new)] = "◆"
    if abs(place(now) - place(new)) > 4:
        _write(notes, place(now), "now")
    if new != now:
        _write(notes, place(new), "new")
    if trained is not None and beyond + 14 <= width and place(new) + 4 < beyond + 3:
        _write(notes, beyond + 8, "not trained")
    drawn = Content("".join(line)).stylize("$muted")
    low, high = sorted((place(now), place(new)))
    drawn = drawn.stylize("$accent", low, high + 1).stylize("bold", place(now), place(now) + 1)
    if beyond < len(line):
        drawn = drawn.stylize("$warning", beyond + 1)
    drawn = drawn.stylize("bold $accent", place(new), place(new) + 1)
    upper, lower = ("".join(row).rstrip() for row in (labels, notes))
    shown = Content.styled(upper, "$muted")
    if beyond < len(line):
        shown = shown.stylize("$warning", min(len(upper), beyond + 3))
    return Content("\n").join((shown, drawn, Content.styled(lower, "$muted")))


def _write(row: list[str], middle: int, text: str) -> None:
    start = max(0, min(middle - len(text) // 2, len(row) - len(text)))
    row[start : start + len(text)] = text
