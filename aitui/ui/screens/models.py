"""View 1: the live table of models, and what is known of the one under the cursor."""

from functools import cached_property
from typing import TYPE_CHECKING

from msgspec.structs import replace
from textual import events, on
from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.geometry import Size
from textual.screen import Screen
from textual.widgets import Input

from aitui.domain.eviction import list_uses
from aitui.domain.models import Model, RunState
from aitui.domain.snapshot import Clock, ConnectionPhase, Server, Snapshot
from aitui.ui.keymap import APP, CHAT_PANE, MODELS, PROMPT, TRANSCRIPT, Hint
from aitui.ui.messages import (
    CancelRequested,
    ChatRequested,
    LoadRequested,
    LogRequested,
    UnloadRequested,
)
from aitui.ui.plain import set_border_title
from aitui.ui.text import NOT_REACHED, shorten_id
from aitui.ui.widgets.key_bar import KeyBar
from aitui.ui.widgets.model_detail import ModelDetail, context_title, model_facts
from aitui.ui.widgets.model_table import ClockReading, ColumnTitles, ModelTable
from aitui.ui.widgets.request_list import RequestList
from aitui.ui.widgets.server_header import ServerHeader, certificate_item, renewal_notice
from aitui.ui.widgets.trouble_pane import TroublePane

if TYPE_CHECKING:
    from textual.widget import AwaitMount

    from aitui.ui.widgets.chat_pane import ChatPane
    from aitui.ui.widgets.gpu_memory import GpuMemoryPane

WIDE_COLUMNS = 118
RESTART_COLUMNS = 120
"""Columns from which the footer names the key that restarts the service."""
MEMORY_STRIP_MIN_SIZE = (160, 44)
"""Columns and lines from which memory and its history get a strip of their own."""


