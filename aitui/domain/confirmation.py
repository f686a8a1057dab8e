"""What is asked before something is done that others would notice."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aitui.domain.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A question with its facts, one a line; `yes` and `no` say what each answer does.

    `needed` is False where nobody would notice: then it may be done without asking. `difference`
    holds lines of a diff that yes would bring about; `other` offers something else than yes or no.
    `unasked` is set where it comes by itself, while somebody may be typing for something else.
    `separate` is set where a yes that was given before, as `--yes` is, doesn't answer it.
    """

    title: str
    facts: tuple[str, ...]
    yes: str
    no: str = "Cancel"
    needed: bool = True
    diff: tuple[str, ...] = ()
    other: str = ""
    unprompted: bool = False
    separate: bool = False


Ask = Callable[[Callable[[Snapshot], Confirmation]], Awaitable[bool]]
"""Puts a confirmation to the user.

It is built again from each snapshot that arrives while it is open, so that a yes is never given to
facts that have changed.
"""
