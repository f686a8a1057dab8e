"""Filters for markers that servers mix into the text or the reasoning of a reply."""

import re

from aitui.domain.chat.reply import LoadProgress, LoadQueued, StreamError

OPENS = "<think>"
CLOSES = "</think>"


class ThinkTagFilter:
    """Splits the text of a reply into reasoning and text at `<think>` tags, however they are cut.

    Only tags before the first word of the text count: further on they are what the reply is about.
    Blanks behind reasoning are dropped. A reply that ends inside the tags is all reasoning.
    """

    def __init__(self) -> None:
        self._pending = ""
        self._thinking = False
        self._thought = False
        self.is_answering = False
        """Whether all following characters are text."""

    def feed(self, piece: str) -> tuple[str, str]:
        """Return the reasoning and the text that are certain by now; not once `is_answering`."""
        text = self._pending + piece
        self._pending = ""
        reasoning: list[str] = []
        while True:
            if self._thinking:
                before, found, text = _split_at_close(text)
                reasoning.append(before)
                if not found:
                    self._pending = text
                    return "".join(reasoning), ""
                self._thinking = False
                self._thought = True
            start = text.lstrip()
            if start.startswith(OPENS):
                text = start.removeprefix(OPENS)
                self._thinking = True
            elif OPENS.startswith(start):
                self._pending = text
                return "".join(reasoning), ""
            else:
                self.is_answering = True
                return "".join(reasoning), start if self._thought else text

    def finish(self) -> tuple[str, str]:
        """Return what was held back, when nothing more comes."""
        held, self._pending = self._pending, ""
        if self._thinking:
            return held, ""
        return "", held.lstrip() if self._thought else held


def _split_at_close(text: str) -> tuple[str, bool, str]:
    """Return what precedes the closing tag, whether it is there, and the rest or its beginning."""
    before, closing, rest = text.partition(CLOSES)
    if closing:
        return before, True, rest
    for length in range(min(len(CLOSES) - 1, len(text)), 0, -1):
        if text.endswith(CLOSES[:length]):
            return text[:-length], False, text[-length:]
    return text, False, ""


LoadEvent = LoadQueued | LoadProgress | StreamError

RULE = "━"
_LONGEST_LINE = 2000
_MODEL = "llama-swap loading model: "
_FAILED = "Unable to swap model err: "
_POSITION = re.compile(r"Queue position: #([0-9]{1,6})\s")


class LoadingLineFilter:
    """Reads the lines that llama-swap sends as reasoning while a model loads."""

    def __init__(self) -> None:
        self._line = ""
        self._model = ""
        self._position = 0
        self.begun = False

    def claims(self, piece: str) -> bool:
        """Whether a piece of reasoning without `id` and `model` is one of these lines."""
        if not self.begun:
            self.begun = piece.startswith(RULE)
        return self.begun

    def feed(self, piece: str) -> list[LoadEvent]:
        """Return what the piece adds."""
        first, *others = piece.split("\n")
        events: list[LoadEvent] = []
        self._extend_line(first, events)
        for following in others:
            self._finish_line(events)
            self._extend_line(following, events)
        return events

    def _extend_line(self, text: str, events: list[LoadEvent]) -> None:
        self._line = (self._line + text)[:_LONGEST_LINE]
        found = _POSITION.match(self._line)
        if found is not None and int(found[1]) != self._position:
            self._position = int(found[1])
            events.append(LoadQueued(self._position))

    def _finish_line(self, events: list[LoadEvent]) -> None:
        line, self._line = self._line.strip(), ""
        if line.startswith(_FAILED):
            events.append(StreamError(line.removeprefix(_FAILED), loading=True))
        elif line.startswith(_MODEL):
            self._model = line.removeprefix(_MODEL)
            events.append(LoadProgress(self._model))
        elif line.strip(RULE + ".") and not _POSITION.match(line + " "):
            events.append(LoadProgress(self._model, line))
