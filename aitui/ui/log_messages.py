"""What somebody who reads a log wants."""

from textual.message import Message

from aitui.domain.log_lines import LogLine


class LogSelected(Message):
    """Somebody wants to read that log; the name is the server's, empty for proxy and upstream."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


class LogRetryRequested(Message):
    """Somebody doesn't want to wait for the next try."""


class LogSaveRequested(Message):
    """Somebody wants these lines in a file."""

    def __init__(self, name: str, lines: tuple[LogLine, ...]) -> None:
        super().__init__()
        self.name = name
        self.lines = lines
