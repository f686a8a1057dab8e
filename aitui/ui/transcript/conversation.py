"""The turns of a transcript, which may still grow, and the entries of the layout that show them."""

from collections.abc import Callable, Iterable, Iterator

from msgspec import Struct

from aitui.ui.transcript.blocks import (
    Piece,
    PieceKind,
    References,
    StreamedText,
    replace_control_characters,
    split_plain_text,
)
from aitui.ui.transcript.layout import (
    LaidOutPiece,
    TranscriptLayout,
    can_highlight,
    highlight_fence,
    next_fence,
)

PROMPT_INDENT = 0


class CompletedTurn(Struct, frozen=True):
    """A turn that is whole. `thought_for` is in seconds, `role` is user, assistant or note.

    `when` is the time at which it was sent or began, in words.
    """

    id: str
    role: str
    text: str
    model: str = ""
    reasoning: str = ""
    thought_for: float | None = None
    footer: str = ""
    when: str = ""


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

    @property
    def fold_label(self) -> Piece:
        """The line that stands for the reasoning, with its seconds once it has ended."""
        spent = "" if self.seconds is None else f" · {self.seconds:.1f} s"
        return _make_label(f"{'▾' if self.is_open else '▸'} reasoning{spent}", "reasoning")


class TranscriptTurn:
    """One turn: a header, its parts, a footer. `at` is its first entry in the layout."""

    def __init__(self, turn_id: str, role: str, model: str = "", when: str = "") -> None:
        self.id = turn_id
        self.role = role
        self.model = model
        self.when = when
        self.footer = ""
        self.ended = False
        self.at = 0
        self.head: LaidOutPiece | None = None
        self.parts: list[TurnPart] = []

    @classmethod
    def whole(cls, shown: CompletedTurn) -> "TranscriptTurn":
        """A turn that doesn't grow any more."""
        turn = cls(shown.id, shown.role, shown.model, shown.when)
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
        """Return the text without reasoning."""
        return "".join(part.source for part in self.parts if not part.reasoning)

    def part_for(self, *, reasoning: bool) -> TurnPart:
        """The part that text of a kind goes to now: the last one, or a new one."""
        if not self.parts or self.parts[-1].reasoning is not reasoning:
            self.parts.append(TurnPart(reasoning=reasoning, plain=self.role == "user"))
        return self.parts[-1]

    def entries(self, *, first: bool, hue: str) -> Iterator[LaidOutPiece]:
        """Everything of the turn that is shown, from top to bottom; `hue` colors the speaker."""
        who = "You" if self.role == "user" else self.model or "Assistant"
        header = _make_label(who, hue, bold=True, gap=not first, beside=self.when)
        if self.head is None or self.head.piece != header:
            self.head = LaidOutPiece(header)
        yield self.head
        for part in self.parts:
            if part.reasoning:
                fold = part.fold_label
                part.fold = part.fold if part.fold.piece == fold else LaidOutPiece(fold)
                yield part.fold
            if part.is_open:
                yield from part.entries
                yield from part.tail
            if part.reasoning and part.is_open:
                yield LaidOutPiece(_make_label("", "text"))
        yield from self.footer_entries()

    def footer_entries(self) -> list[LaidOutPiece]:
        """Return the entries below the text."""
        return [LaidOutPiece(_make_label(self.footer, "footer"))] if self.footer else []


def _make_label(
    text: str, style: str, *, bold: bool = False, gap: bool = False, beside: str = ""
) -> Piece:
    line = " ".join(replace_control_characters(text).split())
    return Piece(
        line,
        PieceKind.LABEL,
        beside,
        gap=() if gap else None,
        level=int(bold),
        opens=style == "reasoning",
        style=style,
    )


