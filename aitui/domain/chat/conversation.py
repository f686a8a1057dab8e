"""Conversations: trees of turns with their attachments and sampling parameters.

A conversation is a tree because a prompt that is edited and a reply that is generated again keep
the one before on a branch of its own. The functions at the end return a changed conversation.
"""

import base64
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from aitui.domain.chat.reply import GenerationTimings, TokenUsage

LARGEST_IMAGE = 20 * 1024 * 1024
LARGEST_TEXT = 4 * 1024 * 1024
LONGEST_IN_PROMPT = 100_000
"""Characters. A field lays out four million of them in 5 s, so longer texts are attached."""

_KINDS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)


TEXT_TYPE = "text/plain"


class Attachment(Struct, frozen=True):
    """A file of a prompt: its name, its media type, and its data URL, or its text if it has one."""

    name: str
    media_type: str
    url: str

    @property
    def is_image(self) -> bool:
        return self.media_type != TEXT_TYPE


def encode_image(name: str, content: bytes) -> Attachment:
    """Return the image in a file; its first bytes decide what kind it is.

    Raises ValueError, with words for a person, for what is too large or none of PNG, JPEG, GIF and
    WebP.
    """
    if len(content) > LARGEST_IMAGE:
        raise ValueError(f"{name} is larger than {LARGEST_IMAGE >> 20} MiB")
    kind = image_type(content)
    if not kind:
        raise ValueError(f"{name} is not a supported image: PNG, JPEG, GIF or WebP")
    return Attachment(name, kind, f"data:{kind};base64,{base64.b64encode(content).decode()}")


def image_type(content: bytes) -> str:
    """Return the media type of an image, empty for anything else."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for start, kind in _KINDS if content.startswith(start)), "")


def decode_text_file(name: str, content: bytes) -> str:
    """Return the text of a file. Raises ValueError for what is too large or no UTF-8 text."""
    if len(content) > LARGEST_TEXT:
        raise ValueError(f"{name} is larger than {LARGEST_TEXT >> 20} MiB")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise ValueError(f"{name} is neither UTF-8 text nor an image")
    return text


def append_text_file(prompt: str, name: str, text: str) -> str:
    """Return the prompt with a text file behind it, in a fence."""
    fence = "`" * (1 + max(map(len, re.findall("``+", text)), default=2))
    body = text if text.endswith("\n") or not text else f"{text}\n"
    return "\n\n".join(part for part in (prompt, f"{name}:\n{fence}\n{body}{fence}") if part)


RESERVED_NAMES = frozenset(
    {"model", "messages", "stream", "stream_options", "n", "tools", "tool_choice"}
)
"""Fields of a request that aitui sets itself."""

_WHOLE = frozenset({"top_k", "seed", "max_tokens", "repeat_last_n", "mirostat", "n_probs"})
_NUMBERS = _WHOLE | {
    *("temperature", "top_p", "min_p", "typical_p", "presence_penalty", "frequency_penalty"),
    *("repeat_penalty", "dry_multiplier", "xtc_probability", "mirostat_tau", "mirostat_eta"),
    *("dynatemp_range", "thinking_budget_tokens"),
}
PARAMETER_NAMES = tuple(
    sorted(
        _NUMBERS
        | {
            *("stop", "grammar", "json_schema", "response_format", "chat_template_kwargs"),
            *("samplers", "logit_bias", "ignore_eos", "cache_prompt", "logprobs", "top_logprobs"),
            *("dry_base", "dry_allowed_length", "dry_penalty_last_n", "dry_sequence_breakers"),
            *("dynatemp_exponent", "xtc_threshold", "min_keep", "n_predict", "n_keep", "id_slot"),
            *("reasoning_format", "reasoning_effort", "max_completion_tokens", "user"),
            *("t_max_predict_ms", "timings_per_token", "return_progress", "post_sampling_probs"),
            *("parallel_tool_calls", "parse_tool_calls", "lora", "top_n_sigma"),
        }
    )
)
"""What llama-server's chat endpoint takes besides the messages, as of its README."""
_NAME = r"[A-Za-z][A-Za-z0-9_.-]{0,63}"
_LONGEST_VALUE = 100_000


