"""What can be done to a conversation; each gives the conversation that comes of it.

Turns that are unknown, or of a role or place that doesn't fit, raise ValueError with words.
"""

from collections.abc import Sequence
from dataclasses import replace

from aitui.domain.attachments import ImageAttachment
from aitui.domain.conversation import Conversation
from aitui.domain.sampling import SamplingParameters
from aitui.domain.turn import Role, Turn, TurnState


def add_question(
    conversation: Conversation,
    turn_id: str,
    text: str,
    now: float,
    attachments: Sequence[ImageAttachment] = (),
) -> Conversation:
    """With a question after the path that is shown."""
    question = Turn(turn_id, conversation.shown, Role.USER, text, attachments=tuple(attachments))
    return _append_question(conversation, question, now)


def edit_question(
    conversation: Conversation, old_id: str, new_id: str, text: str, now: float
) -> Conversation:
    """With another question in the place of an old one, which stays on a branch of its own."""
    old = _find_turn(conversation, old_id, Role.USER)
    question = Turn(new_id, old.parent, Role.USER, text, attachments=old.attachments)
    return _append_question(conversation, question, now)


def with_reply(
    conversation: Conversation,
    turn_id: str,
    now: float,
    sampling: SamplingParameters | None = None,
) -> Conversation:
    """With an empty answer to the question that is shown last, to be filled."""
    last = conversation.path[-1:]
    if not last or last[0].role is not Role.USER:
        raise ValueError("there is no question to answer")
    return _with_reply(conversation, turn_id, last[0].id, now, sampling)


def add_alternative_reply(
    conversation: Conversation,
    old_id: str,
    new_id: str,
    now: float,
    sampling: SamplingParameters | None = None,
) -> Conversation:
    """With an empty answer beside an old one, which stays on a branch of its own."""
    old = _find_turn(conversation, old_id, Role.ASSISTANT)
    return _with_reply(conversation, new_id, old.parent, now, sampling)


def reopen_reply(
    conversation: Conversation, turn_id: str, sampling: SamplingParameters | None = None
) -> Conversation:
    """With an answer that was cut, stopped or at its limit open for more."""
    turn = _find_turn(conversation, turn_id, Role.ASSISTANT)
    if not turn.is_incomplete:
        raise ValueError("this answer is complete")
    if conversation.children(turn_id):
        raise ValueError("the conversation has gone on after this answer")
    opened = replace(
        turn,
        state=TurnState.RUNNING,
        finish="",
        trouble="",
        ended=None,
        usage=None,
        timings=None,
        sampling=conversation.sampling if sampling is None else sampling,
    )
    return replace(conversation.with_turn(opened), shown=turn_id)


def delete_turn(conversation: Conversation, turn_id: str) -> Conversation:
    """Without a turn and everything that follows it. What stands beside it is shown then."""
    turn = _find_turn(conversation, turn_id)
    gone = {turn_id}
    waiting = [turn_id]
    while waiting:
        followers = [child.id for child in conversation.children(waiting.pop())]
        gone.update(followers)
        waiting += followers
    left = replace(
        conversation,
        turns={id_: kept for id_, kept in conversation.turns.items() if id_ not in gone},
        sent_from="" if conversation.sent_from in gone else conversation.sent_from,
    )
    if conversation.shown not in gone:
        return left
    beside = left.children(turn.parent)
    shown = left.newest_leaf(beside[-1].id) if beside else turn.parent
    return replace(left, shown=shown)


def switch_branch(conversation: Conversation, turn_id: str, step: int) -> Conversation:
    """With the branch shown that stands so many steps beside a turn; round at the ends."""
    turn = _find_turn(conversation, turn_id)
    branches = conversation.branches(turn_id)
    other = branches[(branches.index(turn) + step) % len(branches)]
    return replace(conversation, shown=conversation.newest_leaf(other.id))


def drop_oldest_turns(conversation: Conversation, turns: int = 2) -> Conversation:
    """With so many turns less sent to the model. They stay in sight, and one question is sent."""
    path = conversation.path
    start = next((n for n, turn in enumerate(path) if turn.id == conversation.sent_from), 0)
    later = [turn for turn in path[start + turns :] if turn.role is Role.USER]
    questions = [turn for turn in path if turn.role is Role.USER]
    if not questions:
        raise ValueError("there is nothing to leave out")
    return replace(conversation, sent_from=(later or questions[-1:])[0].id)


def _append_question(conversation: Conversation, question: Turn, now: float) -> Conversation:
    if not question.text.strip() and not question.attachments:
        raise ValueError("there is nothing to ask")
    added = conversation.with_turn(replace(question, began=now, ended=now))
    return replace(added, shown=question.id, changed=now)


def _with_reply(
    conversation: Conversation,
    turn_id: str,
    parent: str,
    now: float,
    sampling: SamplingParameters | None,
) -> Conversation:
    answer = Turn(
        turn_id,
        parent,
        Role.ASSISTANT,
        state=TurnState.RUNNING,
        model=conversation.model,
        began=now,
        sampling=conversation.sampling if sampling is None else sampling,
    )
    return replace(conversation.with_turn(answer), shown=turn_id, changed=now)


def _find_turn(conversation: Conversation, turn_id: str, role: Role | None = None) -> Turn:
    turn = conversation.turns.get(turn_id)
    if turn is None:
        raise ValueError("there is no such turn")
    if role is not None and turn.role is not role:
        raise ValueError(f"this turn is the {turn.role.value}'s")
    return turn
