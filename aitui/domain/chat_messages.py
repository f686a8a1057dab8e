"""A conversation as the server wants it: what one request asks.

Format: https://platform.openai.com/docs/api-reference/chat, as llama-server takes it.
"""

from dataclasses import dataclass, field
from typing import Any

from aitui.domain.conversation import Conversation
from aitui.domain.sampling import SamplingParameters
from aitui.domain.turn import Role, Turn


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What is asked of a model; `messages` are ready to be sent."""

    model: str
    messages: tuple[dict[str, Any], ...]
    sampling: SamplingParameters = field(default_factory=SamplingParameters)


def build_chat_request(conversation: Conversation, answer_id: str) -> ChatRequest:
    """What has to be asked to get that answer.

    An answer that has text already stands last, unfinished: the model goes on with it. Reasoning
    isn't sent: models are trained to see none of earlier turns.
    """
    path = conversation.path_to(answer_id)
    start = next((n for n, turn in enumerate(path) if turn.id == conversation.sent_from), 0)
    messages: list[dict[str, Any]] = []
    if conversation.system.strip():
        messages.append({"role": "system", "content": conversation.system})
    messages += [_build_message(turn) for turn in path[start:] if _has_content(turn)]
    answer = conversation.turns.get(answer_id)
    sampling = conversation.sampling if answer is None else answer.sampling
    return ChatRequest(conversation.model, tuple(messages), sampling)


def _has_content(turn: Turn) -> bool:
    return bool(turn.text or turn.attachments)


def _build_message(turn: Turn) -> dict[str, Any]:
    if turn.role is Role.USER and turn.attachments:
        parts: list[dict[str, Any]] = [{"type": "text", "text": turn.text}] if turn.text else []
        parts += [{"type": "image_url", "image_url": {"url": a.url}} for a in turn.attachments]
        return {"role": turn.role.value, "content": parts}
    return {"role": turn.role.value, "content": turn.text}