class TranscriptDocument:
    """Takes text as it comes; `advance` brings the layout up to date."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self.layout = TranscriptLayout()
        self._now = monotonic
        self.hue: Callable[[str], str] = lambda _: "who"
        """The part by which a model's name is colored."""
        self._turns: list[TranscriptTurn] = []
        self._by_id: dict[str, TranscriptTurn] = {}
        self._first_dirty: int | None = None
        """The first turn that has to be laid out again."""
        self._stable = 0
        """Entries of the layout in front of what still grows."""
        self._highlighter: Iterator[None] | None = None
        self._highlight_end = 0
        """Entries in front of which every fence has its colors."""

    @property
    def has_pending(self) -> bool:
        """Whether something has come that is not laid out yet."""
        if self._first_dirty is not None:
            return True
        parts = self._turns[-1].parts if self._turns else []
        return bool(parts) and parts[-1].has_pending

    @property
    def text(self) -> str:
        """Everything that was said, without reasoning."""
        said = (turn.text.strip("\n") for turn in self._turns if turn.role != "note")
        return "\n\n".join(text for text in said if text)

    def reply_at(self, index: int | None) -> str:
        """The text of the turn that an entry belongs to, else of the last answer."""
        if index is not None:
            holders = [turn for turn in self._turns if turn.at <= index]
        else:
            holders = [turn for turn in self._turns if turn.role == "assistant"]
        return holders[-1].text if holders else ""

    def begin(self, turn_id: str, role: str, model: str, when: str) -> None:
        """Add a turn at the end."""
        turn = TranscriptTurn(turn_id, role, model, when)
        turn.at = len(self.layout.entries)
        self._turns.append(turn)
        self._by_id[turn_id] = turn
        self._mark_dirty(turn)

    def append(self, turn_id: str, text: str, *, reasoning: bool) -> None:
        turn = self._by_id[turn_id]
        before = turn.parts[-1] if turn.parts else None
        part = turn.part_for(reasoning=reasoning)
        part.add(text)
        if part is not before:
            self._end_reasoning(before)
            part.began = self._now()
        if part is not before or turn is not self._turns[-1]:
            self._mark_dirty(turn)

    def set_thinking_time(self, turn_id: str, seconds: float) -> None:
        """Set how long a turn's reasoning took, if that is known better than by its arrival."""
        turn = self._by_id[turn_id]
        for part in turn.parts:
            if part.reasoning and part is not turn.parts[-1] and part.seconds != seconds:
                part.seconds = seconds
                self._mark_dirty(turn)

    def finish(self, turn_id: str, footer: str) -> None:
        turn = self._by_id[turn_id]
        turn.footer, turn.ended = footer, True
        self._end_reasoning(turn.parts[-1] if turn.parts else None)
        for part in turn.parts:
            part.advance()
            part.resolve_links()
        self._mark_dirty(turn)

    def replace(self, turns: Iterable[CompletedTurn]) -> None:
        """Forget all turns and take others."""
        self._turns = [TranscriptTurn.whole(turn) for turn in turns]
        self._by_id = {turn.id: turn for turn in self._turns}
        self._first_dirty, self._highlighter, self._highlight_end = 0, None, 0
        self.layout.truncate(0)

    def is_fold(self, index: int | None) -> bool:
        """Whether an entry is the line that stands for a turn's reasoning."""
        entries = self.layout.entries
        if index is None or not 0 <= index < len(entries):
            return False
        parts = (part for turn in self._turns for part in turn.parts if part.reasoning)
        return any(part.fold is entries[index] for part in parts)

    def folded_reasoning(self) -> Iterator[tuple[LaidOutPiece, list[LaidOutPiece]]]:
        """Yield the line of each reasoning that is folded, and the pieces that it hides."""
        for turn in self._turns:
            for part in turn.parts:
                if not part.is_open:
                    yield part.fold, [*part.entries, *part.tail]

    def toggle_reasoning(self, index: int | None) -> bool:
        """Unfold or fold the reasoning that an entry belongs to, else the last one, if any."""
        entries = self.layout.entries
        chosen = entries[index] if index is not None and index < len(entries) else None
        found = [(turn, part) for turn in self._turns for part in turn.parts if part.reasoning]
        if not found:
            return False
        turn, part = next((one for one in found if one[1].fold is chosen), found[-1])
        part.is_open = not part.is_open
        self._mark_dirty(turn)
        return True

    def advance(self) -> None:
        """Lay out everything that has come."""
        if self._first_dirty is not None:
            self._lay_out(self._first_dirty)
        elif self._turns and self._turns[-1].parts:
            self._extend_part(self._turns[-1], self._turns[-1].parts[-1])

    def run_idle_work(self, near: int, enough: Callable[[], bool]) -> bool:
        """Draw and color some of what is out of sight; return whether any rows have changed."""
        layout = self.layout
        if not layout.exact:
            layout.draw_rest(near, enough)
            return True
        if not self.has_pending_highlight():
            return False
        for _ in self._highlighter or ():
            if enough():
                return False
        self._highlighter = None
        return True

    def has_pending_highlight(self) -> bool:
        """Whether a complete fence waits for its colors."""
        if self.layout.raw or self._first_dirty is not None or not self.layout.exact:
            return False
        return self._highlighter is not None or self._start_highlighting()

    def reflow(self, width: int, *, raw: bool) -> None:
        """Break all lines again."""
        self._highlighter, self._highlight_end = None, 0
        self.layout.reflow(width, raw=raw)

    def _start_highlighting(self) -> bool:
        """Turn to the next fence that is complete; return False if there is none."""
        entries = self.layout.entries
        streaming = bool(self._turns) and not self._turns[-1].ended
        end = self._stable if streaming else len(entries)
        while self._highlight_end < end:
            fence = next_fence(entries, self._highlight_end, end)
            if not fence:
                self._highlight_end = end
            elif streaming and fence[-1] is entries[end - 1] and not fence[-1].piece.ends:
                return False
            else:
                start = next(
                    at for at in range(self._highlight_end, end) if entries[at] is fence[0]
                )
                self._highlight_end = start + len(fence)
                if can_highlight(fence):
                    self._highlighter = highlight_fence(fence, self.layout.width)
                    return True
        return False

    def _extend_part(self, turn: TranscriptTurn, part: TurnPart) -> None:
        new = part.advance() if part.has_pending else []
        layout = self.layout
        if part.is_open:
            layout.truncate(self._stable)
            layout.extend(new)
            self._stable = len(layout.entries)
            layout.extend((*part.tail, *turn.footer_entries()))

    def _lay_out(self, place: int) -> None:
        layout = self.layout
        first = self._turns[place].at if place < len(self._turns) else len(layout.entries)
        layout.truncate(first)
        self._highlight_end = min(self._highlight_end, first)
        for index in range(place, len(self._turns)):
            turn = self._turns[index]
            turn.at = len(layout.entries)
            for part in turn.parts:
                if part.has_pending:
                    part.advance()
            layout.extend(turn.entries(first=index == 0, hue=self._hue_of(turn)))
            below = len(turn.footer_entries())
            if turn.parts and turn.parts[-1].is_open:
                below += len(turn.parts[-1].tail)
            self._stable = len(layout.entries) - below
        self._first_dirty = None

    def _hue_of(self, turn: TranscriptTurn) -> str:
        if turn.role == "assistant":
            return self.hue(turn.model)
        return "user" if turn.role == "user" else "quiet"

    def _mark_dirty(self, turn: TranscriptTurn) -> None:
        place = self._turns.index(turn)
        self._highlighter = None
        self._first_dirty = place if self._first_dirty is None else min(place, self._first_dirty)

    def _end_reasoning(self, part: TurnPart | None) -> None:
        if part is not None and part.reasoning and part.began is not None and part.seconds is None:
            part.seconds = max(0.0, self._now() - part.began)
