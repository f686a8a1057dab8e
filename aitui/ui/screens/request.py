"""One request: its figures, and what the server kept of it, as chat, pretty, raw, or its headers."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from textual.app import ComposeResult
from textual.content import Content
from textual.screen import Screen

from aitui.domain.activity import ActivityRow, time_to_first_token
from aitui.domain.capture import Capture, captured_chat, pretty_body
from aitui.domain.snapshot import Clock
from aitui.domain.units import format_rate
from aitui.format.requests import status_words
from aitui.ui.frame import set_frame_title
from aitui.ui.keymap import APP, CAPTURE
from aitui.ui.plain import PlainText
from aitui.ui.text import wrap_line
from aitui.ui.widgets.activity_table import ActivityTable, Piece
from aitui.ui.widgets.key_bar import KeyBar
from aitui.ui.widgets.server_header import ServerHeader

FORMS = ("chat", "pretty", "raw", "headers")
_ROLE_STYLES = {"user": "bold accent", "assistant": "bold ready", "system": "bold muted"}


class TextLines:
    """Paragraphs, each with its style, wrapped to the width of a table."""

    def __init__(self, paragraphs: Sequence[Piece]) -> None:
        self._paragraphs = paragraphs
        self._lines: list[Piece] = []
        self._width = -1

    @property
    def text(self) -> str:
        """The whole text, not wrapped."""
        return "\n".join(text for text, _ in self._paragraphs)

    @property
    def count(self) -> int:
        """The number of lines."""
        return len(self._lines)

    def fit(self, width: int) -> None:
        """Wrap the text to that many cells."""
        if width == self._width:
            return
        self._width, room = width, max(8, width - 2)
        self._lines = [
            (part, style)
            for text, style in self._paragraphs
            for line in text.split("\n")
            for part in wrap_line(line, room, room // 2)
        ]

    def show(self, first: int, end: int) -> None:
        """Everything is there."""

    def title(self) -> Sequence[Piece]:
        """Nothing stands above the text."""
        return ()

    def line(self, index: int) -> Sequence[Piece]:
        """Return a line."""
        return (self._lines[index],)


class RequestScreen(Screen[None]):
    """Shows a row of the record at once, and the capture when it has come."""

    CSS_PATH = "activity.tcss"
    BINDINGS = CAPTURE.bindings()
    BLANK = True

    def __init__(self, clock: Clock, row: ActivityRow) -> None:
        super().__init__(name="request")
        self._clock = clock
        self._row = row
        self._capture: Capture | None = None
        self._texts: Mapping[str, TextLines] = {}
        self._form = FORMS[0]
        self._problem = "Reading what the server kept …"
        self._table = ActivityTable(id="table")
        self._facts = PlainText(id="facts", classes="frame")
        self._key_bar = KeyBar(id="keys")

    def compose(self) -> ComposeResult:
        yield ServerHeader(self._clock, id="header")
        yield from (self._facts, self._table, self._key_bar)

    def on_mount(self) -> None:
        self._table.focus()
        set_frame_title(self._facts, "Request", self._row.model)
        self._facts.update(_facts(self._row))
        self._show()

    def tick(self) -> None:
        """Update the header."""
        for header in self.query(ServerHeader):
            header.tick()

    @property
    def line_cells(self) -> int:
        """The cells of a line of text."""
        return self._table.line_cells

    def show_capture(self, capture: Capture, texts: Mapping[str, TextLines]) -> None:
        """Show what the server kept, with its texts as `capture_texts` returns them."""
        self._capture, self._texts = capture, texts
        self._form = next(iter(texts))
        self._show()

    def show_problem(self, words: str) -> None:
        """Say why there is nothing of the request."""
        self._problem = words
        self._show()

    def action_next_form(self, step: int) -> None:
        """Show the next form of what was kept."""
        if self._capture is not None:
            self._form = FORMS[(FORMS.index(self._form) + step) % len(FORMS)]
            self._show()

    def action_copy(self) -> None:
        """Copy all of the text that is shown."""
        if self._capture is None:
            self.notify("There is no text to copy", severity="warning")
        else:
            self.app.copy_to_clipboard(self._texts[self._form].text)

    def _show(self) -> None:
        capture = self._capture
        self._table.empty_text = "" if capture is not None else self._problem
        self._table.show_lines(self._texts.get(self._form, TextLines(())), cursor=0)
        right = "" if capture is None or not capture.is_cut else "too long, only its beginning"
        set_frame_title(
            self._table, "Kept by the server", "" if capture is None else self._form, right
        )
        named = " ".join(f"[{form}]" if form == self._form else form for form in FORMS)
        hints = (CAPTURE.hint("next_form(1)", named), CAPTURE.hint("copy"))
        self._key_bar.hints = (
            *(hints if capture is not None else ()),
            CAPTURE.hint("dismiss"),
            APP.hint("help"),
        )


def capture_texts(capture: Capture, width: int) -> dict[str, TextLines]:
    """Return the text of each of FORMS, the one to begin with first, wrapped to that many cells.

    Takes 0.5 s for the longest bodies, in Chinese: for a thread.
    """
    texts = {form: TextLines(_paragraphs(capture, form)) for form in FORMS}
    for text in texts.values():
        text.fit(width)
    if not captured_chat(capture):
        texts["chat"] = texts.pop("chat")
    return texts


def _paragraphs(capture: Capture, form: str) -> list[Piece]:
    match form:
        case "chat":
            return _chat(capture)
        case "headers":
            found: list[Piece] = []
            sides = ("Request", capture.request_headers), ("Response", capture.response_headers)
            for name, headers in sides:
                found.append((name, "bold accent"))
                found += [
                    (f"{key}: {value}", "foreground") for key, value in sorted(headers.items())
                ]
                found.append(("", ""))
            return found
    bodies = capture.request_body, capture.response_body
    if form == "pretty":
        shown = [pretty_body(body) for body in bodies]
    else:
        shown = [pretty_body(None) if body is None else body for body in bodies]
    return [
        (f"Request {capture.path}", "bold accent"),
        (shown[0], "foreground"),
        ("", ""),
        ("Response", "bold ready"),
        (shown[1], "foreground"),
    ]


def _chat(capture: Capture) -> list[Piece]:
    turns = captured_chat(capture)
    if not turns:
        return [(f"This request is no chat: {CAPTURE.sign('next_form(1)')} shows its body", "")]
    found: list[Piece] = []
    for turn in turns:
        found.append((turn.role, _ROLE_STYLES.get(turn.role, "bold foreground")))
        if turn.reasoning:
            found += [(f"│ {line}", "") for line in turn.reasoning.split("\n")]
        if turn.text:
            found.append((turn.text, "foreground"))
        found += [(f"calls {call}", "transit") for call in turn.calls]
        found.append(("", ""))
    return found


def _facts(row: ActivityRow) -> Content:
    moment = datetime.fromtimestamp(row.at).astimezone()
    client = " · ".join(dict.fromkeys(filter(None, (row.who, row.client, row.agent, row.session))))
    first = time_to_first_token(row)
    figures = (
        ("prompt", None if row.prompt is None else f"{row.prompt:,} tokens"),
        ("cached", None if row.cached is None else f"{row.cached:,}"),
        ("reply", None if row.tokens is None else f"{row.tokens:,} tokens"),
        (
            "drafted",
            None if not row.drafted else f"{row.drafted:,}, {row.accepted or 0:,} accepted",
        ),
        (
            "first token",
            None if first is None else f"{'' if first.exact else '≈'}{first.seconds:.1f} s",
        ),
        ("prompt rate", None if not row.prompt_rate else f"{row.prompt_rate:,.0f} tok/s"),
        ("rate", None if row.rate is None else f"{format_rate(row.rate)} tok/s"),
        ("took", None if row.seconds is None else f"{row.seconds:.1f} s"),
    )
    known = " · ".join(f"{name} {words}" for name, words in figures if words is not None)
    status = status_words(row)[0] + (f" ({row.status})" if row.status else "")
    lines = (
        f"{moment:%Y-%m-%d %H:%M:%S} · {client or 'unknown client'}",
        f"{row.path or 'unknown path'} · {status}",
        known,
    )
    return Content("\n".join(filter(None, lines)))
