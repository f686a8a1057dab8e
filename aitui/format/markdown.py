"""Markdown lightly styled as it streams: bold, code, headings and lists, one pass, no look back."""

import re

_BOLD, _NOT_BOLD = "\x1b[1m", "\x1b[22m"
DIM, NOT_DIM = "\x1b[2m", "\x1b[22m"
_CODE, _NOT_CODE = "\x1b[36m", "\x1b[39m"

# The beginning of a line that may still become a fence, a heading or the mark of a list.
_UNDECIDED = re.compile(r" *(?:`{0,2}|~{0,2}|#{0,6}|[-*+])")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_HEADING = re.compile(r"#{1,6} +")
_LIST_MARK = re.compile(r"( *)[-*+] ")
_PIECE = re.compile(r"\n|`+|\*+|[^\n`*]+")


class MarkdownStream:
    """Styles a text with ANSI codes piece by piece.

    What a mark means is known some characters later, so a few are held back until then; of a fence
    the whole line. Tables, links and single asterisks stay as they are written.
    """

    def __init__(self) -> None:
        self._rest = ""
        self._line_begins = True
        self._fence = ""
        self._code = ""
        self._bold = self._heading = False

    def feed(self, text: str, *, end: bool = False) -> str:
        """Return what can be printed after `text`; at the `end`, everything."""
        self._rest += text
        styled = []
        while self._rest and (piece := self._take(end=end)) is not None:
            styled.append(piece)
        if end:
            styled.append(self._end_line())
        return "".join(styled)

    def _take(self, *, end: bool) -> str | None:
        if self._line_begins:
            return self._take_line_start(end=end)
        if self._fence:
            line, newline, self._rest = self._rest.partition("\n")
            self._line_begins = bool(newline)
            return f"{_CODE}{line}{_NOT_CODE}{newline}" if line else newline
        found = _PIECE.match(self._rest)
        assert found is not None
        piece = found.group()
        if piece[0] in "`*" and len(piece) == len(self._rest) and not end:
            return None
        self._rest = self._rest[len(piece) :]
        return self._style(piece)

    def _take_line_start(self, *, end: bool) -> str | None:
        rest = self._rest
        if not end and _UNDECIDED.fullmatch(rest):
            return None
        if fence := _FENCE.match(rest):
            if "\n" not in rest and not end:
                return None
            mark = fence.group(1)
            if not self._fence or mark.startswith(self._fence):
                self._fence = "" if self._fence else mark
                line, newline, self._rest = rest.partition("\n")
                return f"{DIM}{line}{NOT_DIM}{newline}"
        self._line_begins = False
        if not self._fence:
            if heading := _HEADING.match(rest):
                self._rest, self._heading = rest[heading.end() :], True
                return _BOLD
            if mark := _LIST_MARK.match(rest):
                self._rest = rest[mark.end() :]
                return f"{mark.group(1)}• "
        return ""

    def _style(self, piece: str) -> str:
        if piece == "\n":
            self._line_begins = True
            return f"{self._end_line()}\n"
        if piece[0] == "`" and self._code in {"", piece}:
            self._code = "" if self._code else piece
            return _CODE if self._code else _NOT_CODE
        if piece[0] == "*" and len(piece) > 1 and not self._code:
            opens = not self._bold and self._rest[:1].strip()
            if self._bold or opens:
                self._bold = not self._bold
                return _BOLD if self._bold else (_NOT_BOLD if not self._heading else "")
        return piece

    def _end_line(self) -> str:
        ended = (_NOT_CODE if self._code else "") + (
            _NOT_BOLD if self._bold or self._heading else ""
        )
        self._code, self._bold, self._heading = "", False, False
        return ended
