"""`aitui chat`: a prompt from the command line and standard input, the reply as it streams."""

import asyncio
import contextlib
import shlex
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, TextIO

from msgspec.structs import replace

from aitui.aio import background_task
from aitui.cli.arguments import Arguments
from aitui.cli.output import has_colors, print_lines
from aitui.domain.chat.conversation import Conversation, SamplingParameters, parse_sampling
from aitui.domain.chat.reply import Reply, ReplyPhase
from aitui.domain.models import RunState
from aitui.domain.snapshot import Snapshot
from aitui.domain.units import count_of, format_seconds
from aitui.errors import AituiError, HistoryError, ReplyStopped, SettingsError
from aitui.format.chat import reply_figures
from aitui.format.markdown import DIM, NOT_DIM, MarkdownStream
from aitui.format.report import format_json
from aitui.format.styled import Span
from aitui.paths import Paths
from aitui.services.chat import ChatSession, last_reply
from aitui.services.chat_setup import (
    begin_conversation,
    diagnose_error,
    explain_stop,
    import_chat_client,
    new_id,
    refuse_to_evict,
    resolve_chat_model,
    with_larger_context,
    would_load,
)
from aitui.services.session import Session
from aitui.store.history import FILE_NAME, ConversationHistory


def reply_json(reply: Reply, conversation_id: str) -> str:
    """Format the reply for `--json`: seconds, tokens, and null for what is unknown."""
    value = {
        "conversation": conversation_id,
        "model": reply.model,
        "state": reply.phase.value,
        "text": str(reply.text),
        "reasoning": str(reply.reasoning),
        "finish_reason": reply.finish or None,
        "first_token_seconds": reply.rates.first_token,
        "usage": reply.usage,
        "timings": reply.timings,
        "error": None if reply.error is None else str(reply.error),
    }
    return format_json(value)


class ReplyPrinter:
    """Writes a reply as it grows: its reasoning only on a terminal, dim where that has colors."""

    def __init__(self, out: TextIO, *, quiet: bool) -> None:
        self._out = out
        self._quiet = quiet
        self._reasons = out.isatty()
        self._latest: Reply | None = None
        self._news = asyncio.Event()
        self._text = 0
        self._reasoning = 0
        self._is_reasoning = False
        self._ends_line = True
        self._markdown = MarkdownStream() if has_colors(out) else None

    def show(self, reply: Reply) -> None:
        """Keep the latest state, and write it as soon as the previous one is out."""
        self._latest = reply
        self._news.set()

    def skip_existing(self, text: int, reasoning: int) -> None:
        """Skip the text that a continued reply had before."""
        self._text, self._reasoning = text, reasoning

    async def write_until(self, done: "asyncio.Future[Any]") -> None:
        """Write until the reply has ended; raises OSError if the reader has gone."""
        done.add_done_callback(lambda _: self._news.set())
        while not done.done():
            await self._news.wait()
            self._news.clear()
            await self._write()
        await self._write(end=True)

    async def _write(self, *, end: bool = False) -> None:
        piece = "" if self._latest is None or self._quiet else self._new_text(self._latest)
        if end and self._markdown is not None:
            piece += self._markdown.feed("", end=True)
        if piece:
            self._ends_line = piece.endswith("\n")
        if end and not self._ends_line:
            piece += "\n"
        if piece:
            # In a thread: the reader may be slow, and the reply goes on meanwhile.
            await asyncio.to_thread(print, piece, end="", file=self._out, flush=True)

    def _new_text(self, reply: Reply) -> str:
        reasoning = reply.reasoning.since(self._reasoning) if self._reasons else ""
        text = reply.text.since(self._text)
        self._reasoning, self._text = len(reply.reasoning), len(reply.text)
        piece = f"{DIM}{reasoning}{NOT_DIM}" if reasoning and self._markdown else reasoning
        self._is_reasoning |= bool(reasoning)
        if text and self._is_reasoning:
            self._is_reasoning = False
            piece += "\n\n"
        return piece + (text if self._markdown is None else self._markdown.feed(text))


def read_standard_input(arguments: Arguments) -> Arguments:
    """Join the prompt with what is piped in; reads to its end."""
    if sys.stdin.isatty():
        piped = ""
    else:
        piped = sys.stdin.buffer.read().decode("utf-8", "replace").strip("\n")
    parts = [part for part in (arguments.prompt, piped) if part.strip()]
    return replace(arguments, prompt="\n\n".join(parts))


async def chat_in_terminal(session: Session, arguments: Arguments, paths: Paths) -> None:
    """Send the prompt and print the reply; raises an AituiError if it fails."""
    sampling = _sampling(arguments)
    async with _history(paths, needed=arguments.go_on) as history:
        conversation = await _conversation(session, arguments, history)
        model = resolve_chat_model(conversation.model, session.snapshot)
        if would_load(model, session.snapshot):
            session.server.refuse_if_read_only(f"chatting with {model.id}, which isn't loaded,")
        if not arguments.evict:
            refuse_to_evict(session, model)
        client_class = await import_chat_client()
        async with client_class(session.server) as client:
            printer = ReplyPrinter(sys.stdout, quiet=arguments.json)
            chat = ChatSession(
                client,
                conversation,
                clock=session.clock,
                new_id=new_id,
                history=history,
                on_change=lambda _, reply: printer.show(reply),
            )
            try:
                following = _report_model_state(session, model.id, chat)
                async with background_task(following, "follow the model's state"):
                    reply = await _ask(chat, arguments, sampling, printer)
            finally:
                await chat.close()
                for warning in chat.warnings:
                    _print_note(warning)
    if reply.error is not None:
        error = await diagnose_error(session, model.id, reply.error)
        reply = replace(reply, error=with_larger_context(error, model.id))
    if arguments.json:
        print(reply_json(reply, conversation.id))
    elif sys.stderr.isatty() and (turn := chat.conversation.turns.get(reply.turn_id)):
        print_lines([[Span(" · ".join(reply_figures(turn)), "muted")]], sys.stderr)
    _raise_on_failure(reply, await explain_stop(session, reply))


