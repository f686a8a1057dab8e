"""Keys in the order in which they were typed, also where several come in at once.

Textual looks at every key for bindings with priority as soon as it arrives, and gives a widget the
next letter while a binding of the key before is still on its way up to the app. Over a slow line,
where what was typed arrives in one packet, `j c` would ask for the row that the cursor has just left,
and a backspace would delete what was typed after it.
"""

import asyncio
import time
from collections import deque

from textual import events
from textual.app import App
from textual.message import Message

Typed = events.Key | events.Paste | events.AppFocus | events.AppBlur
"""A key tells Textual that its window has the focus: whether it has is told in the same order."""
PATIENCE = 0.25
"""Seconds that a key may take. One whose widget goes before it is handled never ends by itself."""
AT_ONCE = 100
LOOK_AGAIN = 0.002


class OrderedApp(App[None]):
    """Begins with a key only when the one before it has ended: was used, or wanted by nobody."""

    def __init__(self) -> None:
        super().__init__()
        self._keys_typed: deque[Typed] = deque()
        self._key_under_way: events.Key | None = None
        self._key_has_ended = False

    async def on_event(self, event: events.Event) -> None:
        """Take keys, what is pasted, and changes of the window one after another."""
        if not isinstance(event, Typed):
            await super().on_event(event)
        elif not self.screen_stack:
            # The app is about to end: nobody is left to take it.
            self._keys_typed.clear()
        elif event.is_forwarded:
            await super().on_event(event)
            if event is self._key_under_way:
                self._key_has_ended = True
        elif self._key_under_way is not None or self._keys_typed:
            self._keys_typed.append(event)
        else:
            await self._take_key(event)

    async def _take_key(self, event: Typed) -> None:
        if not isinstance(event, events.Key):
            await super().on_event(event)
            self._take_another()
            return
        self._key_under_way, self._key_has_ended = event, False
        # Of a message that the app sent itself, Textual says it was used before the app has it.
        event.set_sender(self.focused or self.screen)
        try:
            await super().on_event(event)
        finally:
            self._key_has_ended |= not event.is_forwarded
            self._watch_key(event, time.monotonic() + PATIENCE, AT_ONCE)

    def _watch_key(self, key: events.Key, until: float, times: int) -> None:
        ended = (self._key_has_ended or _was_used(key)) and not self._what_it_posted_is_waiting()
        if ended or time.monotonic() > until:
            self._key_under_way = None
            self._take_another()
            return
        loop = asyncio.get_running_loop()
        if times:
            loop.call_soon(self._watch_key, key, until, times - 1)
        else:
            loop.call_later(LOOK_AGAIN, self._watch_key, key, until, 0)

    def _what_it_posted_is_waiting(self) -> bool:
        """Whether the widgets around the focus have anything to do yet: a field that was left."""
        focused = self.focused if self.screen_stack else None
        return focused is not None and any(
            widget.message_queue_size
            for widget in focused.ancestors_with_self
            if widget is not self
        )

    def _take_another(self) -> None:
        if self._keys_typed:
            # Behind a change of the focus that the key before it has asked for.
            self.call_later(self._take_typed_key)

    async def _take_typed_key(self) -> None:
        if self._key_under_way is None and self._keys_typed and self.screen_stack:
            await self._take_key(self._keys_typed.popleft())


def _was_used(message: Message) -> bool:
    return message._stop_propagation  # noqa: SLF001 - Textual tells nobody else
