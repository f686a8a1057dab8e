"""The requests that have ended, as far as the server remembers them and since aitui watches."""

from collections import deque
from collections.abc import Container

from msgspec import Struct, field
from msgspec.structs import replace

from aitui.domain.clients import THIS_CHAT, ClientNames
from aitui.domain.models import MAX_MODELS, ActiveRequest, FinishedRequest

MOST_FINISHED = 1000
_ENDED_KEPT = 64
_AGENTS_KEPT = 500
_LATE_SECONDS = 5.0
"""After its row, the end of a request is reported within this time."""
_SAME_SECONDS = 1.0
"""By how much a request may have taken longer by its row than by the events about it."""
_RATE_WINDOW = 4.0
"""Seconds over which the rate of a reply under way is measured."""
_FEWEST_TOKENS = 20
"""Shorter replies are not learned from: too many of their bytes may follow the last report."""


class OwnReply(Struct, frozen=True):
    """The reply in our own chat: its model, its tokens, and tokens per second."""

    model: str
    tokens: int
    rate: float | None


class _Stream(Struct):
    """The start of a running reply (monotonic seconds), and the bytes received since."""

    began: float
    samples: deque[tuple[float, int]] = field(default_factory=deque)

    def sample(self, now: float, received: int) -> None:
        """Record the bytes received so far."""
        self.samples.append((now, received))
        while now - self.samples[0][0] > _RATE_WINDOW:
            self.samples.popleft()

    def bytes_per_second(self) -> float | None:
        """Return the bytes per second, None if there is too little data yet."""
        (began, before), (ended, after) = self.samples[0], self.samples[-1]
        return (after - before) / (ended - began) if ended - began > 1 else None


