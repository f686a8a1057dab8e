"""`<think>…</think>` at the beginning of an answer: reasoning that a server left in the text."""

import re

from aitui.domain.chat.reply import LoadProgress, LoadQueued, StreamError

OPENS = "<think>"
CLOSES = "</think>"


class ThinkTagFilter:
    """Parts the text of an answer into reasoning and answer, its tags cut anywhere.

    Only tags before the first word of the answer count: further on they are what the answer is
    about. Blanks behind reasoning are dropped. An answer that ends inside the tags is all
    reasoning.
    """

    __slots__ = ("_answering", "_pending", "_thinking", "_thought")

    def __init__(self) -> None:
        self._pending = ""
        self._thinking = False
        self._thought = False
        self._answering = False

    def feed(self, piece: str) -> tuple[str, str]:
        """Reasoning and answer that are certain by now."""
        if self._answering:
            return "", piece
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
                self._answering = True
                return "".join(reasoning), start if self._thought else text

    def finish(self) -> tuple[str, str]:
        """What was held back, when nothing more comes."""
        held, self._pending = self._pending, ""
        if self._thinking:
            return held, ""
        return "", held.lstrip() if self._thought else held


def _split_at_close(text: str) -> tuple[str, bool, str]:
    """Up to the closing tag, whether it is there, and what follows or may be its beginning."""
    before, closing, rest = text.partition(CLOSES)
    if closing:
        return before, True, rest
    for length in range(min(len(CLOSES) - 1, len(text)), 0, -1):
        if text.endswith(CLOSES[:length]):
            return text[:-length], False, text[-length:]
    return text, False, ""


RULE = "━"
_LONGEST_LINE = 2000
_MODEL = "llama-swap loading model: "
_FAILED = "Unable to swap model err: "
_POSITION = re.compile(r"Queue position: #([0-9]{1,6})\s")


class LoadingLineFilter:
    """Pieces of these lines in, what they tell out."""

    __slots__ = ("_line", "_model", "_position", "begun")

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

    def feed(self, piece: str) -> list[LoadQueued | LoadProgress | StreamError]:
        """What the piece adds."""
        first, *others = piece.split("\n")
        told: list[LoadQueued | LoadProgress | StreamError] = []
        self._extend_line(first, told)
        for following in others:
            self._finish_line(told)
            self._extend_line(following, told)
        return told

    def _extend_line(self, text: str, told: list[LoadQueued | LoadProgress | StreamError]) -> None:
        self._line = (self._line + text)[:_LONGEST_LINE]
        found = _POSITION.match(self._line)
        if found is not None and int(found[1]) != self._position:
            self._position = int(found[1])
            told.append(LoadQueued(self._position))

    def _finish_line(self, told: list[LoadQueued | LoadProgress | StreamError]) -> None:
        line, self._line = self._line.strip(), ""
        if line.startswith(_FAILED):
            told.append(StreamError(line.removeprefix(_FAILED), loading=True))
        elif line.startswith(_MODEL):
            self._model = line.removeprefix(_MODEL)
            told.append(LoadProgress(self._model))
        elif line.strip(RULE + ".") and not _POSITION.match(line + " "):
            told.append(LoadProgress(self._model, line))
