"""A conversation: a tree of turns, of which one path is shown."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from aitui.domain.sampling import SamplingParameters
from aitui.domain.turn import Role, Turn

LONGEST_TITLE = 80


@dataclass(frozen=True, slots=True)
class Conversation:
    """A tree of turns by id, in the order in which they were added.

    `shown` is the id of the last turn of the path that is shown, "" where there is none.
    `sent_from` is the turn with which what the model sees begins, "" for the first. `title` is
    empty where nobody gave one. `created` and `changed` are Unix time.
    """

    id: str
    server: str = ""
    model: str = ""
    title: str = ""
    system: str = ""
    sampling: SamplingParameters = field(default_factory=SamplingParameters)
    turns: Mapping[str, Turn] = field(default_factory=dict)
    shown: str = ""
    sent_from: str = ""
    created: float = 0.0
    changed: float = 0.0
    forked_from: str = ""

    @property
    def path(self) -> tuple[Turn, ...]:
        """The turns that are shown, the first one first."""
        return self.path_to(self.shown)

    def path_to(self, turn_id: str) -> tuple[Turn, ...]:
        """The turns that lead to one, itself the last."""
        path: list[Turn] = []
        seen: set[str] = set()
        turn = self.turns.get(turn_id)
        while turn is not None and turn.id not in seen:
            seen.add(turn.id)
            path.append(turn)
            turn = self.turns.get(turn.parent)
        return tuple(reversed(path))

    def children(self, turn_id: str) -> tuple[Turn, ...]:
        """The turns that follow one, the oldest first; "" for the beginnings."""
        return tuple(turn for turn in self.turns.values() if turn.parent == turn_id)

    def branches(self, turn_id: str) -> tuple[Turn, ...]:
        """A turn and those that stand in its place on other paths, the oldest first."""
        turn = self.turns.get(turn_id)
        return () if turn is None else self.children(turn.parent)

    def newest_leaf(self, turn_id: str) -> str:
        """The end of the path that goes on from a turn with its newest followers."""
        children = self.children(turn_id)
        while children:
            turn_id = children[-1].id
            children = self.children(turn_id)
        return turn_id

    @property
    def heading(self) -> str:
        """Its title, else the beginning of what was asked first, on one line."""
        if self.title:
            return self.title
        first = next((turn for turn in self.path if turn.role is Role.USER), None)
        if first is None:
            return "new conversation"
        words = " ".join(first.text[: LONGEST_TITLE * 4].split())
        return words if len(words) <= LONGEST_TITLE else words[: LONGEST_TITLE - 1] + "…"

    def with_turn(self, turn: Turn) -> "Conversation":
        """With one turn more, or another in its place."""
        return replace(self, turns={**self.turns, turn.id: turn})
