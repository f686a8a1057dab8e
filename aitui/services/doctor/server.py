"""The way to the server: name, port, TLS, and what it presents of itself."""

import asyncio
import shlex
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

from msgspec import Struct

from aitui.aio import cancel_and_wait
from aitui.domain.checks import (
    CheckResult,
    defect_check,
    failing_check,
    inconclusive_check,
    passing_check,
)
from aitui.domain.events import Event, RequestEnded, RequestsCounted, RequestsListed, RequestUpdated
from aitui.domain.models import ListedModel, RunningModel
from aitui.domain.release import UNKNOWN, ServerRelease
from aitui.domain.sanitize import sanitize_line
from aitui.domain.snapshot import Clock, Server
from aitui.domain.suggest import nearest
from aitui.domain.units import count_of, format_seconds, join_some
from aitui.errors import (
    Action,
    AituiError,
    BadResponse,
    CertificateFileError,
    ConnectionLost,
    NotSupported,
    ProxyError,
    TimedOut,
    TlsRefused,
    Unreachable,
)
from aitui.llamaswap.certificates import format_date
from aitui.llamaswap.client import LlamaSwapClient
from aitui.llamaswap.probe import (
    ServerCertificate,
    ServerProbe,
    connect_address,
    fetch_unverified_certificate,
    handshake,
    proxy_address,
    resolve_addresses,
)
from aitui.llamaswap.response import Response
from aitui.llamaswap.urls import authority_of, host_of, is_https, proxy_warning
from aitui.paths import format_path
from aitui.services.doctor.checkup import Checkup, Report

NAME = "host name"
PORT = "TCP"
TLS = "TLS"
SERVER_CERTIFICATE = "server certificate"
CERTIFICATE_ACCEPTED = "certificate accepted"
HEALTH = "/health"
LOADED = "models loaded"
EVENTS = "/api/events"
VERSION = "version"
LISTS_REQUESTS = "view: who is using it"
REQUESTS = "recent requests"
CLOCK = "clock"

TOLERANCE = 30.0
"""Seconds: a Date header counts whole ones, and answers take their time."""
FIRST_EVENT_SECONDS = 10.0
NEXT_EVENT_SECONDS = 3.0

_SHOWN_MODELS = 3
_RECENT_SECONDS = 3600.0
_MISDIRECTED = 421
_UNBUFFERED = (
    "configure the proxy to forward events at once; Caddy: flush_interval -1 in reverse_proxy"
)

_T = TypeVar("_T")
_EventQueue = asyncio.Queue[Event | AituiError]


class ViewRequirement(Struct, frozen=True):
    """A view, where its data comes from, and the first build that has it.

    `by_status` is the status that tells of an endpoint which isn't asked the way it wants to be.
    """

    name: str
    path: str
    since: str
    by_status: int = 200


VIEWS = (
    ViewRequirement("view: activity", "/api/metrics/activity?limit=1", "v236"),
    ViewRequirement("view: performance", "/api/performance", "v217"),
    ViewRequirement("view: hardware", "/api/hardware", "v247"),
    ViewRequirement("view: profiles", "/api/profiles", "v241"),
    # A GET is answered with 405 where the POST exists, and cancels nothing.
    ViewRequirement("view: cancel a request", "/api/inflight/0/cancel", "v235", by_status=405),
    # Without a stream's name it is refused where it exists, and opens none.
    ViewRequirement("view: log of requests", "/api/events/logs", "v259", by_status=400),
)


