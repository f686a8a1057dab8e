"""Brings a conversation onto the transcript, and of a growing answer only what is new."""

from collections.abc import Iterable

from aitui.domain.answer import Answer, Phase
from aitui.domain.conversation import Conversation
from aitui.domain.turn import Role, Turn
from aitui.ui.answer_words import ENDED, footer
from aitui.ui.transcript.drawing import ITEM_GAP
from aitui.ui.transcript.turns import ShownTurn
from aitui.ui.widgets.transcript import Transcript


class ShownConversation:
    """What of a conversation the transcript shows already."""

    def __init__(self, transcript: Transcript) -> None:
        self._transcript = transcript
        self._turns: list[str] = []
        self._growing = ""
        self._text = 0
        self._reasoning = 0
        self._phase: Phase | None = None

    def show(self, conversation: Conversation, answer: Answer | None) -> None:
        """Show all of it anew: another conversation, or another branch."""
        growing = answer is not None and not answer.phase.ended
        path = conversation.path
        whole = path[:-1] if growing else path
        self._growing = ""
        self._transcript.replace(_shown(turn, conversation) for turn in whole)
        self._turns = [turn.id for turn in whole]
        if answer is not None and growing:
            self.grow(conversation, answer)

    def grow(self, conversation: Conversation, answer: Answer) -> None:
        """Show what is new of the answer under way, or of one that has just ended."""
        if answer.turn_id != self._growing:
            if answer.phase.ended:
                return
            self._begin(conversation, answer)
        transcript, turn_id = self._transcript, answer.turn_id
        reasoning, text = answer.reasoning.since(self._reasoning), answer.text.since(self._text)
        if reasoning:
            transcript.append(turn_id, reasoning, "reasoning")
        if text:
            transcript.append(turn_id, text)
        self._reasoning, self._text = len(answer.reasoning), len(answer.text)
        if answer.phase is not self._phase:
            self._phase = answer.phase
            transcript.set_state(turn_id, ENDED.get(answer.phase, answer.phase.value))
            if answer.thought is not None and answer.phase is Phase.STREAMING:
                # All of it may have come at once: when its chat is shown again, say.
                transcript.set_thought(turn_id, answer.thought)
        if answer.phase.ended:
            self._end(conversation, turn_id)

    def _begin(self, conversation: Conversation, answer: Answer) -> None:
        before = conversation.path_to(answer.turn_id)[:-1]
        known = [turn.id for turn in before[: len(self._turns)]]
        if known != self._turns or self._growing:
            self._transcript.replace(_shown(turn, conversation) for turn in before)
        else:
            for turn in before[len(known) :]:
                self._transcript.begin_turn(turn.id, turn.role.value, turn.model)
                self._transcript.append(turn.id, _text(turn))
                self._transcript.finish(turn.id)
        self._turns = [turn.id for turn in before]
        self._transcript.begin_turn(answer.turn_id, Role.ASSISTANT.value, answer.model)
        self._growing, self._text, self._reasoning, self._phase = answer.turn_id, 0, 0, None

    def _end(self, conversation: Conversation, turn_id: str) -> None:
        turn = conversation.turns.get(turn_id)
        if turn is None:
            self.show(conversation, None)
            return
        self._transcript.set_state(turn_id, "")
        self._transcript.finish(turn_id, _below(turn, conversation))
        self._turns.append(turn_id)
        self._growing = ""


def _shown(turn: Turn, conversation: Conversation) -> ShownTurn:
    return ShownTurn(
        turn.id,
        turn.role.value,
        _text(turn),
        model=turn.model,
        reasoning=turn.reasoning,
        thought_for=turn.thought,
        footer=_below(turn, conversation),
    )


def _below(turn: Turn, conversation: Conversation) -> str:
    place = _place(turn, conversation)
    return ITEM_GAP.join(footer(turn, place)) if turn.role is Role.ASSISTANT else place


def _text(turn: Turn) -> str:
    images = "".join(f"\n[image: {attachment.name}]" for attachment in turn.attachments)
    return turn.text + images


def _place(turn: Turn, conversation: Conversation) -> str:
    """Which of several answers to the same question this is."""
    branches = _ids(conversation.branches(turn.id))
    if len(branches) < 2:
        return ""
    return f"{branches.index(turn.id) + 1} of {len(branches)}, /branch shows the next"


def _ids(turns: Iterable[Turn]) -> list[str]:
    return [turn.id for turn in turns]
