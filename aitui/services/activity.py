"""The requests that have ended, as far as the server remembers them and since aitui watches."""

from collections import deque

from msgspec.structs import replace

from aitui.domain.clients import ClientNames
from aitui.domain.models import ActiveRequest, FinishedRequest

MOST_FINISHED = 1000
_ENDED_KEPT = 64
_AGENTS_KEPT = 500


class RequestLog:
    """Keeps finished requests, the newest first, each with the name of its client.

    The server's rows have no User-Agent: it is that of the request that was seen to end, else of
    the only program that was seen at that address.
    """

    def __init__(self, names: ClientNames) -> None:
        self._names = names
        self._ended: deque[ActiveRequest] = deque(maxlen=_ENDED_KEPT)
        self._agents: dict[str, str] = {}
        self.finished: tuple[FinishedRequest, ...] = ()

    def observe(self, request: ActiveRequest) -> ActiveRequest:
        """Return a request under way with the name of its client."""
        address, agent = request.client, request.user_agent
        if address and agent and self._agents.get(address, agent) != agent:
            self._agents[address] = ""
        elif address and agent and address not in self._agents and len(self._agents) < _AGENTS_KEPT:
            self._agents[address] = agent
            self._name_rows(address)
        return replace(request, who=self._names.label(address, agent))

    def observe_end(self, request: ActiveRequest) -> None:
        """Expect the row of a request that has ended."""
        self._ended.append(request)

    def record(self, rows: tuple[FinishedRequest, ...]) -> None:
        """Add rows that aren't there yet."""
        known = {(row.id, row.at, row.model) for row in self.finished}
        in_order = sorted(rows, key=lambda row: (row.at or 0.0, row.id or 0))
        new = [self._name(row) for row in in_order if (row.id, row.at, row.model) not in known]
        if new:
            new += self.finished
            new.sort(key=lambda row: (row.at or 0.0, row.id or 0), reverse=True)
            self.finished = tuple(new[:MOST_FINISHED])

    def _name(self, row: FinishedRequest) -> FinishedRequest:
        for ended in self._ended:
            if ended.model == row.model and row.client in {"", ended.client}:
                self._ended.remove(ended)
                return replace(row, who=ended.who)
        return self._name_by_address(row)

    def _name_by_address(self, row: FinishedRequest) -> FinishedRequest:
        if not row.client:
            return row
        return replace(row, who=self._names.label(row.client, self._agents.get(row.client, "")))

    def _name_rows(self, address: str) -> None:
        self.finished = tuple(
            self._name_by_address(row) if row.client == address else row for row in self.finished
        )
