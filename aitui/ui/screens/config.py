"""View 5: the server's config file, the selected model's block in focus, its mistakes marked."""

from collections.abc import Sequence

from textual import on
from textual.app import ComposeResult
from textual.content import Content
from textual.screen import Screen

from aitui.domain.config.document import ModelBlock
from aitui.domain.sanitize import sanitize_line
from aitui.domain.snapshot import Clock, Server
from aitui.domain.units import count_of
from aitui.errors import AituiError
from aitui.format.fit import shorten_id
from aitui.services.config_watch import ServerConfig
from aitui.ui.keymap import APP, CONFIG, Hint
from aitui.ui.messages import ConfigEditRequested, ModelRemovalRequested
from aitui.ui.plain import PlainText
from aitui.ui.text import LineItem, fit_items
from aitui.ui.transcript.highlight import highlight_lines
from aitui.ui.transcript.rows import Run
from aitui.ui.widgets.config_view import ConfigView
from aitui.ui.widgets.find_bar import FindBar, match_position
from aitui.ui.widgets.key_bar import KeyBar
from aitui.ui.widgets.server_header import ServerHeader
from aitui.ui.widgets.trouble_pane import TroublePane

MAX_LINE_LENGTH = 4000


def highlight_config(text: str, language: str = "yaml") -> Sequence[Sequence[Run]]:
    """Color the lines of a text; blocks."""
    lines = text.removeprefix("\ufeff").splitlines()
    lines = [sanitize_line(line, MAX_LINE_LENGTH) for line in lines]
    return tuple(highlight_lines(lines, language))


def config_status_line(preset: ServerConfig, view: ConfigView, room: int) -> Content:
    """The most needed stay the longest."""
    count = preset.text.count("\n") + (not preset.text.endswith("\n"))
    at, models = f"line {view.cursor} of {count}", f"{len(preset.models)} models"
    found = match_position(view)
    where = shorten_id(preset.where, max(16, room - len(at) - len(found) - 4))
    items = LineItem(where, 2), LineItem(at, 3), LineItem(found, 4, "$warning"), LineItem(models, 1)
    shown = (Content.styled(item.text, item.style) for item in fit_items(items, room))
    return Content("  ").join(shown)


def line_warnings(preset: ServerConfig | None, line: int) -> list[str]:
    """Return the mistakes on this line, or the number of mistakes elsewhere."""
    if preset is None:
        return []
    here = [problem for problem in preset.diagnostics if problem.line == line]
    lines = [f"{'✘' if problem.fatal else '!'} {problem.words}" for problem in here]
    if not here and preset.diagnostics:
        count = count_of(len(preset.diagnostics), "problem")
        lines.append(f"! {count} in this file: {CONFIG.sign('next_problem')} goes to the next")
    if preset.newer:
        lines.append(f"! {preset.newer}   {APP.sign('reload_config')} reload")
    if preset.doubt:
        lines.append(f"? {preset.doubt}   {APP.sign('reload_config')} reload")
    return lines


