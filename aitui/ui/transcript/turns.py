"""Turns of a conversation as the transcript keeps them: texts that may still grow."""

from collections.abc import Iterator

from msgspec import Struct

from aitui.ui.transcript.blocks import (
    Piece,
    PieceKind,
    References,
    StreamedText,
    replace_control_characters,
    split_plain_text,
)
from aitui.ui.transcript.layout import LaidOutPiece

PROMPT_INDENT = 2


class CompletedTurn(Struct, frozen=True):
    """A turn that is whole. `thought_for` is in seconds, `role` is user, assistant or system."""

    id: str
    role: str
    text: str
    model: str = ""
    reasoning: str = ""
    thought_for: float | None = None
    footer: str = ""


class TurnPart:
    """A run of text of one kind within a turn."""

    def __init__(self, *, reasoning: bool, plain: bool = False) -> None:
        self.reasoning = reasoning
        self._plain = plain
        self.is_open = not reasoning
        self.began: float | None = None
        self.seconds: float | None = None
        self.entries: list[LaidOutPiece] = []
        self.tail: list[LaidOutPiece] = []
        self.fold = LaidOutPiece(_make_label("", "reasoning"))
        self._text = StreamedText()
        self._references: References = {}

    @property
    def has_pending(self) -> bool:
        """Whether text came that is in no piece yet."""
        return self._text.has_pending

    @property
    def source(self) -> str:
        """The text that is in pieces, as it came."""
        return "".join(laid.piece.source for laid in (*self.entries, *self.tail))

    def add(self, delta: str) -> None:
        self._text.add(delta)

    def advance(self) -> list[LaidOutPiece]:
        """Cut what came into pieces; returns those that are finished now."""
        before = {laid.piece: laid for laid in self.tail}
        if self._plain:
            text = self.source + self._text.take_pending_text()
            new, tail = [], split_plain_text(text, PROMPT_INDENT)
        else:
            new, tail = self._text.advance(), self._text.tail()
            self._references |= self._text.references
        finished = [before.get(piece) or self._lay_out(piece) for piece in new]
        self.entries += finished
        self.tail = [before.get(piece) or self._lay_out(piece) for piece in tail]
        return finished

    def resolve_links(self) -> None:
        """Draw links by reference again: their definitions mostly come below them."""
        self._references |= self._text.tail_references | self._text.references
        if self._references:
            for pieces in (self.entries, self.tail):
                for at, laid in enumerate(pieces):
                    if "[" in laid.piece.text:
                        pieces[at] = self._lay_out(laid.piece)

    def _lay_out(self, piece: Piece) -> LaidOutPiece:
        return LaidOutPiece(piece, aside=self.reasoning, references=self._references)

    def fold_label(self, now: float) -> Piece:
        """The line that stands for the reasoning."""
        sign = "▾" if self.is_open else "▸"
        if self.seconds is not None:
            return _make_label(f"{sign} thought for {self.seconds:.1f} s", "reasoning")
        if self.began is not None:
            return _make_label(f"{sign} thinking {max(0.0, now - self.began):.1f} s", "reasoning")
        return _make_label(f"{sign} thought", "reasoning")


class TranscriptTurn:
    """One turn: a header, its parts, a footer. `at` is its first entry in the layout."""

    def __init__(self, turn_id: str, role: str, model: str = "") -> None:
        self.id = turn_id
        self.role = role
        self.model = model
        self.state = ""
        self.footer = ""
        self.ended = False
        self.at = 0
        self.head: LaidOutPiece | None = None
        self.parts: list[TurnPart] = []

    @classmethod
    def whole(cls, shown: CompletedTurn) -> "TranscriptTurn":
        """A turn that doesn't grow any more."""
        turn = cls(shown.id, shown.role, shown.model)
        turn.footer = shown.footer
        turn.ended = True
        for text, reasoning in ((shown.reasoning, True), (shown.text, False)):
            if text:
                part = turn.part_for(reasoning=reasoning)
                part.seconds = shown.thought_for
                part.add(text)
                part.advance()
                part.resolve_links()
        return turn

    @property
    def text(self) -> str:
        """What was said, without reasoning."""
        return "".join(part.source for part in self.parts if not part.reasoning)

    def part_for(self, *, reasoning: bool) -> TurnPart:
        """The part that text of a kind goes to now: the last one, or a new one."""
        if not self.parts or self.parts[-1].reasoning is not reasoning:
            self.parts.append(TurnPart(reasoning=reasoning, plain=self.role == "user"))
        return self.parts[-1]

    def header(self, *, first: bool) -> Piece:
        """The line with the speaker, and the state of an answer."""
        who = {"user": "You", "system": "System"}.get(self.role, self.model or "Assistant")
        words = f"{who} · {self.state}" if self.state else who
        return _make_label(
            words, "user" if self.role == "user" else "who", bold=True, gap=not first
        )

    def entries(self, now: float, *, first: bool) -> Iterator[LaidOutPiece]:
        """Everything of the turn that is shown, from top to bottom."""
        header = self.header(first=first)
        if self.head is None or self.head.piece != header:
            self.head = LaidOutPiece(header)
        yield self.head
        for part in self.parts:
            if part.reasoning:
                fold = part.fold_label(now)
                part.fold = part.fold if part.fold.piece == fold else LaidOutPiece(fold)
                yield part.fold
            if part.is_open:
                yield from part.entries
                yield from part.tail
            if part.reasoning and part.is_open:
                yield LaidOutPiece(_make_label("", "text"))
        yield from self.footer_entries()

    def footer_entries(self) -> list[LaidOutPiece]:
        """What stands below the text."""
        return [LaidOutPiece(_make_label(self.footer, "footer"))] if self.footer else []


def _make_label(text: str, style: str, *, bold: bool = False, gap: bool = False) -> Piece:
    line = " ".join(replace_control_characters(text).split())
    return Piece(
        line,
        PieceKind.LABEL,
        gap=() if gap else None,
        level=int(bold),
        opens=style == "reasoning",
        style=style,
    )
