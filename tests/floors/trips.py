"""Which modules of aitui run between two points of the running program."""

import asyncio.events
import asyncio.futures
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures.thread import _WorkItem
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE
from itertools import count
from types import FrameType

from textual._callback import invoke
from textual.events import Callback
from textual.message_pump import MessagePump
from textual.reactive import invoke_watcher
from textual.widget import Widget

_finish_in_thread = Future._invoke_callbacks  # type: ignore[attr-defined]
_take_result = asyncio.futures._copy_future_state  # type: ignore[attr-defined]
# A cause, what follows from it later, and the argument that both have, which may have another name
# there. Asyncio's handles are its callbacks, timers, the steps of tasks and what wakes them. A thread
# may have the result before the loop waits for it, so that no handle comes from the thread.
_ARROWS = (
    (asyncio.events.Handle.__init__, asyncio.events.Handle._run, "self"),
    (_WorkItem.__init__, _WorkItem.run, "self"),
    (_finish_in_thread, _take_result, "self", "source"),
    (MessagePump.post_message, MessagePump._dispatch_message, "message"),
    (Callback.__init__, invoke, "callback"),
    (Widget.refresh, Widget.render_lines, "self"),
)
# By the ids of code objects: their hash goes through all of their constants, at each call.
_CAUSES = {id(cause.__code__): (id(effect.__code__), names[0]) for cause, effect, *names in _ARROWS}
_EFFECTS = {id(effect.__code__): names[-1] for _, effect, *names in _ARROWS}
_REPAINT, _INVOKE = id(Widget.render_lines.__code__), id(invoke.__code__)
_INVOKE_WATCHER = id(invoke_watcher.__code__)
_CAN_WAIT = CO_COROUTINE | CO_ASYNC_GENERATOR
_Moment = tuple["_Span", int]
_Stack = list[tuple[FrameType | None, "_Span"]]


class _Span:
    """A stretch of a run with its causes: the step of a task, one message, one watcher, one repaint."""

    def __init__(self, *causes: _Moment, is_start: bool = False) -> None:
        self.is_start = is_start
        self.causes: list[_Moment] = []
        """Only those that follow from the start."""
        self.add_causes(*causes)
        self.modules: dict[str, int] = {}
        """Each with the moment at which it first ran."""

    @property
    def follows(self) -> bool:
        """Whether it follows from the start."""
        return self.is_start or bool(self.causes)

    def add_causes(self, *causes: _Moment) -> None:
        """Add what else led to it."""
        self.causes += [cause for cause in causes if cause[0].follows]


@dataclass
class _Cause:
    moment: _Moment
    about: object = None
    """Kept, since its id is the key."""
    has_effect: bool = False


_UNKNOWN = _Cause((_Span(), 0))