class ServerChecks:
    """The checks of one server, a method a stage, in this order. `models` is None while unknown."""

    def __init__(self, server: Server, clock: Clock, report: Report) -> None:
        self._server = server
        self._clock = clock
        self._report = report
        self._checkup = Checkup(report)
        self._clock_ahead: float | None = None
        self._lists_requests: bool | None = None
        self.models: tuple[ListedModel, ...] | None = None
        self.release = UNKNOWN

    async def check_network(self) -> None:
        """Check name, port, TLS and certificate."""
        server, checkup = self._server, self._checkup
        proxy = proxy_address(server)
        if proxy:
            why = proxy_warning(server) or f"requests go through the proxy {proxy}"
            checkup.skip(NAME, PORT, TLS, SERVER_CERTIFICATE, why=why)
            return
        try:
            found = await resolve_addresses(server)
        except AituiError as error:
            checkup.block(NAME, error, PORT, TLS, SERVER_CERTIFICATE)
            return
        self._report(passing_check(NAME, f"{host_of(server)} is {', '.join(found)}"))
        try:
            reached = await connect_address(server)
        except AituiError as error:
            checkup.block(PORT, error, TLS, SERVER_CERTIFICATE)
            return
        self._report(passing_check(PORT, f"{reached} accepts connections"))
        if is_https(server):
            await self._check_tls()
        else:
            self._report(inconclusive_check(TLS, "none: the URL is http://"))

    async def _check_tls(self) -> None:
        server, checkup = self._server, self._checkup
        now = datetime.fromtimestamp(self._clock.wall(), UTC)
        try:
            try:
                shaken = await handshake(server)
            except CertificateFileError as error:
                # Our own files are at fault, which is said already: look at the server all the same.
                checkup.blocked = error.what
                shaken = await handshake(server, present=False)
        except CertificateFileError:
            self._report(inconclusive_check(TLS, f"not verified: {checkup.blocked}"))
        except AituiError as error:
            checkup.blocked = checkup.blocked or error.what
            self._report(failing_check(TLS, error))
        else:
            trust = "the system's trust store" if server.ca is None else format_path(server.ca)
            seen = f"{shaken.protocol}, chain and name {host_of(server)} verified with {trust}"
            self._report(passing_check(TLS, seen))
            days = (shaken.certificate.not_after - now).days
            seen = f"{_describe_certificate(shaken.certificate)}, {days} days left"
            soon = "renew it on the server before it expires" if days <= 30 else ""
            self._report(passing_check(SERVER_CERTIFICATE, seen, soon))
            return
        try:
            untrusted = await fetch_unverified_certificate(server)
        except AituiError:
            look = f"openssl s_client -connect {authority_of(server)} -showcerts"
            seen = "not seen: the handshake was interrupted"
            self._report(inconclusive_check(SERVER_CERTIFICATE, seen, look))
            return
        state = ", expired" if untrusted.not_after < now else ""
        seen = f"not trusted: {_describe_certificate(untrusted)}{state}"
        self._report(inconclusive_check(SERVER_CERTIFICATE, seen))

    async def check_endpoints(self, client: LlamaSwapClient, probe: ServerProbe) -> None:
        """Check by the first answer whether our certificate is accepted, then each endpoint."""
        models, running = self._server.endpoints.models, self._server.endpoints.running
        if self._checkup.blocked:
            self._checkup.skip(CERTIFICATE_ACCEPTED, HEALTH)
        else:
            await self._check_first_response(probe)
        if self._checkup.blocked:
            self._checkup.skip(models, running)
            return

        def record_models(answer: Sequence[ListedModel]) -> str:
            self.models = tuple(answer)
            return count_of(len(answer), "model")

        await self._check_endpoint(models, client.models, record_models)
        loaded: list[RunningModel] | None = None

        def record_running(answer: Sequence[RunningModel]) -> str:
            nonlocal loaded
            loaded = list(answer)
            return _format_running(answer)

        await self._check_endpoint(running, client.running, record_running)
        if loaded == []:
            seen = "none is loaded: the first request waits until its model is"
            self._report(inconclusive_check(LOADED, seen, "load one", Action.LOAD_MODEL))

    async def _check_first_response(self, probe: ServerProbe) -> None:
        asked = self._clock.wall()
        try:
            health, seconds = await probe.ask(HEALTH)
        except TlsRefused as error:
            self._checkup.block(CERTIFICATE_ACCEPTED, error, HEALTH)
            return
        except AituiError as error:
            self._checkup.blocked = error.what if isinstance(error, Unreachable) else ""
            self._report(
                inconclusive_check(CERTIFICATE_ACCEPTED, "unknown: no response reports it")
            )
            self._report(failing_check(HEALTH, error))
            return
        self._record_date(health.headers.get("date", ""), (asked + self._clock.wall()) / 2)
        if not is_https(self._server):
            check = inconclusive_check(CERTIFICATE_ACCEPTED, "no TLS, no certificate")
        elif self._server.client_cert is None:
            seen = "none is set, and the server does not require one"
            check = inconclusive_check(CERTIFICATE_ACCEPTED, seen)
        else:
            seen = "a request over TLS succeeded with it"
            check = passing_check(CERTIFICATE_ACCEPTED, seen)
        self._report(check)
        try:
            probe.check(health)
            _require_ok(health)
        except AituiError as error:
            if isinstance(error, ProxyError) or health.status == _MISDIRECTED:
                self._checkup.blocked = error.what
            self._report(failing_check(HEALTH, error))
        else:
            self._report(passing_check(HEALTH, f"OK after {_format_milliseconds(seconds)}"))

    def _record_date(self, header: str, wall: float) -> None:
        """Compare a Date header that was written about `wall` (Unix time) with our clock."""
        try:
            date = parsedate_to_datetime(header).timestamp()
        except (ValueError, OverflowError):
            return
        # The header has whole seconds: on the average it is half a second older.
        self._clock_ahead = date + 0.5 - wall

    async def _check_endpoint(
        self, path: str, ask: Callable[[], Awaitable[_T]], words: Callable[[_T], str]
    ) -> None:
        try:
            self._report(passing_check(path, words(await ask())))
        except AituiError as error:
            self._report(failing_check(path, error))

    def check_clock(self) -> None:
        """Compare the server's Date with ours."""
        ahead = self._clock_ahead
        if ahead is None:
            self._report(inconclusive_check(CLOCK, "not known: the server sent no date"))
            return
        difference = abs(ahead)
        if difference <= TOLERANCE:
            within = "the same second" if difference < 1.5 else f"{difference:.0f} s apart"
            self._report(passing_check(CLOCK, f"ours and the server's: {within}"))
            return
        which = "ahead of" if ahead > 0 else "behind"
        seen = f"the server's clock is {format_seconds(difference)} {which} ours"
        remedy = "run timedatectl set-ntp true on the one that is wrong"
        self._report(defect_check(CLOCK, seen, remedy))

    async def check_events(self, client: LlamaSwapClient) -> None:
        """Open the stream until the server has sent its state."""
        if self._checkup.blocked:
            self._checkup.skip(EVENTS)
            return
        queue: _EventQueue = asyncio.Queue()
        reading = asyncio.create_task(_read_events(client, queue), name="events of the check-up")
        try:
            await self._check_flow(queue)
        except AituiError as error:
            self._report(failing_check(EVENTS, error))
        finally:
            await cancel_and_wait(reading)
        if not reading.cancelled():
            reading.result()

    async def _check_flow(self, queue: _EventQueue) -> None:
        # The requests come last of what a server sends at once. Later ones prove nothing: an idle
        # server sends none, and one that logs only warnings none for a request either.
        began, within = self._clock.monotonic(), FIRST_EVENT_SECONDS
        while self._lists_requests is None:
            if await self._next_event(queue, within) is not None:
                within = NEXT_EVENT_SECONDS
            elif within == NEXT_EVENT_SECONDS:
                seen = f"the first events, but not all of them within {within:.0f} s"
                self._report(inconclusive_check(EVENTS, seen, _UNBUFFERED))
                return
            else:
                raise TimedOut(
                    f"no event within {within:.0f} s",
                    why="llama-swap sends its state at once, so a proxy in between delays it",
                    remedy=_UNBUFFERED,
                )
        seen = f"the server's state after {_format_milliseconds(self._clock.monotonic() - began)}"
        self._report(passing_check(EVENTS, seen))

    async def _next_event(self, queue: _EventQueue, within: float) -> Event | None:
        """Return the next event, None if none comes in time; raises what ended the stream."""
        try:
            async with asyncio.timeout(within):
                event = await queue.get()
        except TimeoutError:
            return None
        if isinstance(event, AituiError):
            raise event
        if isinstance(event, RequestsListed | RequestUpdated | RequestEnded):
            self._lists_requests = True
        elif isinstance(event, RequestsCounted):
            self._lists_requests = False
        return event

    async def check_views(self, client: LlamaSwapClient, probe: ServerProbe) -> None:
        """Check the version and each view's data; an older server isn't at fault."""
        if self._checkup.blocked:
            self._checkup.skip(VERSION, LISTS_REQUESTS, REQUESTS, *(view.name for view in VIEWS))
            return
        try:
            version = await client.version()
            built = ", ".join(part for part in (version.commit, version.build_date) if part)
            seen = f"llama-swap {version.version}" + (f" ({built})" if built else "")
            release = self.release = await client.release(version.version)
            if release.words and release != ServerRelease().narrow(version.version):
                seen += f"; judging from its routes: {release.words}"
            self._report(passing_check(VERSION, seen))
        except NotSupported:
            self._report(inconclusive_check(VERSION, "the server does not report it"))
        except AituiError as error:
            self._report(failing_check(VERSION, error))
        if self._lists_requests:
            self._report(passing_check(LISTS_REQUESTS, "events report each running request"))
        elif self._lists_requests is None:
            seen = "not known: no event reported requests"
            self._report(inconclusive_check(LISTS_REQUESTS, seen))
        else:
            seen = "only their number; needs llama-swap ≥ v235"
            self._report(inconclusive_check(LISTS_REQUESTS, seen))
        self._report(await self._requests_check(client))
        for view in VIEWS:
            await self._check_view(probe, view)

    async def _requests_check(self, client: LlamaSwapClient) -> CheckResult:
        """Look for requests of the last hour that name no model, or that a model refused."""
        try:
            rows = await client.activity(0)
        except NotSupported:
            return inconclusive_check(REQUESTS, "not known: needs llama-swap ≥ v236")
        except AituiError as error:
            return inconclusive_check(REQUESTS, f"not known: {error.what}")
        if self.models is None:
            return inconclusive_check(REQUESTS, "not tried: the server's list is unknown")
        names = [name for model in self.models for name in (model.id, *model.aliases)]
        since = self._clock.wall() - _RECENT_SECONDS
        recent = [row for row in rows if row.model and (row.at or since) >= since]
        wrong = {row.model: row.client for row in recent if row.status == 404}
        unknown = {name: who for name, who in wrong.items() if name not in names}
        refusing = list(
            dict.fromkeys(row.model for row in recent if row.status == 400 and row.model in names)
        )
        seen, remedies = [], []
        if unknown:
            seen = [_describe_unknown(name, who, names) for name, who in unknown.items()]
            remedies.append("ask for a listed id, or add that name to aliases in config.yaml")
        for name in refusing:
            seen.append(f"{name} responded with 400, as to a prompt that exceeds its context")
            quoted = shlex.quote(name)
            remedies.append(f"aitui logs {quoted} shows why; aitui ctx {quoted} SIZE enlarges it")
        if not seen:
            return passing_check(REQUESTS, f"{count_of(len(recent), 'request')} in the last hour")
        return inconclusive_check(REQUESTS, join_some(seen, _SHOWN_MODELS, "; "), remedies[0])

    async def _check_view(self, probe: ServerProbe, view: ViewRequirement) -> None:
        path = view.path.partition("?")[0]
        try:
            answer, _ = await probe.ask(view.path)
            if answer.status == view.by_status:
                self._report(passing_check(view.name, path))
                return
            if answer.status == 503:
                seen = f"{path} is switched off in the server's config.yaml"
            else:
                probe.check(answer)
                seen = f"{path} was answered with {answer.status}"
        except NotSupported:
            seen = f"needs llama-swap ≥ {view.since}"
        except AituiError as error:
            seen = f"not known: {error.what}"
        self._report(inconclusive_check(view.name, seen))


