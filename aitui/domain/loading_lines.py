"""llama-swap's lines before an answer (`sendLoadingState`): a load told as reasoning.

They come in pieces of five characters or in lines, in chunks without `id` and `model`: a rule of
`━`, "llama-swap loading model: X", perhaps "Queue position: #n", remarks and dots, "Done! (5.25s)",
a rule. v217 adds "Unable to swap model err: …" for a load that failed.
"""

import re

from aitui.domain.deltas import LoadProgress, LoadQueued, StreamError

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