class Trip:
    """Records the modules whose functions run on the way from one function to another.

    Both are "module:function"; the way begins when the first is called or goes on after a wait, and
    ends when the other is called, or has returned if `until_return`. On the way is what follows from
    the start and leads to the end: the next step of a task from the one before it and from what woke
    it, a message's handlers from what posted it, a watcher from what set the value, a repaint from
    that widget's refresh. What other tasks do meanwhile, and other receivers of the same news, isn't,
    nor what runs at an import. The stand-in never is.
    """

    def __init__(self, start: str, end: str, *, until_return: bool = False) -> None:
        self._start, self._end = start, end
        self._ends = {place.partition(":")[2] for place in (start, end)}
        self._last_event = "return" if until_return else "call"
        self._moments = count(1)
        self._causes: dict[tuple[int, int], _Cause] = {}
        self._left: dict[FrameType, _Moment] = {}
        self._local = threading.local()
        self.modules: list[str] = []
        """Those of the first way that was complete, in the order in which they ran first."""

    @contextmanager
    def recorded(self) -> Iterator["Trip"]:
        """Record while the block runs, in this thread and in those that it starts."""
        threading.setprofile(self._profile)
        sys.setprofile(self._profile)
        try:
            yield self
        finally:
            sys.setprofile(None)
            threading.setprofile(None)
            self._left.clear()

    def _profile(self, frame: FrameType, event: str, _argument: object) -> None:
        if self.modules or event not in {"call", "return"}:
            return
        try:
            stack: _Stack = self._local.stack
        except AttributeError:
            stack = self._local.stack = [(None, _Span())]
        # One step for each thread: `+= 1` in two of them loses steps, and time would run backwards.
        now = next(self._moments)
        if event == "call":
            self._enter(frame, stack, now)
        place = ""
        if frame.f_code.co_qualname in self._ends:
            place = f"{frame.f_globals.get('__name__')}:{frame.f_code.co_qualname}"
        if event == "call" and place == self._start:
            start = _Span(is_start=True)
            start.modules[_module_of(frame)] = now
            stack[:] = [(below, start) for below, _ in stack]
        elif event == self._last_event and place == self._end and stack[-1][1].follows:
            self._arrive(stack[-1][1], now)
        if event == "return":
            self._leave(frame, stack, now)

    def _enter(self, frame: FrameType, stack: _Stack, now: int) -> None:
        name = frame.f_code.co_name
        code, here = id(frame.f_code), (stack[-1][1], now)
        if name == "render_lines" and isinstance(frame.f_locals.get("self"), Widget):
            code = _REPAINT  # A widget may have one of its own.
        if code in _CAUSES:
            effect, argument = _CAUSES[code]
            about = frame.f_locals[argument]
            known = self._causes.get((effect, id(about)), _UNKNOWN)
            # A repaint follows from the first refresh since the last one.
            if known.has_effect or not known.moment[0].follows:
                self._causes[effect, id(about)] = _Cause(here, about)
        elif code == _INVOKE_WATCHER:
            stack.append((frame, _span_within(frame, now, here)))
        elif name == "<module>":
            stack.append((frame, _Span()))
        # A handler that goes on after a wait belongs to the step that woke it.
        elif code in _EFFECTS and frame not in self._left:
            known = self._causes.get((code, id(frame.f_locals[_EFFECTS[code]])), _UNKNOWN)
            known.has_effect = True
            # Handlers are invoked as callbacks are, within the span of their message.
            if known is not _UNKNOWN or code != _INVOKE:
                stack.append((frame, _span_within(frame, now, known.moment)))
        elif module := _module_of(frame):
            here[0].modules.setdefault(module, now)
            if frame in self._left:
                here[0].add_causes(self._left.pop(frame))

    def _leave(self, frame: FrameType, stack: _Stack, now: int) -> None:
        code = frame.f_code
        if code.co_flags & _CAN_WAIT and (id(code) in _EFFECTS or _module_of(frame)):
            self._left[frame] = stack[-1][1], now
        if stack[-1][0] is frame:
            stack.pop()
        if frame.f_back is not None and (module := _module_of(frame.f_back)):
            stack[-1][1].modules.setdefault(module, now)

    def _arrive(self, end: _Span, now: int) -> None:
        """Go back from the end to the start, and list what ran."""
        until = {end: now}
        pending = [end]
        while pending:
            for cause, moment in pending.pop().causes:
                if until.get(cause, 0) < moment:
                    until[cause] = moment
                    pending.append(cause)
        first = sorted(
            (moment, module)
            for span, last in until.items()
            for module, moment in span.modules.items()
            if moment <= last
        )
        self.modules = list(dict.fromkeys(module for _, module in first if module))


def _span_within(frame: FrameType | None, now: int, *causes: _Moment) -> _Span:
    """Begin a span; what called it waits for its end and is part of it."""
    span = _Span(*causes)
    while frame is not None:
        if module := _module_of(frame):
            span.modules.setdefault(module, now)
        frame = frame.f_back
    return span


def _module_of(frame: FrameType) -> str:
    """The frame's module below aitui; not its file, since a dataclass makes functions without one."""
    return _below_aitui(str(frame.f_globals.get("__name__", "")))


@cache
def _below_aitui(name: str) -> str:
    package, _, module = name.partition(".")
    return module if package == "aitui" and not module.startswith("demo.") else ""
