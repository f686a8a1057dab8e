"""Show a conversation in the transcript; of a growing reply, add only the new text."""

from aitui.domain.chat.conversation import Conversation, Role, Turn
from aitui.domain.chat.reply import Reply, ReplyPhase
from aitui.domain.units import format_moment
from aitui.ui.reply_text import footer_items
from aitui.ui.transcript.conversation import CompletedTurn
from aitui.ui.transcript.render import ITEM_GAP
from aitui.ui.widgets.transcript import Transcript


class TranscriptPresenter:
    """Keeps the transcript in step with a conversation."""

    def __init__(self, transcript: Transcript) -> None:
        self._transcript = transcript
        self._turns: list[str] = []
        self._streaming_id = ""
        self._text_length = 0
        self._reasoning_length = 0
        self._phase: ReplyPhase | None = None

    def show(self, conversation: Conversation, answer: Reply | None) -> None:
        """Show all of it again: another conversation, or another branch."""
        growing = answer is not None and not answer.phase.is_final
        path = conversation.path
        whole = path[:-1] if growing else path
        self._streaming_id = ""
        self._transcript.replace(self._make_turn(turn, conversation) for turn in whole)
        self._turns = [turn.id for turn in whole]
        if answer is not None and growing:
            self.update(conversation, answer)

    def update(self, conversation: Conversation, answer: Reply) -> None:
        """Show what is new of the answer under way, or of one that has just ended."""
        if answer.turn_id != self._streaming_id:
            if answer.phase.is_final:
                return
            self._begin_reply(conversation, answer)
        transcript, turn_id = self._transcript, answer.turn_id
        reasoning, text = (
            answer.reasoning.since(self._reasoning_length),
            answer.text.since(self._text_length),
        )
        if reasoning:
            transcript.append(turn_id, reasoning, "reasoning")
        if text:
            transcript.append(turn_id, text)
        self._reasoning_length, self._text_length = len(answer.reasoning), len(answer.text)
        if answer.phase is not self._phase:
            self._phase = answer.phase
            if answer.thought is not None and answer.phase is ReplyPhase.STREAMING:
                # All of it may have come at once: when its chat is shown again, say.
                transcript.set_thinking_time(turn_id, answer.thought)
        if answer.phase.is_final:
            self._finish_reply(conversation, turn_id)

    def _begin_reply(self, conversation: Conversation, answer: Reply) -> None:
        before = conversation.path_to(answer.turn_id)[:-1]
        known = [turn.id for turn in before[: len(self._turns)]]
        if known != self._turns or self._streaming_id:
            self._transcript.replace(self._make_turn(turn, conversation) for turn in before)
        else:
            for turn in before[len(known) :]:
                self._transcript.begin_turn(turn.id, turn.role.value, turn.model, self._when(turn))
                self._transcript.append(turn.id, _turn_text(turn))
                self._transcript.finish(turn.id)
        self._turns = [turn.id for turn in before]
        when = self._when(conversation.turns.get(answer.turn_id))
        self._transcript.begin_turn(answer.turn_id, Role.ASSISTANT.value, answer.model, when)
        self._streaming_id, self._text_length, self._reasoning_length, self._phase = (
            answer.turn_id,
            0,
            0,
            None,
        )

    def _finish_reply(self, conversation: Conversation, turn_id: str) -> None:
        turn = conversation.turns.get(turn_id)
        if turn is None:
            self.show(conversation, None)
            return
        self._transcript.finish(turn_id, _footer_text(turn, conversation))
        self._turns.append(turn_id)
        self._streaming_id = ""

    def _make_turn(self, turn: Turn, conversation: Conversation) -> CompletedTurn:
        return CompletedTurn(
            turn.id,
            turn.role.value,
            _turn_text(turn),
            model=turn.model,
            reasoning=turn.reasoning,
            thought_for=turn.thought,
            footer=_footer_text(turn, conversation),
            when=self._when(turn),
        )

    def _when(self, turn: Turn | None) -> str:
        if turn is None or not turn.began:
            return ""
        return format_moment(turn.began, self._transcript.clock.wall(), "%H:%M:%S")


def _footer_text(turn: Turn, conversation: Conversation) -> str:
    place = _branch_text(turn, conversation)
    return ITEM_GAP.join(footer_items(turn, place)) if turn.role is Role.ASSISTANT else place


def _turn_text(turn: Turn) -> str:
    kinds = {True: "image", False: "file"}
    return turn.text + "".join(
        f"\n[{kinds[file.is_image]}: {file.name}]" for file in turn.attachments
    )


def _branch_text(turn: Turn, conversation: Conversation) -> str:
    """Return the number of this reply among several replies to one prompt."""
    branches = [sibling.id for sibling in conversation.branches(turn.id)]
    if len(branches) < 2:
        return ""
    return f"{branches.index(turn.id) + 1} of {len(branches)}, /branch shows the next"