class RequestLog:
    """Keeps finished requests, the newest first, each with the name of its client.

    The server's rows have no User-Agent: it is that of the request that was seen to end, else of
    the only program that was seen at that address.
    """

    def __init__(self, names: ClientNames) -> None:
        self._names = names
        self._ended: deque[tuple[ActiveRequest, float | None]] = deque(maxlen=_ENDED_KEPT)
        self._unnamed: deque[tuple[float, FinishedRequest]] = deque(maxlen=_ENDED_KEPT)
        self._agents: dict[str, str] = {}
        self._streams: dict[str, _Stream] = {}
        self._token_bytes: dict[str, float] = {}
        self._rates: dict[str, float] = {}
        self.own_reply: OwnReply | None = None
        self.finished: tuple[FinishedRequest, ...] = ()

    def forget_streams(self, but: Container[str]) -> None:
        """Forget the streams of all requests except these ids."""
        self._streams = {id_: stream for id_, stream in self._streams.items() if id_ in but}

    def measure(self, request: ActiveRequest, now: float) -> ActiveRequest:
        """Return a request under way with what is known of its reply by now.

        The server reports its bytes. How many a token takes is learned from replies that have ended;
        until then the rate is that of the model's last reply, without one as many as with others.
        """
        kind = request.response_headers.get("content-type", "")
        if not request.received_bytes or "event-stream" not in kind:
            return request
        stream = self._streams.get(request.id)
        if stream is None:
            stream = self._streams[request.id] = _Stream(now)
        stream.sample(now, request.received_bytes)
        request = replace(request, replied=stream.began)
        own = self.own_reply
        if own is not None and request.who == THIS_CHAT and request.model == own.model:
            return replace(request, tokens=own.tokens, rate=own.rate, exact=True)
        sizes, flow = self._token_bytes, stream.bytes_per_second()
        size = sizes.get(request.model)
        if size is None and sizes and request.model not in self._rates:
            size = sum(sizes.values()) / len(sizes)
        rate = flow / size if size and flow is not None else self._rates.get(request.model)
        tokens = round(request.received_bytes / size) if size else None
        return replace(request, tokens=tokens, rate=rate)

    def observe(self, request: ActiveRequest) -> ActiveRequest:
        """Return a request under way with the name of its client."""
        address, agent = request.client, request.user_agent
        if address and agent and self._agents.get(address, agent) != agent:
            self._agents[address] = ""
        elif address and agent and address not in self._agents and len(self._agents) < _AGENTS_KEPT:
            self._agents[address] = agent
            self._name_rows(address)
        return replace(request, who=self._names.label(address, agent))

    def observe_end(
        self, request: ActiveRequest, now: float | None = None
    ) -> tuple[FinishedRequest, ...]:
        """Expect the row of a request that has ended `now` (monotonic seconds), None for unknown.

        Return its row with what it lacked if that came before.
        """
        self._streams.pop(request.id, None)
        seconds = None if now is None else now - request.started
        for came, row in self._unnamed:
            is_new = now is not None and now - came <= _LATE_SECONDS
            if is_new and _is_row_of(row, request, seconds):
                self._unnamed.remove((came, row))
                completed = self._complete(row, request)
                key = row.id, row.at, row.model
                self.finished = tuple(
                    completed if (one.id, one.at, one.model) == key else one
                    for one in self.finished
                )
                return (completed,)
        self._ended.append((request, seconds))
        return ()

    def record(
        self, rows: tuple[FinishedRequest, ...], now: float | None = None
    ) -> tuple[FinishedRequest, ...]:
        """Add rows that came `now` (monotonic seconds) and are new; return them, the oldest first."""
        known = {(row.id, row.at, row.model) for row in self.finished}
        in_order = sorted(rows, key=lambda row: (row.at or 0.0, row.id or 0))
        new = [self._name(row) for row in in_order if (row.id, row.at, row.model) not in known]
        if new:
            for row in new:
                if row.rate is not None and row.tokens:
                    _learn(self._rates, row.model, row.rate)
            both = [*new, *self.finished]
            both.sort(key=lambda row: (row.at or 0.0, row.id or 0), reverse=True)
            self.finished = tuple(both[:MOST_FINISHED])
            if now is not None:
                self._unnamed.extend((now, row) for row in new[-_ENDED_KEPT:] if not row.agent)
        return tuple(new)

    def _name(self, row: FinishedRequest) -> FinishedRequest:
        for ended, seconds in self._ended:
            if _is_row_of(row, ended, seconds):
                self._ended.remove((ended, seconds))
                return self._complete(row, ended)
        return self._name_by_address(row)

    def _complete(self, row: FinishedRequest, ended: ActiveRequest) -> FinishedRequest:
        """Return the row of a request with what was seen of it, and learn from both."""
        replied = ended.replied
        if replied is not None and (row.tokens or 0) >= _FEWEST_TOKENS:
            _learn(self._token_bytes, row.model, ended.received_bytes / (row.tokens or 1))
        return replace(
            row,
            who=ended.who,
            client=row.client or ended.client,
            agent=ended.user_agent,
            session=ended.session,
            first_token=None if replied is None else max(0.0, replied - ended.started),
        )

    def _name_by_address(self, row: FinishedRequest) -> FinishedRequest:
        if not row.client:
            return row
        return replace(row, who=self._names.label(row.client, self._agents.get(row.client, "")))

    def _name_rows(self, address: str) -> None:
        self.finished = tuple(
            self._name_by_address(row) if row.client == address else row for row in self.finished
        )


def _is_row_of(row: FinishedRequest, ended: ActiveRequest, seconds: float | None) -> bool:
    """Return whether this row is that of a request; rows have no id of theirs."""
    if ended.model != row.model or row.client not in {"", ended.client}:
        return False
    if row.path and ended.path and row.path != ended.path:
        return False
    if seconds is None or row.seconds is None:
        return True
    return abs(seconds - row.seconds) <= _SAME_SECONDS


def _learn(table: dict[str, float], model: str, figure: float) -> None:
    if figure > 0 and (model in table or len(table) < MAX_MODELS):
        table[model] = figure
