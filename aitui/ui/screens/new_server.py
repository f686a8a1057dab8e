"""A server that is described step by step: each field is checked as it is typed, each step by the doctor."""

import asyncio
from contextlib import aclosing
from functools import partial

from msgspec.structs import replace
from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input
from textual.worker import Worker

from aitui.domain.checks import CheckResult
from aitui.errors import AituiError
from aitui.services.first_run import STEPS, ServerDraft, ServerSetup, check_step
from aitui.ui.frame import set_frame_title
from aitui.ui.keymap import NEW_SERVER, one_line_error
from aitui.ui.messages import ServerAddRequested
from aitui.ui.plain import PlainText
from aitui.ui.screens.doctor import CheckRow
from aitui.ui.widgets.dialog import WIDE_DIALOG_CELLS, Dialog
from aitui.ui.widgets.key_bar import KeyBar
from aitui.ui.widgets.pane_body import FrameLine

FIELDS = {
    "url": ("address", "https://ai.example.org or localhost:8080"),
    "certificates": ("certificates", "a directory, a .p12, or PEM files"),
    "password": ("password", "of the .p12, not saved"),
    "ssh_host": ("SSH host", "me@ai.example.org, a Host, or local"),
    "name": ("name", "from the address if empty"),
}
"""Label and example of each field, by the fields of a draft."""


class NewServerScreen(ModalScreen[ServerDraft]):
    """Ends with what was typed, to go on with later; `ServerAddRequested` says that it is whole."""

    CSS_PATH = ["dialog.tcss", "new_server.tcss"]  # noqa: RUF012
    BINDINGS = NEW_SERVER.bindings()

    def __init__(self, setup: ServerSetup, draft: ServerDraft) -> None:
        super().__init__()
        self._setup = setup
        self._draft = draft
        self._checked: dict[str, ServerDraft] = {}
        self._notes: dict[str, tuple[str, bool]] = {}
        self._inputs = {
            field: Input(
                getattr(draft, field),
                placeholder=example,
                password=field == "password",
                select_on_focus=False,
                id=field,
            )
            for field, (_, example) in FIELDS.items()
        }

    def compose(self) -> ComposeResult:
        with Dialog(WIDE_DIALOG_CELLS) as dialog:
            set_frame_title(dialog, "Another server")
            for field, (label, _) in FIELDS.items():
                with Horizontal(classes="field", id=f"{field}-line"):
                    yield PlainText(Content.styled(label, "$muted"), classes="label")
                    yield self._inputs[field]
                    yield PlainText(classes="sign", id=f"{field}-sign")
            yield PlainText(id="note")
            yield FrameLine("──", id="rule")
            yield VerticalScroll(id="checks", can_focus=False)
        hints = (NEW_SERVER.hint(action) for action in ("submit", "move(1)", "save", "dismiss"))
        yield KeyBar(*hints, id="keys")

    def on_mount(self) -> None:
        self.query_one("#rule", FrameLine).title = ("Checks", "", "")
        self._show_fields()
        for field in FIELDS:
            self._describe(field)
        first = next((one for one in FIELDS if not getattr(self._draft, one)), "url")
        self._inputs[first].focus()

    def on_descendant_focus(self) -> None:
        self._show_note()

    def on_descendant_blur(self) -> None:
        """Check a step as soon as its field is left."""
        self._check_steps()

    def action_move(self, fields: int) -> None:
        """Go to the next field, or back."""
        shown = [one for one in self._inputs.values() if self.query_one(f"#{one.id}-line").display]
        at = shown.index(self.focused) if isinstance(self.focused, Input) else 0
        shown[max(0, min(at + fields, len(shown) - 1))].focus()

    async def action_dismiss(self, result: object = None) -> None:
        del result
        self.dismiss(self._draft)

    def action_save(self) -> None:
        """Save the server, and connect to it."""
        self.post_message(ServerAddRequested(self._draft))

    def show_error(self, error: AituiError) -> None:
        """Show why it could not be saved."""
        self._write_note(one_line_error(error), is_error=True)

    @on(Input.Changed)
    def _handle_change(self, message: Input.Changed) -> None:
        field = message.input.id or ""
        self._draft = replace(self._draft, **{field: message.value})
        self._show_fields()
        for other in FIELDS if field in {"url", "certificates"} else (field,):
            self._describe(other)

    @on(Input.Submitted)
    def _handle_submit(self, message: Input.Submitted) -> None:
        if message.input is self._inputs["name"]:
            self.action_save()
        else:
            self.action_move(1)

    def _show_fields(self) -> None:
        """Show the password's field only if it is needed, certificates only where TLS is."""
        url = self._draft.url.strip().lower()
        self.query_one("#certificates-line").display = not url.startswith("http:")
        self.query_one("#password-line").display = self._draft.needs_password

    def _describe(self, field: str) -> None:
        # Not a coroutine: Python complains of one that is cancelled before it has begun.
        work = partial(self._describe_field, field)
        _: Worker[None] = self.run_worker(work, group=f"describe {field}", exclusive=True)

    async def _describe_field(self, field: str) -> None:
        draft = self._draft
        try:
            words = await asyncio.to_thread(self._setup.describe_field, field, draft)
            note = words, False
        except AituiError as error:
            is_empty = not getattr(draft, field).strip()
            note = ("", False) if is_empty else (one_line_error(error), True)
        self._notes[field] = note
        # A screen that is closed loses its widgets before its workers end.
        if not self.display:
            return
        sign = (
            Content.styled("✘", "$error")
            if note[1]
            else Content.styled("✔" * bool(note[0]), "$ready")
        )
        self.query_one(f"#{field}-sign", PlainText).update(sign)
        self._show_note()

    def _show_note(self) -> None:
        focused = self.focused
        if isinstance(focused, Input):
            words, is_error = self._notes.get(focused.id or "", ("", False))
            self._write_note(words, is_error=is_error)

    def _write_note(self, words: str, *, is_error: bool) -> None:
        self.query_one("#note", PlainText).update(
            Content.styled(words, "$error" if is_error else "$muted")
        )

    def _check_steps(self) -> None:
        """Begin the checks of the last step that is described and was not checked like this."""
        for step in reversed(STEPS):
            wanted = replace(self._draft, name="")
            if step == "url":
                wanted = ServerDraft(url=self._draft.url)
            elif step == "certificates":
                wanted = replace(wanted, ssh_host="")
            typed = getattr(wanted, step).strip()
            if not typed or self._checked.get(step) == wanted:
                continue
            self._checked[step] = wanted
            work = partial(self._check, step, wanted)
            _: Worker[None] = self.run_worker(work, group="checks", exclusive=True)
            return

    async def _check(self, step: str, draft: ServerDraft) -> None:
        checks, rule = self.query_one("#checks"), self.query_one("#rule", FrameLine)
        await checks.remove_children()
        label = FIELDS[step][0]
        rule.title = ("Checks", f"of the {label}, running", "")
        try:
            server = await asyncio.to_thread(self._setup.server, draft)
        except AituiError:
            rule.title = ("Checks", "", "")
            return  # the note says why
        async with aclosing(check_step(step, server, self._setup.clock)) as found:
            async for item in found:
                if not self.display:
                    return
                if isinstance(item, CheckResult):
                    await checks.mount(CheckRow(item))
        rule.title = ("Checks", f"of the {label}", "")
        failed = next(iter(self.query("CheckRow.-failed")), None)
        if failed is not None:
            self.call_after_refresh(checks.scroll_to_widget, failed, animate=False)
        else:
            # What it all comes to: the models that are listed.
            self.call_after_refresh(checks.scroll_end, animate=False)
