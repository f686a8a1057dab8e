"""Asks for a context size: what it is now, where that figure is from, and a field for the new one."""

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input

from aitui.domain.config.sizes import double, half, parse_context_size
from aitui.domain.memory.forecast import FitForecast, FitVerdict, describe_fit
from aitui.domain.models import Model
from aitui.domain.snapshot import Snapshot
from aitui.errors import ConfigRefused
from aitui.ui.keymap import CONTEXT_SIZE, remedy_text
from aitui.ui.plain import PlainText
from aitui.ui.text import shorten_id

MAX_ID_CELLS = 56


class ContextSizeScreen(ModalScreen[int | None]):
    """Ends with tokens, or with None where nothing is to change."""

    CSS_PATH = "context_size.tcss"
    BINDINGS = CONTEXT_SIZE.bindings()

    def __init__(self, model: Model, snapshot: Snapshot | None = None) -> None:
        super().__init__()
        self._model = model
        self._snapshot = snapshot or Snapshot()
        self._max_context = self._snapshot.hardware.longest_context(model.id)
        self._now = PlainText(_current_size_text(model), id="now")
        self._entry = Input(str(model.context.tokens), id="size", placeholder="tokens, 256k, 0.25M")
        self._meaning = PlainText(id="meaning")
        self._fit_text = PlainText(id="fit")
        self._hints = PlainText(id="hints")

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog"):
            yield PlainText(shorten_id(self._model.id, MAX_ID_CELLS), id="title")
            yield self._now
            yield self._entry
            yield self._meaning
            yield self._fit_text
            yield self._hints

    def on_mount(self) -> None:
        """What is typed takes the place of the size now."""
        self._entry.focus()
        self._entry.action_select_all()
        self._show_hints()
        self.watch(self.app, "snapshot", self._show_snapshot)

    def _show_snapshot(self, snapshot: Snapshot) -> None:
        """Show a size that was read from the config file just now; what was typed stays."""
        self._snapshot = snapshot
        self._max_context = snapshot.hardware.longest_context(self._model.id)
        self._show_hints()
        self._show_fit()
        model = snapshot.model(self._model.id)
        if model is None or model.context == self._model.context:
            return
        entry = self._entry
        untouched = entry.value == str(self._model.context.tokens)
        self._model = model
        self._now.update(Content(_current_size_text(model)))
        if untouched:
            entry.value = str(model.context.tokens)
            entry.action_select_all()

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
        """As many tokens as fit into the memory once everything else has gone."""
        fitting = self._fit(self._input_tokens()).largest_context
        if fitting is not None:
            self._set_tokens(fitting)
        else:
            self.notify("How many tokens fit is unknown")

    def _fit(self, tokens: int) -> FitForecast:
        goes = [model.id for model in self._snapshot.resident]
        return self._snapshot.hardware.fit(self._model.id, tokens, goes)

    def _show_fit(self) -> None:
        shown = self._fit_text
        try:
            fit = self._fit(parse_context_size(self._entry.value))
        except ConfigRefused:
            shown.update("")
            return
        shown.set_class(fit.verdict is FitVerdict.NO, "-no")
        shown.set_class(fit.verdict is FitVerdict.TIGHT, "-tight")
        shown.update(Content("\n".join(describe_fit(fit))))

    def _show_hints(self) -> None:
        hints = [CONTEXT_SIZE.line("submit", "double", "half")]
        if self._max_context:
            hints.append(f"{CONTEXT_SIZE.line('most')} {self._max_context:,}")
        fit = self._fit(self._model.context.tokens)
        if fit.largest_context:
            limit = f" ({fit.limit})" if fit.limit else ""
            hints.append(f"{CONTEXT_SIZE.line('fitting')} {fit.largest_context:,}{limit}")
        hints.append(CONTEXT_SIZE.line("dismiss"))
        self._hints.update(Content("   ".join(hints)))

    @on(Input.Changed)
    def _handle_input(self, message: Input.Changed) -> None:
        self._show_fit()
        meaning = self._meaning
        try:
            tokens = parse_context_size(message.value)
        except ConfigRefused as error:
            meaning.add_class("-wrong")
            meaning.update(Content(f"{error.what} {remedy_text(error)}" if message.value else ""))
            return
        meaning.remove_class("-wrong")
        meaning.update(
            Content(_comparison_text(tokens, self._model.context.tokens, self._max_context))
        )

    @on(Input.Submitted)
    def _handle_submit(self, message: Input.Submitted) -> None:
        try:
            tokens = parse_context_size(message.value)
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
        self._entry.value = str(tokens)
        self._entry.action_end()


def _current_size_text(model: Model) -> str:
    return f"context now {model.context.tokens:,} tokens, {model.context.source.value}"


def _comparison_text(tokens: int, now: int, largest: int | None) -> str:
    if largest is not None and tokens > largest:
        return f"{tokens:,} tokens: more than the {largest:,} that the model was made for"
    if tokens == now:
        return f"{tokens:,} tokens: as it is now"
    times = tokens / now if tokens > now else now / tokens
    words = "as many" if tokens > now else "of it"
    ratio = f"{times:.3g} × {words}" if tokens > now else f"1/{times:.3g} {words}"
    return f"{tokens:,} tokens, {ratio}"
