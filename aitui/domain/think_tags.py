"""`<think>…</think>` at the beginning of an answer: reasoning that a server left in the text."""

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