class ModelsScreen(Screen[None]):
    """Shows the snapshot, and passes on requests for its models."""

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (WIDE_COLUMNS, "-wide")]  # noqa: RUF012
    BINDINGS = MODELS.bindings()

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self.server: Server | None = None
        self.snapshot = Snapshot()
        self._header = ServerHeader(clock, id="header")
        self._body = Container(id="body")
        self._models = Vertical(id="models")
        self._table = ModelTable(clock, id="table")
        self._titles = ColumnTitles(self._table, id="titles")
        self._filter = Input(id="filter", placeholder="words that the id, name or state must have")
        self._requests = RequestList(clock, id="requests")
        self._detail = ModelDetail(id="detail")
        self._memory: GpuMemoryPane | None = None
        self._trouble = TroublePane(id="trouble")
        self._key_bar = KeyBar(id="keys")
        self._running_models = 0
        self._reported_certificate_end: float | None = None
        self._chat_mount: AwaitMount | None = None

    def compose(self) -> ComposeResult:
        # Textual sets these after the first frame, and draws four more until all is in its place.
        wide = self.app.size.width >= WIDE_COLUMNS
        self.set_class(wide, "-wide").set_class(not wide, "-narrow")
        yield self._header
        with self._body:
            with self._models:
                yield from (self._titles, self._table, self._filter, self._requests)
            yield self._detail
        yield self._trouble
        yield self._key_bar

    def on_mount(self) -> None:
        self._filter.display = False
        self._table.focus()
        self.watch(self.app, "server", self._show_server)
        self.watch(self.app, "snapshot", self._show_snapshot)

    def on_screen_resume(self) -> None:
        """Show the time that went by under another view."""
        self.tick()

    def tick(self) -> None:
        """Let ages and seconds go on."""
        self._header.tick()
        self._table.tick()
        self._requests.tick()
        if self.has_class("-chat"):
            self.chat.status.tick()
        else:
            self._show_detail()

    async def chat_with(self, model: Model) -> None:
        """Open the chat of a model, whichever is under the cursor."""
        self._table.select(model.id)
        await self.mount_chat()
        self.show_chat(shown=True)
        self.set_focus(self.chat.prompt)
        self.post_message(ChatRequested(model))

    async def action_chat(self) -> None:
        if self._table.selected_model is not None:
            await self.mount_chat()
            self.show_chat(shown=True)
            self.set_focus(self.chat.prompt)
        self._post_model_request(ChatRequested)

    def action_load(self) -> None:
        self._post_model_request(LoadRequested)

    def action_unload(self) -> None:
        self._post_model_request(UnloadRequested)

    def action_log(self) -> None:
        """Read the log of the model under the cursor; this never loads it."""
        self.post_message(LogRequested(self.selected_model))

    def action_cancel_request(self) -> None:
        """Cancel the request under the cursor of its list, or the only one."""
        requests = self._requests
        if requests.selected_use is None:
            words = "No active requests"
            if self.snapshot.requests.running is None:
                words += ", or this server doesn't tell which: llama-swap ≥ v235 does"
            self.notify(words, severity="warning")
        elif not requests.has_focus and len(requests.uses) > 1:
            requests.focus()
            self.notify(f"Which one? Choose it and press {MODELS.sign('cancel_request')} again")
        else:
            self.post_message(CancelRequested(requests.selected_use.request))

    def action_filter(self) -> None:
        """Open the filter line; where the chat has the whole screen, in front of the models again."""
        line = self._filter
        if self.has_class("-narrow"):
            self.show_chat(shown=False)
        line.display = True
        self.set_focus(line)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Where something is typed, the filter's key is a letter."""
        if action == "filter" and (isinstance(self.focused, Input) or self._is_writing):
            return False
        if action == "chat" and (isinstance(self.focused, Input) or self._is_in_chat):
            return False
        return super().check_action(action, parameters)

    def action_sort(self) -> None:
        view = self._table.view
        self._table.view = replace(view, sort=view.next_sort())

    def action_copy_id(self) -> None:
        model = self._table.selected_model
        if model is None:
            self._warn_no_model()
        else:
            self.app.copy_to_clipboard(model.id)

    def action_back(self) -> None:
        """Leave the filter; say of a load how it is aborted."""
        line = self._filter
        model = self._table.selected_model
        if line.display:
            line.value = ""
            self.action_keep_filter()
        elif model is not None and model.requested is not None:
            self.notify(f"{model.id} is still loading. Press u to abort.")

    def keys(self) -> list[Hint]:
        """Key, words and action of what works now, the most needed first."""
        if self._is_in_chat:
            return _chat_keys(
                writing=self._is_writing,
                answering=self.chat.is_replying,
                refused=bool(self.chat.needed_context),
            )
        if isinstance(self.focused, Input):
            # On the filter line letters are letters.
            return [MODELS.hint("keep_filter"), MODELS.hint("back")]
        return _model_keys(
            self._table.selected_model,
            self.snapshot,
            read_only=self.server is None or self.server.read_only,
            running=self._running_models,
            host=self.server is not None and bool(self.server.ssh_host),
            wide=self.app.size.width >= RESTART_COLUMNS,
        )

    @cached_property
    def chat(self) -> "ChatPane":
        """The conversation beside the table; an answer may still come when it has gone already."""
        from aitui.ui.widgets.chat_pane import ChatPane

        return ChatPane(self._clock, id="chat")

    @property
    def shows_memory(self) -> bool:
        """Whether the strip with the memory and its history is shown."""
        return self._memory is not None and self._memory.display

    def mount_chat(self) -> "AwaitMount":
        """Mount the conversation: not with the table, to which its import and style add a third."""
        if self._chat_mount is None:
            self._chat_mount = self._body.mount(self.chat)
            # Other keys work while an answer is under way.
            for name in ("is_replying", "needed_context"):
                self.watch(self.chat, name, self._show_selection, init=False)
        return self._chat_mount

    @property
    def _is_in_chat(self) -> bool:
        return self._chat_mount is not None and self.focused in {
            self.chat.prompt,
            self.chat.transcript,
        }

    @property
    def _is_writing(self) -> bool:
        return self._chat_mount is not None and self.focused is self.chat.prompt

    def show_chat(self, *, shown: bool) -> None:
        """Show the conversation in the place of the details, or these again."""
        if shown != self.has_class("-chat"):
            self.set_class(shown, "-chat")
            # Now, and not with the next style sheet: only what is displayed takes the focus.
            self.chat.display = shown
            if not shown:
                self.set_focus(self._table)

    def action_write_prompt(self) -> None:
        self.chat.prompt.focus()

    def action_read_chat(self) -> None:
        self.chat.transcript.focus()

    def action_close_chat(self) -> None:
        self.show_chat(shown=False)

    @property
    def selected_model(self) -> Model | None:
        return self._table.selected_model

    def _post_model_request(
        self, request: type[LoadRequested | UnloadRequested | ChatRequested]
    ) -> None:
        model = self._table.selected_model
        if model is None:
            self._warn_no_model()
        else:
            self.post_message(request(model))

    def _warn_no_model(self) -> None:
        live = self.snapshot.connection.phase is ConnectionPhase.LIVE
        words = "There is no model under the cursor" if live else NOT_REACHED
        self.notify(words, severity="warning")

    def _show_server(self, server: Server | None) -> None:
        self.server = server
        self._show()

    def _show_snapshot(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._show()

    def _show(self) -> None:
        snapshot, table = self.snapshot, self._table
        # Counted once a snapshot: keys and seconds come more often, and there may be many models.
        self._running_models = len(snapshot.resident)
        table.empty_text = self._empty_text()
        self.query_one(ColumnTitles).note = self.snapshot.models_note
        self._show_memory(self.size)
        requests = self._requests
        requests.uses, requests.more = list_uses(snapshot), snapshot.requests.unlisted
        requests.display = bool(requests.uses)
        self._show_problems()
        self._show_selection()
        self._report_certificate_expiry()

    def on_resize(self, event: events.Resize) -> None:
        # Textual gives a screen its new size only after this handler.
        self._show_memory(event.size)

    def _show_memory(self, size: Size) -> None:
        strip, hardware = self._memory, self.snapshot.hardware
        width, height = MEMORY_STRIP_MIN_SIZE
        large = size.width >= width and size.height >= height
        shown = large and hardware.usage.source is not None
        if strip is None and shown:
            from aitui.ui.widgets.gpu_memory import GpuMemoryPane

            strip = self._memory = GpuMemoryPane(id="memory")
            self.mount(strip, before=self._trouble)
        if strip is not None:
            strip.display = shown
            if shown:
                strip.snapshot = self.snapshot

    def _report_certificate_expiry(self) -> None:
        """Once for each certificate: what the days in the header ask for."""
        ends, wall = self.snapshot.certificate_expires_at, self._clock.wall()
        if (
            ends is None
            or ends == self._reported_certificate_end
            or not certificate_item(ends, wall).text
        ):
            return
        self._reported_certificate_end = ends
        title, words = renewal_notice(ends, wall)
        self.notify(words, title=title, severity="warning", timeout=15)

    def _show_detail(self) -> None:
        model = self._table.selected_model
        detail = self._detail
        if model is None:
            detail.lines = ()
            set_border_title(detail, "")
        else:
            moment = ClockReading(self._clock.monotonic(), self._clock.wall())
            lines = model_facts(model, moment, self._queue_text(model))
            if self._table.stale:
                lines = tuple(replace(line, style="quiet") for line in lines)
            # A small pane has the context size in its title.
            detail.lines = tuple(
                line for line in lines if line.label != "context" or self.has_class("-wide")
            )
            context = "" if self.has_class("-wide") else context_title(model)
            room = detail.size.width - len(context) - 8
            words = (shorten_id(model.id, max(16, room)), context)
            set_border_title(detail, " ─ ".join(word for word in words if word))

    def _queue_text(self, model: Model) -> str:
        if model.queued is None:
            return ""
        from aitui.services.load import describe_queued

        return describe_queued(model, self.snapshot)

    def _show_selection(self) -> None:
        """Show the model under the cursor, and the keys that work now."""
        self._show_detail()
        count = len(self.snapshot.models)
        title = f"Models · {self._running_models} of {count} running" if count else "Models"
        set_border_title(self._models, title)
        self._key_bar.hints = tuple(self.keys())

    def _show_problems(self) -> None:
        lines = [f"! {warning}" for warning in self.snapshot.warnings]
        if note := self.snapshot.config_note:
            lines.append(f"! {note}   {APP.sign('reload_config')} reload")
        if doubt := self.snapshot.config_doubt:
            lines.append(f"? {doubt}   {APP.sign('reload_config')} reload")
        # A server that aitui restarts is lost as expected, and nothing has to be checked.
        restarts = self.snapshot.restart_by is not None
        self._trouble.show(None if restarts else self.snapshot.connection.error, lines)

    def _empty_text(self) -> str:
        link = self.snapshot.connection
        if self.server is None:
            return "No server"
        if self.snapshot.models:
            words = self._table.view.words
            return f"No model matches “{words}”\n{MODELS.sign('back')} clears the filter"
        if link.phase is ConnectionPhase.CONNECTING:
            return f"Connecting to {self.server.url}"
        if link.last_response_at is None:
            return f"{self.server.url} was not reached yet"
        refresh = APP.sign("refresh_server")
        return (
            f"The server lists no models\nAdd some to its config.yaml, then refresh with {refresh}"
        )

    @on(Input.Submitted, "#filter")
    def action_keep_filter(self) -> None:
        line = self._filter
        line.display = bool(line.value)
        self._table.focus()

    @on(Input.Changed, "#filter")
    def _handle_filter_input(self, message: Input.Changed) -> None:
        self._table.view = replace(self._table.view, words=message.value)
        self._table.empty_text = self._empty_text()

    @on(ModelTable.Highlighted)
    def on_descendant_focus(self) -> None:
        """Other keys work now."""
        self._show_selection()


def _model_keys(
    model: Model | None,
    snapshot: Snapshot,
    *,
    read_only: bool,
    running: int,
    host: bool,
    wide: bool,
) -> list[Hint]:
    """Those of the table. `running` is how many models are resident, `host` whether one is set."""
    live = snapshot.connection.phase is ConnectionPhase.LIVE
    writable = live and not read_only
    own = model is not None and model.loadable
    idle = model is None or not (model.resident or model.requested is not None)
    waits = model is not None and model.is_awaited and not model.resident
    loading = waits or (model is not None and model.state is RunState.STARTING)
    restarts = host and not read_only
    hints = [
        (APP.hint("restart_service"), restarts and not live),
        (APP.hint("refresh_server"), not live),
        (APP.hint("doctor"), not live),
        (MODELS.hint("load"), writable and own and idle),
        (
            MODELS.hint("unload", "abort" if loading else ""),
            writable and own and (waits or not idle),
        ),
        (MODELS.hint("chat"), live and model is not None),
        (MODELS.hint("app.change_context"), writable and own and host),
        (MODELS.hint("log"), own),
        (MODELS.hint("filter"), bool(snapshot.models)),
        (MODELS.hint("sort"), bool(snapshot.models)),
        (MODELS.hint("copy_id"), model is not None),
        (APP.hint("restart_service"), restarts and live and wide),
        (APP.hint("command_palette"), True),
        (MODELS.hint("app.unload_all"), writable and running > 0),
        (APP.hint("switch_server"), True),
        (APP.hint("quit"), True),
        (APP.hint("help"), True),
    ]
    return [hint for hint, works in hints if works]


def _chat_keys(*, writing: bool, answering: bool, refused: bool) -> list[Hint]:
    """Those of the prompt, or of the transcript above it; `refused` as larger than the context."""
    stop = [APP.hint("interrupt")] if answering else []
    if refused:
        stop.append(CHAT_PANE.hint("app.grow_context"))
    if writing:
        of_prompt = ("send", "newline", "app.edit_prompt", "complete", "screen.read_chat")
        return [*stop, *(PROMPT.hint(action) for action in of_prompt)]
    of_transcript = ("block(1)", "copy('block')", "reasoning", "follow")
    return [
        *stop,
        CHAT_PANE.hint("screen.write_prompt"),
        *(TRANSCRIPT.hint(action) for action in of_transcript),
        CHAT_PANE.hint("screen.close_chat"),
        APP.hint("help"),
    ]
