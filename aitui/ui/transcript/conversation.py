"""The turns of a transcript, and where the layout has them."""

from collections.abc import Callable, Iterable, Iterator

from aitui.ui.transcript.fence_colours import colour, next_fence, wants_colours
from aitui.ui.transcript.layout import Laid, Layout
from aitui.ui.transcript.turns import Part, ShownTurn, Turn


class Conversation:
    """Takes text as it comes; `advance` brings the layout up to date."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self.layout = Layout()
        self._now = monotonic
        self._turns: list[Turn] = []
        self._by_id: dict[str, Turn] = {}
        self._changed: int | None = None
        """The first turn that has to be laid out anew."""
        self._stable = 0
        """Entries of the layout in front of what still grows."""
        self._colouring: Iterator[None] | None = None
        self._coloured = 0
        """Entries in front of which every fence has its colours."""

    @property
    def waiting(self) -> bool:
        """Whether something has come that is not laid out yet."""
        return self._changed is not None or (bool(self._turns) and _grows(self._turns[-1]))

    @property
    def text(self) -> str:
        """Everything that was said, without reasoning."""
        return "\n\n".join(turn.text.strip("\n") for turn in self._turns if turn.text)

    def answer_at(self, index: int | None) -> str:
        """The text of the turn that an entry belongs to, else of the last answer."""
        if index is not None:
            holders = [turn for turn in self._turns if turn.at <= index]
        else:
            holders = [turn for turn in self._turns if turn.role != "user"]
        return holders[-1].text if holders else ""

    def begin(self, turn_id: str, role: str, model: str) -> None:
        """Add a turn at the end."""
        turn = Turn(turn_id, role, model)
        turn.at = len(self.layout.entries)
        self._turns.append(turn)
        self._by_id[turn_id] = turn
        self._change(turn)

    def append(self, turn_id: str, text: str, *, reasoning: bool) -> None:
        """Add text to a turn."""
        turn = self._by_id[turn_id]
        before = turn.parts[-1] if turn.parts else None
        part = turn.part(reasoning=reasoning)
        part.add(text)
        if part is not before:
            self._end_reasoning(before)
            part.began = self._now()
        if part is not before or turn is not self._turns[-1]:
            self._change(turn)

    def set_thought(self, turn_id: str, seconds: float) -> None:
        """Say how long a turn's reasoning took, where that is known better than by its coming."""
        turn = self._by_id[turn_id]
        for part in turn.parts:
            if part.reasoning and part is not turn.parts[-1] and part.seconds != seconds:
                part.seconds = seconds
                self._change(turn)

    def set_state(self, turn_id: str, words: str) -> None:
        """Put words beside the name of who speaks."""
        turn = self._by_id[turn_id]
        turn.state = words
        place = self._turns.index(turn)
        if self._changed is None or place < self._changed:
            self.layout.replace(turn.at, Laid(turn.header(first=place == 0)))

    def finish(self, turn_id: str, footer: str) -> None:
        """End a turn."""
        turn = self._by_id[turn_id]
        turn.footer, turn.ended = footer, True
        self._end_reasoning(turn.parts[-1] if turn.parts else None)
        self._change(turn)

    def replace(self, turns: Iterable[ShownTurn]) -> None:
        """Forget all turns and take others."""
        self._turns = [Turn.whole(turn) for turn in turns]
        self._by_id = {turn.id: turn for turn in self._turns}
        self._changed, self._colouring, self._coloured = 0, None, 0
        self.layout.truncate(0)

    def toggle_reasoning(self, index: int | None) -> bool:
        """Unfold or fold the reasoning that an entry belongs to, else the last one, if any."""
        entries = self.layout.entries
        found: tuple[Turn, Part] | None = None
        for turn in self._turns:
            for part in turn.parts:
                if part.reasoning:
                    found = (turn, part)
                    if index is not None and index < len(entries) and entries[index] is part.fold:
                        return self._toggle(*found)
        return self._toggle(*found) if found is not None else False

    def advance(self) -> None:
        """Lay out everything that has come."""
        if self._changed is not None:
            self._lay_out(self._changed)
        elif self._turns and self._turns[-1].parts:
            self._grow(self._turns[-1], self._turns[-1].parts[-1])

    def work(self, near: int, enough: Callable[[], bool]) -> bool:
        """Draw and colour some of what is out of sight; returns whether any rows are others now."""
        layout = self.layout
        if not layout.exact:
            layout.draw_rest(near, enough)
            return True
        if not self.finds_fence():
            return False
        for _ in self._colouring or ():
            if enough():
                return False
        self._colouring = None
        return True

    def finds_fence(self) -> bool:
        """Whether a complete fence waits for its colours."""
        if self.layout.raw or self._changed is not None or not self.layout.exact:
            return False
        return self._colouring is not None or self._next_colouring()

    def reflow(self, width: int, *, raw: bool) -> None:
        """Break all lines anew."""
        self._colouring, self._coloured = None, 0
        self.layout.reflow(width, raw=raw)

    def _next_colouring(self) -> bool:
        """Turn to the next fence that is complete; False where there is none."""
        entries = self.layout.entries
        streaming = bool(self._turns) and not self._turns[-1].ended
        end = self._stable if streaming else len(entries)
        while self._coloured < end:
            fence = next_fence(entries, self._coloured, end)
            if not fence:
                self._coloured = end
            elif streaming and fence[-1] is entries[end - 1] and not fence[-1].piece.ends:
                return False
            else:
                start = next(at for at in range(self._coloured, end) if entries[at] is fence[0])
                self._coloured = start + len(fence)
                if wants_colours(fence):
                    self._colouring = colour(fence, self.layout.width)
                    return True
        return False

    def _grow(self, turn: Turn, part: Part) -> None:
        new = part.advance() if part.waiting else []
        layout = self.layout
        if part.reasoning and not turn.ended:
            self._relabel(part)
        if part.opened:
            layout.truncate(self._stable)
            layout.extend(new)
            self._stable = len(layout.entries)
            layout.extend((*part.tail, *turn.ending()))

    def _relabel(self, part: Part) -> None:
        """Draw the line of reasoning anew, whose seconds go on."""
        entries = self.layout.entries
        for index in range(len(entries) - 1, -1, -1):
            if entries[index] is part.fold:
                part.fold = Laid(part.fold_label(self._now()))
                self.layout.replace(index, part.fold)
                return

    def _lay_out(self, place: int) -> None:
        layout = self.layout
        first = self._turns[place].at if place < len(self._turns) else len(layout.entries)
        layout.truncate(first)
        self._coloured = min(self._coloured, first)
        for index in range(place, len(self._turns)):
            turn = self._turns[index]
            turn.at = len(layout.entries)
            for part in turn.parts:
                if part.waiting:
                    part.advance()
            layout.extend(turn.entries(self._now(), first=index == 0))
            below = len(turn.ending())
            if turn.parts and turn.parts[-1].opened:
                below += len(turn.parts[-1].tail)
            self._stable = len(layout.entries) - below
        self._changed = None

    def _change(self, turn: Turn) -> None:
        place = self._turns.index(turn)
        self._colouring = None
        self._changed = place if self._changed is None else min(place, self._changed)

    def _toggle(self, turn: Turn, part: Part) -> bool:
        part.opened = not part.opened
        self._change(turn)
        return True

    def _end_reasoning(self, part: Part | None) -> None:
        if part is not None and part.reasoning and part.began is not None and part.seconds is None:
            part.seconds = max(0.0, self._now() - part.began)


def _grows(turn: Turn) -> bool:
    return bool(turn.parts) and turn.parts[-1].waiting
