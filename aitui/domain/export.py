"""A conversation as Markdown for people and as JSON for programs."""

import json
from datetime import UTC, datetime

from msgspec import to_builtins

from aitui.domain.chat.conversation import Conversation, Role, Turn, TurnState

JSON_VERSION = 1


def conversation_as_markdown(conversation: Conversation, *, reasoning: bool = False) -> str:
    """Return the path that is shown; the reasoning, if wanted, as quotes before the replies."""
    parts = [f"# {conversation.heading}"]
    created = datetime.fromtimestamp(conversation.created, UTC) if conversation.created else None
    date = f"{created:%Y-%m-%d %H:%M} UTC" if created else ""
    facts = [part for part in (conversation.model, date) if part]
    if facts:
        parts.append(" · ".join(facts))
    if conversation.system:
        parts.append(f"**System**\n\n{conversation.system}")
    parts += [_markdown_turn(turn, reasoning=reasoning) for turn in conversation.path]
    return "\n\n".join(parts) + "\n"


def conversation_as_json(conversation: Conversation) -> str:
    """Return the whole tree with every fact, indented. `version` counts changes of its form."""
    value: dict[str, object] = {"version": JSON_VERSION, **to_builtins(conversation)}
    # Deleted and set: the long ones stand last.
    del value["sampling"], value["turns"]
    value["sampling"] = conversation.sampling.as_object()
    value["turns"] = [
        {**to_builtins(turn), "sampling": turn.sampling.as_object()}
        for turn in conversation.turns.values()
    ]
    return json.dumps(value, indent=2, ensure_ascii=False)


def _markdown_turn(turn: Turn, *, reasoning: bool) -> str:
    lines = [f"## {'You' if turn.role is Role.USER else turn.model or 'Assistant'}"]
    if reasoning and turn.reasoning:
        lines.append("\n".join(f"> {line}".rstrip() for line in turn.reasoning.splitlines()))
    lines += [f"*{attachment.name}* ({attachment.media_type})" for attachment in turn.attachments]
    if turn.text:
        lines.append(turn.text.strip("\n"))
    if turn.state is not TurnState.DONE:
        lines.append(f"*({turn.state.value})*")
    return "\n\n".join(lines)
