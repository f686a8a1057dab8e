"""What earlier checks found and later ones build on."""

from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from aitui.domain.checks import CheckResult, inconclusive_check
from aitui.domain.model import ListedModel


@dataclass(slots=True)
class ServerFindings:
    """`blocked` says why the server can't be asked anything more, and is empty while it can.

    `clock_ahead` is how many seconds the server's clock is ahead of ours, None while unknown.
    `lists_requests` is whether its events tell of each running request. `listed` is its list of
    models, None while unknown.
    """

    blocked: str = ""
    clock_ahead: float | None = None
    lists_requests: bool | None = None
    models: tuple[ListedModel, ...] | None = None

    def inconclusive_checks(self, *names: str) -> Iterator[CheckResult]:
        """These checks, left open for the reason that blocks them."""
        for name in names:
            yield inconclusive_check(name, f"not tried: {self.blocked}")

    def record_date(self, header: str, wall: float) -> None:
        """Take in a Date header that was written about `wall` (Unix time)."""
        try:
            date = parsedate_to_datetime(header).timestamp()
        except (ValueError, OverflowError):
            return
        # The header has whole seconds: on the average it is half a second older.
        self.clock_ahead = date + 0.5 - wall