class ConfigScreen(Screen[None]):
    """Shows the file as it was last read, and passes on requests to change it."""

    CSS_PATH = "config.tcss"
    BINDINGS = CONFIG.bindings()
    BLANK = True

    def __init__(self, clock: Clock, server: Server, model_id: str) -> None:
        super().__init__(name="config")
        self._clock = clock
        self._server = server
        self._model_id = model_id
        self._server_config: ServerConfig | None = None
        self._error: AituiError | None = None

        self._place = PlainText(id="place")
        self._trouble = TroublePane(id="trouble")
        self._view = ConfigView(id="config")
        self._entry = FindBar(self._view, id="entry")
        self._key_bar = KeyBar(id="keys")

    def compose(self) -> ComposeResult:
        yield ServerHeader(self._clock, id="header")
        yield from (self._place, self._trouble, self._view, self._key_bar)

    async def on_mount(self) -> None:
        self._view.empty_text = "Reading the config file"
        self._view.focus()
        self._show()
        await self.run_action("app.read_config")

    def tick(self) -> None:
        """Update ages and seconds."""
        for header in self.query(ServerHeader):  # none yet while the screen opens
            header.tick()

    def show_config(self, preset: ServerConfig, lines: Sequence[Sequence[Run]]) -> None:
        first = self._server_config is None
        self._server_config, self._error = preset, None
        if not self.is_mounted:
            return
        self._view.show(lines, preset.diagnostics)
        self._view.empty_text = "The file is empty"
        block = next((block for block in preset.models if block.id == self._model_id), None)
        if first and block is not None:
            self._view.focus_block(block.first_line, block.last_line)
        self._show()

    def show_error(self, error: AituiError) -> None:
        self._error = error
        if self.is_mounted:
            words = f"Not read. {CONFIG.sign('app.read_config')} tries again."
            self._view.empty_text = "" if self._server_config else words
            self._show()

    @property
    def has_config(self) -> bool:
        """Whether a file was read yet."""
        return self._server_config is not None

    @property
    def model_id(self) -> str:
        """The model of the block with the cursor, empty outside of all."""
        at, blocks = self._view.cursor, self._blocks
        inside = (block.id for block in blocks if block.first_line <= at <= block.last_line)
        return next(inside, "")

    @property
    def _blocks(self) -> Sequence[ModelBlock]:
        return self._server_config.models if self._server_config else ()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Disable the letter keys while text is typed."""
        del parameters
        typed = {"find", "find_next", "edit", "copy", "next_problem"}
        return not (action in typed and self._entry.display)

    async def action_find(self) -> None:
        await self._entry.open()

    async def action_find_next(self, direction: int) -> None:
        await self._entry.find_next(direction)

    def action_next_problem(self) -> None:
        problems = self._server_config.diagnostics if self._server_config else ()
        if not problems:
            self.notify("No problems found in this file")
            return
        later = [problem.line for problem in problems if problem.line > self._view.cursor]
        self._view.go_to(later[0] if later else problems[0].line)

    def action_next_block(self, direction: int) -> None:
        at, blocks = self._view.cursor, self._blocks
        if direction > 0:
            block = next((block for block in blocks if block.first_line > at), None)
        else:
            block = next((block for block in reversed(blocks) if block.last_line < at), None)
        if block is not None:
            self._view.focus_block(block.first_line, block.last_line)

    def action_edit(self) -> None:
        self.post_message(ConfigEditRequested(self._view.cursor))

    def action_remove(self) -> None:
        if self.model_id:
            self.post_message(ModelRemovalRequested(self.model_id))
        else:
            next_block = CONFIG.sign("next_block(1)")
            words = f"The cursor is not in a model's block. {next_block} goes to the next one."
            self.notify(words, severity="warning")

    def action_copy(self) -> None:
        if self._view.line:
            self.app.copy_to_clipboard(self._view.line)

    def action_back(self) -> None:
        """Leave the entry, then the search, then the view."""
        if not self._entry.step_back():
            self.dismiss()

    def keys(self) -> list[Hint]:
        """Key, words and action of what works now, the most needed first."""
        if self._entry.display:
            return [CONFIG.hint("focused.submit"), CONFIG.hint("back")]
        inside = bool(self.model_id)
        writable = not self._server.read_only
        editable = writable and self._server_config is not None
        diagnostics = self._server_config.diagnostics if self._server_config else ()
        hints = [
            (CONFIG.hint("app.read_config"), self._error is not None),
            (CONFIG.hint("app.change_context"), inside and writable),
            (CONFIG.hint("edit"), editable),
            (CONFIG.hint("app.add_model"), editable),
            (CONFIG.hint("remove"), inside and writable),
            (APP.hint("reload_config"), writable),
            (CONFIG.hint("find_next(1)"), bool(self._view.matches)),
            (CONFIG.hint("find"), True),
            (CONFIG.hint("next_problem"), bool(diagnostics)),
            (CONFIG.hint("next_block(1)"), True),
            (CONFIG.hint("copy"), True),
            (APP.hint("help"), True),
        ]
        return [hint for hint, works in hints if works]

    def _show(self) -> None:
        preset, error = self._server_config, self._error
        self._place.update(
            config_status_line(preset, self._view, self.size.width - 2) if preset else ""
        )
        self._trouble.show(error, () if error else line_warnings(preset, self._view.cursor))
        self._key_bar.hints = tuple(self.keys())

    on_resize = _show

    @on(FindBar.Toggled)
    @on(ConfigView.CursorMoved)
    def _handle_cursor_move(self) -> None:
        self._show()