class SamplingParameters(Struct, frozen=True):
    """Names and values, the values as JSON text, so that they can be compared and stored."""

    values: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, values: Mapping[str, object]) -> "SamplingParameters":
        """Return the parameters of a JSON object."""
        return cls(tuple((name, json.dumps(value)) for name, value in values.items()))

    def as_object(self) -> dict[str, object]:
        """Return the parameters as they stand in a request."""
        return {name: json.loads(value) for name, value in self.values}

    def with_text(self, name: str, text: str) -> "SamplingParameters":
        """Set one of them from what a person typed; an empty text removes it.

        A text that is no JSON is meant as text. Raises ValueError, with words for a person.
        """
        name = name.strip()
        if not re.fullmatch(_NAME, name):
            raise ValueError(f"“{name[:80]}” is not a valid parameter name")
        if name in RESERVED_NAMES:
            raise ValueError(f"{name} can't be set: aitui sets it itself")
        others = tuple(pair for pair in self.values if pair[0] != name)
        if not text.strip():
            return SamplingParameters(others)
        return SamplingParameters((*others, (name, json.dumps(_parse_value(name, text.strip())))))

    def with_values(self, others: "SamplingParameters") -> "SamplingParameters":
        """Return these, and the others for the names that both have."""
        merged = {**dict(self.values), **dict(others.values)}
        return SamplingParameters(tuple(merged.items()))


def parse_sampling(pairs: Iterable[str]) -> SamplingParameters:
    """Parse `NAME=VALUE` texts. Raises ValueError."""
    sampling = SamplingParameters()
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise ValueError(f"“{pair[:80]}” is not NAME=VALUE, like temperature=0.7")
        sampling = sampling.with_text(name, text)
    return sampling


def _parse_value(name: str, text: str) -> object:
    if len(text) > _LONGEST_VALUE:
        raise ValueError(f"the value of {name} is too long")
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        value = text
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name} can't be {text}")
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if name in _NUMBERS and not is_number:
        raise ValueError(f"{name} must be a number, not “{text[:80]}”")
    if name in _WHOLE and value != int(value):  # type: ignore[call-overload]
        raise ValueError(f"{name} must be a whole number, not {text[:80]}")
    return value


class Role(Enum):
    """The side that a turn is from. The system prompt belongs to the conversation, not to a turn."""

    USER = "user"
    ASSISTANT = "assistant"


class TurnState(Enum):
    """How far a turn is. `RUNNING` on disk, without a process that writes it, was cut by a crash."""

    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    CUT = "cut"


class Turn(Struct, frozen=True):
    """A prompt or a reply; its parent is the turn before it, "" for the first.

    `began` and `ended` are Unix time. `thought` is the seconds of reasoning. `trouble` says in
    words why a reply was cut.
    """

    id: str
    parent: str
    role: Role
    text: str = ""
    reasoning: str = ""
    state: TurnState = TurnState.DONE
    finish: str = ""
    trouble: str = ""
    model: str = ""
    began: float = 0.0
    ended: float | None = None
    first_token: float | None = None
    thought: float | None = None
    usage: TokenUsage | None = None
    timings: GenerationTimings | None = None
    sampling: SamplingParameters = field(default_factory=SamplingParameters)
    attachments: tuple[Attachment, ...] = ()

    @property
    def is_incomplete(self) -> bool:
        """Whether the reply ended early, so that it may be continued."""
        return self.role is Role.ASSISTANT and (
            self.state is not TurnState.DONE or self.finish == "length"
        )


LONGEST_TITLE = 80