def _describe_unknown(name: str, client: str, names: Sequence[str]) -> str:
    near = nearest(name, names)
    most = f"nearest: {', '.join(near)}" if near else "no listed id is similar"
    return f"{client or 'a client'} asked for “{sanitize_line(name, 100)}”, {most}"


def _describe_certificate(certificate: ServerCertificate) -> str:
    names = f" for {', '.join(certificate.names)}" if certificate.names else " without host names"
    return (
        f"{certificate.subject}{names}, issued by {certificate.issuer}, valid from "
        f"{format_date(certificate.not_before)} until {format_date(certificate.not_after)}"
    )


def _require_ok(health: Response) -> None:
    body = health.body.strip()
    if not body:
        raise BadResponse(
            "/health returned an empty response",
            why="a proxy answers so for a host name it does not serve",
            remedy="use the host name that the proxy is configured for",
        )
    if body != b"OK":
        raise BadResponse(
            "/health returned something other than OK",
            remedy="check that the URL is that of a llama-swap server",
        )


def _format_running(models: Sequence[RunningModel]) -> str:
    if not models:
        return "no model is running"
    return join_some([f"{model.id} {model.state.value}" for model in models], _SHOWN_MODELS)


def _format_milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


async def _read_events(client: LlamaSwapClient, queue: _EventQueue) -> None:
    try:
        async with client.events() as events:
            async for event in events:
                queue.put_nowait(event)
        queue.put_nowait(ConnectionLost("the server closed the event stream"))
    except AituiError as error:
        queue.put_nowait(error)