async def _ask(
    chat: ChatSession, arguments: Arguments, sampling: SamplingParameters, printer: ReplyPrinter
) -> Reply:
    sending = asyncio.ensure_future(_send(chat, arguments, sampling, printer))
    with _handle_interrupt(chat.stop):
        try:
            await printer.write_until(sending)
        except BaseException:
            sending.cancel()
            await asyncio.wait({sending})
            raise
        return await sending


def _send(
    chat: ChatSession, arguments: Arguments, sampling: SamplingParameters, printer: ReplyPrinter
) -> Awaitable[Reply]:
    if arguments.prompt:
        return chat.send(arguments.prompt, sampling=sampling)
    turn = last_reply(chat.conversation)
    if not arguments.go_on or turn is None or not turn.is_incomplete:
        raise SettingsError(
            "No prompt was given",
            remedy='pass one, as in aitui chat "Why is the sky blue?", or pipe it in',
        )
    printer.skip_existing(len(turn.text), len(turn.reasoning))
    return chat.resume(turn.id, sampling=sampling)


async def _conversation(
    session: Session, arguments: Arguments, history: ConversationHistory | None
) -> Conversation:
    if not arguments.go_on:
        model = resolve_chat_model(arguments.model, session.snapshot)
        begun = await begin_conversation(session, model.id, history)
        return begun if arguments.system is None else replace(begun, system=arguments.system)
    assert history is not None
    latest = await history.conversations(session.server.identity, 1)
    if not latest:
        raise AituiError(
            "There is no conversation to continue",
            why=f"no conversation with {session.server.label} is saved",
            remedy="leave out --continue",
        )
    opened = await history.resume(latest[0].id, new_id)
    if opened.forked:
        _print_note("another aitui is using this conversation; continuing in a copy")
    conversation = opened.conversation
    model_id = arguments.model or conversation.model
    system = conversation.system if arguments.system is None else arguments.system
    return replace(
        conversation, model=resolve_chat_model(model_id, session.snapshot).id, system=system
    )


def _sampling(arguments: Arguments) -> SamplingParameters:
    """Read the sampling parameters; raises SettingsError."""
    try:
        sampling = parse_sampling(arguments.settings)
        if arguments.max_tokens is not None:
            sampling = sampling.with_text("max_tokens", str(arguments.max_tokens))
    except ValueError as error:
        raise SettingsError(f"--set: {error}") from error
    return sampling


@asynccontextmanager
async def _history(paths: Paths, *, needed: bool) -> AsyncIterator[ConversationHistory | None]:
    """Open the history; if that fails and it isn't needed, print a note and yield None."""
    try:
        history = await ConversationHistory.open(paths.data / FILE_NAME, on_warning=_print_note)
    except HistoryError as error:
        if needed:
            raise
        _print_note(f"the conversation is not saved: {error}")
        yield None
        return
    try:
        yield history
    finally:
        await history.close()


async def _report_model_state(session: Session, model_id: str, chat: ChatSession) -> None:
    state: RunState | None = None
    while True:
        snapshot = await session.monitor.wait_until(
            lambda now: _model_state(model_id, now) is not state,  # noqa: B023
            None,
        )
        model, state = snapshot.model(model_id), _model_state(model_id, snapshot)
        if model is None or state is None:
            continue
        chat.update_model_state(state)
        if state is RunState.STARTING and sys.stderr.isatty():
            expected = "" if model.expected_load is None else format_seconds(model.expected_load)
            usual = f", usually {expected}" if expected else ""
            once = f"; at the server's start: aitui preload {shlex.quote(model_id)}"
            _print_note(f"{model_id} is loading{usual}{once if session.server.ssh_host else ''}")


def _model_state(model_id: str, snapshot: Snapshot) -> RunState | None:
    model = snapshot.model(model_id)
    return None if model is None else model.state


@contextlib.contextmanager
def _handle_interrupt(stop: Callable[[], None]) -> Iterator[None]:
    """Let the first ^C stop the reply, and a second one the program."""
    loop = asyncio.get_running_loop()

    def once() -> None:
        loop.remove_signal_handler(signal.SIGINT)
        stop()

    loop.add_signal_handler(signal.SIGINT, once)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)


def _raise_on_failure(reply: Reply, stopped: str) -> None:
    if reply.error is not None:
        raise reply.error
    if reply.phase is ReplyPhase.STOPPED:
        raise ReplyStopped(
            f"Stopped after {count_of(reply.rates.tokens, 'token')}",
            why=stopped,
            remedy="aitui chat --continue resumes it" if len(reply.text) else "",
        )
    if reply.empty_text:
        _print_note(reply.empty_text)
    elif reply.finish == "length":
        _print_note("the reply reached its token limit: aitui chat --continue resumes it")


def _print_note(words: str) -> None:
    print(f"aitui: {words}", file=sys.stderr)