class Conversation(Struct, frozen=True):
    """A tree of turns by id, in the order in which they were added.

    `shown` is the id of the last turn of the path that is shown, "" if there is none. `sent_from`
    is the first turn that is sent to the model, "" for all. `title` is empty unless the user gave
    one. `created` and `changed` are Unix time.
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
        """Return the turns that are shown, the first one first."""
        return self.path_to(self.shown)

    def path_to(self, turn_id: str) -> tuple[Turn, ...]:
        """Return the turns that lead to one, itself the last."""
        path: list[Turn] = []
        seen: set[str] = set()
        turn = self.turns.get(turn_id)
        while turn is not None and turn.id not in seen:
            seen.add(turn.id)
            path.append(turn)
            turn = self.turns.get(turn.parent)
        return tuple(reversed(path))

    def children(self, turn_id: str) -> tuple[Turn, ...]:
        """Return the turns that follow one, the oldest first; those without a parent for ""."""
        return tuple(turn for turn in self.turns.values() if turn.parent == turn_id)

    def branches(self, turn_id: str) -> tuple[Turn, ...]:
        """Return a turn and its siblings on other paths, the oldest first."""
        turn = self.turns.get(turn_id)
        return () if turn is None else self.children(turn.parent)

    def newest_leaf(self, turn_id: str) -> str:
        """Return the end of the path that follows the newest child of each turn."""
        children = self.children(turn_id)
        while children:
            turn_id = children[-1].id
            children = self.children(turn_id)
        return turn_id

    @property
    def heading(self) -> str:
        """Return the title, or the beginning of the first prompt, on one line."""
        if self.title:
            return self.title
        first = next((turn for turn in self.path if turn.role is Role.USER), None)
        if first is None:
            return "new conversation"
        words = " ".join(first.text[: LONGEST_TITLE * 4].split())
        return words if len(words) <= LONGEST_TITLE else words[: LONGEST_TITLE - 1] + "…"

    def with_turn(self, turn: Turn) -> "Conversation":
        """Add a turn, or replace the one of that id."""
        return replace(self, turns={**self.turns, turn.id: turn})


class ListedConversation(Struct, frozen=True):
    """One line of the list of conversations.

    `changed` is Unix time. `tokens` are those of the last reply and all before it, None if its server
    didn't report them.
    """

    id: str
    heading: str
    changed: float
    model: str = ""
    turns: int = 0
    tokens: int | None = None


class ChatRequest(Struct, frozen=True):
    """The body of a chat request; `messages` are complete."""

    model: str
    messages: tuple[dict[str, Any], ...]
    sampling: SamplingParameters = field(default_factory=SamplingParameters)


def build_chat_request(conversation: Conversation, reply_id: str) -> ChatRequest:
    """Build the request that gets that reply.

    A reply that has text already stands last, unfinished: the model continues it. Reasoning isn't
    sent: models are trained to see none of earlier turns.
    """
    path = conversation.path_to(reply_id)
    start = next((n for n, turn in enumerate(path) if turn.id == conversation.sent_from), 0)
    messages: list[dict[str, Any]] = []
    if conversation.system.strip():
        messages.append({"role": "system", "content": conversation.system})
    messages += [_build_message(turn) for turn in path[start:] if turn.text or turn.attachments]
    reply = conversation.turns.get(reply_id)
    sampling = conversation.sampling if reply is None else reply.sampling
    return ChatRequest(conversation.model, tuple(messages), sampling)


def _build_message(turn: Turn) -> dict[str, Any]:
    text = turn.text
    for file in turn.attachments:
        if not file.is_image:
            text = append_text_file(text, file.name, file.url)
    images = [
        {"type": "image_url", "image_url": {"url": a.url}} for a in turn.attachments if a.is_image
    ]
    if turn.role is not Role.USER or not images:
        return {"role": turn.role.value, "content": text}
    parts: list[dict[str, Any]] = [{"type": "text", "text": text}] if text else []
    return {"role": turn.role.value, "content": parts + images}


def add_prompt(
    conversation: Conversation,
    turn_id: str,
    text: str,
    now: float,
    attachments: Sequence[Attachment] = (),
) -> Conversation:
    """Add a prompt behind the path that is shown."""
    prompt = Turn(turn_id, conversation.shown, Role.USER, text, attachments=tuple(attachments))
    return _append_prompt(conversation, prompt, now)


def edit_prompt(
    conversation: Conversation, old_id: str, new_id: str, text: str, now: float
) -> Conversation:
    """Replace a prompt; the old one stays on a branch of its own."""
    old = _find_turn(conversation, old_id, Role.USER)
    prompt = Turn(new_id, old.parent, Role.USER, text, attachments=old.attachments)
    return _append_prompt(conversation, prompt, now)


def with_reply(
    conversation: Conversation, turn_id: str, now: float, sampling: SamplingParameters | None = None
) -> Conversation:
    """Add an empty reply to the prompt that is shown last."""
    last = conversation.path[-1:]
    if not last or last[0].role is not Role.USER:
        raise ValueError("there is no prompt to reply to")
    return _with_reply(conversation, turn_id, last[0].id, now, sampling)


def add_alternative_reply(
    conversation: Conversation,
    old_id: str,
    new_id: str,
    now: float,
    sampling: SamplingParameters | None = None,
) -> Conversation:
    """Add an empty sibling of a reply, which stays on a branch of its own."""
    old = _find_turn(conversation, old_id, Role.ASSISTANT)
    return _with_reply(conversation, new_id, old.parent, now, sampling)


def reopen_reply(
    conversation: Conversation, turn_id: str, sampling: SamplingParameters | None = None
) -> Conversation:
    """Reopen a reply that was cut, stopped or at its limit, to continue it."""
    turn = _find_turn(conversation, turn_id, Role.ASSISTANT)
    if not turn.is_incomplete:
        raise ValueError("this reply is complete")
    if conversation.children(turn_id):
        raise ValueError("the conversation has continued after this reply")
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
    """Remove a turn and everything that follows it; a sibling is shown instead."""
    turn = _find_turn(conversation, turn_id)
    gone = {turn_id}
    pending = [turn_id]
    while pending:
        followers = [child.id for child in conversation.children(pending.pop())]
        gone.update(followers)
        pending += followers
    left = replace(
        conversation,
        turns={id_: kept for id_, kept in conversation.turns.items() if id_ not in gone},
        sent_from="" if conversation.sent_from in gone else conversation.sent_from,
    )
    if conversation.shown not in gone:
        return left
    siblings = left.children(turn.parent)
    shown = left.newest_leaf(siblings[-1].id) if siblings else turn.parent
    return replace(left, shown=shown)


def switch_branch(conversation: Conversation, turn_id: str, step: int) -> Conversation:
    """Show the sibling that is so many steps from a turn; the last is followed by the first."""
    turn = _find_turn(conversation, turn_id)
    branches = conversation.branches(turn_id)
    other = branches[(branches.index(turn) + step) % len(branches)]
    return replace(conversation, shown=conversation.newest_leaf(other.id))


def drop_oldest_turns(conversation: Conversation, turns: int = 2) -> Conversation:
    """Leave out that many more turns of what is sent; the last prompt is always sent."""
    path = conversation.path
    start = next((n for n, turn in enumerate(path) if turn.id == conversation.sent_from), 0)
    later = [turn for turn in path[start + turns :] if turn.role is Role.USER]
    questions = [turn for turn in path if turn.role is Role.USER]
    if not questions:
        raise ValueError("there is no turn to delete")
    return replace(conversation, sent_from=(later or questions[-1:])[0].id)


def _append_prompt(conversation: Conversation, prompt: Turn, now: float) -> Conversation:
    if not prompt.text.strip() and not prompt.attachments:
        raise ValueError("there is no prompt to send")
    added = conversation.with_turn(replace(prompt, began=now, ended=now))
    return replace(added, shown=prompt.id, changed=now)


def _with_reply(
    conversation: Conversation,
    turn_id: str,
    parent: str,
    now: float,
    sampling: SamplingParameters | None,
) -> Conversation:
    reply = Turn(
        turn_id,
        parent,
        Role.ASSISTANT,
        state=TurnState.RUNNING,
        model=conversation.model,
        began=now,
        sampling=conversation.sampling if sampling is None else sampling,
    )
    return replace(conversation.with_turn(reply), shown=turn_id, changed=now)


def _find_turn(conversation: Conversation, turn_id: str, role: Role | None = None) -> Turn:
    turn = conversation.turns.get(turn_id)
    if turn is None:
        raise ValueError("there is no such turn")
    if role is not None and turn.role is not role:
        raise ValueError(f"this turn is the {turn.role.value}'s")
    return turn
