"""Keys in the order in which they were typed, also when several come in at once.

Textual 8.2.8 looks at every key for bindings with priority as soon as it arrives, and gives a widget the
next letter while a binding of the key before is still on its way up to the app. Over a slow line,
where what was typed arrives in one packet, `j c` would ask for the row that the cursor has just left,
and a backspace would delete what was typed after it.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable

from textual import events
from textual.app import App

from aitui.ui.keymap import takes_letters

QueuedEvent = events.Key | events.Paste | events.AppFocus | events.AppBlur
"""A key makes Textual believe that its window has the focus: focus events keep their order with keys."""
KEY_TIMEOUT = 0.25
"""Seconds that a key may take. If its widget is removed before it is handled, it never ends by itself."""
BUSY_TIMEOUT = 5.0
"""The same for a key to a field that has other messages to handle before it: the machine is busy."""
FAST_POLLS = 100
POLL_INTERVAL = 0.002


class KeyQueue:
    """Lets the app begin with a key only when the one before it was used, or wanted by no widget.

    `dispatch` is what Textual does with an event of the app.
    """

    def __init__(self, app: App[None], dispatch: Callable[[events.Event], Awaitable[None]]) -> None:
        self._app = app
        self._dispatch = dispatch
        self._queued_events: deque[QueuedEvent] = deque()
        self._current_key: events.Key | None = None
        self._key_done = False

    async def on_event(self, event: QueuedEvent) -> None:
        """Take keys, what is pasted, and changes of the window one after another."""
        if not self._app.screen_stack:
            # The app is about to end: no widget is left to take it.
            self._queued_events.clear()
        elif event.is_forwarded:
            await self._dispatch(event)
            if event is self._current_key:
                self._key_done = True
        elif self._current_key is not None or self._queued_events:
            self._queued_events.append(event)
        else:
            await self._begin(event)

    async def _begin(self, event: QueuedEvent) -> None:
        if not isinstance(event, events.Key):
            await self._dispatch(event)
            self._schedule_next_event()
            return
        self._current_key, self._key_done = event, False
        # Of a message that the app sent itself, Textual says it was used before the app has it.
        event.set_sender(self._app.focused or self._app.screen)
        try:
            await self._dispatch(event)
        finally:
            self._key_done |= not event.is_forwarded
            self._wait_for_key(event, time.monotonic(), FAST_POLLS)

    def _wait_for_key(self, key: events.Key, began: float, times: int) -> None:
        is_consumed = key._stop_propagation  # noqa: SLF001 - Textual has no public name for it
        is_used = self._key_done or is_consumed
        is_busy, seconds = self._has_pending_messages(), time.monotonic() - began
        is_late = is_busy and not is_used and takes_letters(self._app.focused)
        timeout = BUSY_TIMEOUT if is_late else KEY_TIMEOUT
        if (is_used and not is_busy) or seconds > timeout:
            self._current_key = None
            self._schedule_next_event()
            return
        loop = asyncio.get_running_loop()
        if times:
            loop.call_soon(self._wait_for_key, key, began, times - 1)
        else:
            loop.call_later(POLL_INTERVAL, self._wait_for_key, key, began, 0)

    def _has_pending_messages(self) -> bool:
        """Whether the widgets around the focus have anything to do yet: a field that was left."""
        focused = self._app.focused if self._app.screen_stack else None
        return focused is not None and any(
            widget.message_queue_size
            for widget in focused.ancestors_with_self
            if widget is not self._app
        )

    def _schedule_next_event(self) -> None:
        if self._queued_events:
            # Behind a change of the focus that the key before it has asked for.
            self._app.call_later(self._begin_next_event)

    async def _begin_next_event(self) -> None:
        if self._current_key is None and self._queued_events and self._app.screen_stack:
            await self._begin(self._queued_events.popleft())
