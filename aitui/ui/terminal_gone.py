"""Notices a terminal that is gone without a signal."""

import select


def is_terminal_closed(descriptor: int) -> bool:
    """Whether the terminal behind a file descriptor has hung up.

    A program that isn't the terminal's session leader gets no SIGHUP when it closes: nobody would
    see it any more, and Textual would read the end of its input for ever.
    """
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(
        event & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, event in poll.poll(0)
    )
