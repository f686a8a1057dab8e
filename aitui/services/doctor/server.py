"""The way to the server: name, port, TLS, and what it presents of itself."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

from aitui.domain.checks import (
    CheckResult,
    CheckStatus,
    failing_check,
    inconclusive_check,
    passing_check,
)
from aitui.domain.events import Event, RequestEnded, RequestsCounted, RequestsListed, RequestUpdated
from aitui.domain.models import ListedModel, RunningModel
from aitui.domain.snapshot import Clock, Server
from aitui.domain.units import format_seconds
from aitui.errors import (
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
from aitui.llamaswap.certificates import format_date, format_path
from aitui.llamaswap.client import LlamaSwapClient
from aitui.llamaswap.probe import (
    ServerCertificate,
    ServerProbe,
    TimedResponse,
    TlsHandshake,
    connect_address,
    fetch_unverified_certificate,
    handshake,
    proxy_address,
    resolve_addresses,
)
from aitui.llamaswap.schemas import looks_like_html
from aitui.llamaswap.urls import authority_of, host_of, is_https


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


NAME = "host name"
PORT = "TCP"
TLS = "TLS"
SERVER_CERTIFICATE = "server certificate"


async def network_checks(
    server: Server, findings: ServerFindings, wall: float
) -> AsyncIterator[CheckResult]:
    """Name, port, TLS and certificate; `wall` is now (Unix time)."""
    proxy = proxy_address(server)
    if proxy:
        for name in (NAME, PORT, TLS, SERVER_CERTIFICATE):
            yield inconclusive_check(name, f"not tried: requests go through the proxy {proxy}")
        return
    try:
        found = await resolve_addresses(server)
    except AituiError as error:
        findings.blocked = error.what
        yield failing_check(NAME, error)
        for check in findings.inconclusive_checks(PORT, TLS, SERVER_CERTIFICATE):
            yield check
        return
    yield passing_check(NAME, f"{host_of(server)} is {', '.join(found)}")
    try:
        reached = await connect_address(server)
    except AituiError as error:
        findings.blocked = error.what
        yield failing_check(PORT, error)
        for check in findings.inconclusive_checks(TLS, SERVER_CERTIFICATE):
            yield check
        return
    yield passing_check(PORT, f"{reached} takes connections")
    if not is_https(server):
        yield inconclusive_check(TLS, "none: the URL is http://")
        return
    async for check in _tls_checks(server, findings, datetime.fromtimestamp(wall, UTC)):
        yield check


async def _tls_checks(
    server: Server, findings: ServerFindings, now: datetime
) -> AsyncIterator[CheckResult]:
    try:
        shaken = await handshake(server)
    except CertificateFileError as error:
        findings.blocked = error.what
        async for check in _check_without_client_certificate(server, findings, now):
            yield check
    except AituiError as error:
        findings.blocked = error.what
        yield failing_check(TLS, error)
        yield await _inspect_certificate(server, now)
    else:
        yield _tls_check(server, shaken)
        yield _server_certificate_check(shaken.certificate, now)


async def _check_without_client_certificate(
    server: Server, findings: ServerFindings, now: datetime
) -> AsyncIterator[CheckResult]:
    """Our own files are at fault, which is said already: look at the server all the same."""
    try:
        shaken = await handshake(server, present=False)
    except CertificateFileError:
        yield inconclusive_check(TLS, f"not verified: {findings.blocked}")
        yield await _inspect_certificate(server, now)
    except AituiError as error:
        yield failing_check(TLS, error)
        yield await _inspect_certificate(server, now)
    else:
        yield _tls_check(server, shaken)
        yield _server_certificate_check(shaken.certificate, now)


def _tls_check(server: Server, shaken: TlsHandshake) -> CheckResult:
    trust = format_path(server.ca) if server.ca is not None else "the system's trust store"
    return passing_check(
        TLS, f"{shaken.protocol}, chain and name {host_of(server)} verified with {trust}"
    )


def _server_certificate_check(certificate: ServerCertificate, now: datetime) -> CheckResult:
    days = (certificate.not_after - now).days
    soon = "renew it on the server in time" if days <= 30 else ""
    return passing_check(
        SERVER_CERTIFICATE, f"{_describe_certificate(certificate)}, {days} days left", soon
    )


async def _inspect_certificate(server: Server, now: datetime) -> CheckResult:
    try:
        certificate = await fetch_unverified_certificate(server)
    except AituiError:
        look = f"openssl s_client -connect {authority_of(server)} -showcerts"
        return inconclusive_check(
            SERVER_CERTIFICATE, "not seen: the handshake was broken off", look
        )
    state = ", expired" if certificate.not_after < now else ""
    return inconclusive_check(
        SERVER_CERTIFICATE, f"not trusted: {_describe_certificate(certificate)}{state}"
    )


def _describe_certificate(certificate: ServerCertificate) -> str:
    names = f" for {', '.join(certificate.names)}" if certificate.names else " without host names"
    return (
        f"{certificate.subject}{names}, issued by {certificate.issuer}, valid from "
        f"{format_date(certificate.not_before)} until {format_date(certificate.not_after)}"
    )


CERTIFICATE_ACCEPTED = "certificate accepted"
HEALTH = "/health"

_SHOWN_MODELS = 3
_MISDIRECTED = 421
_T = TypeVar("_T")


async def endpoint_checks(
    server: Server,
    client: LlamaSwapClient,
    probe: ServerProbe,
    findings: ServerFindings,
    clock: Clock,
) -> AsyncIterator[CheckResult]:
    """The first answer tells whether our certificate is accepted; then one check an endpoint."""
    async for check in _first_response_checks(server, probe, findings, clock):
        yield check
    models, running = server.endpoints.models, server.endpoints.running
    if findings.blocked:
        for check in findings.inconclusive_checks(models, running):
            yield check
        return

    def record_models(answer: Sequence[ListedModel]) -> str:
        findings.models = tuple(answer)
        return _format_model_count(answer)

    yield await _endpoint_check(models, client.models, record_models)
    yield await _endpoint_check(running, client.running, _format_running)


async def _first_response_checks(
    server: Server, probe: ServerProbe, findings: ServerFindings, clock: Clock
) -> AsyncIterator[CheckResult]:
    if findings.blocked:
        for check in findings.inconclusive_checks(CERTIFICATE_ACCEPTED, HEALTH):
            yield check
        return
    asked = clock.wall()
    try:
        health = await probe.ask(HEALTH)
    except TlsRefused as error:
        findings.blocked = error.what
        yield failing_check(CERTIFICATE_ACCEPTED, error)
        yield next(findings.inconclusive_checks(HEALTH))
    except AituiError as error:
        findings.blocked = error.what if isinstance(error, Unreachable) else ""
        yield inconclusive_check(CERTIFICATE_ACCEPTED, "not known: no answer tells it")
        yield failing_check(HEALTH, error)
    else:
        findings.record_date(health.response.headers.get("date", ""), (asked + clock.wall()) / 2)
        yield _acceptance_check(server)
        yield _health_check(probe, health, findings)


def _acceptance_check(server: Server) -> CheckResult:
    if not is_https(server):
        return inconclusive_check(CERTIFICATE_ACCEPTED, "no TLS, no certificate")
    if server.client_cert is None:
        return inconclusive_check(CERTIFICATE_ACCEPTED, "none is set, and the server wants none")
    return passing_check(CERTIFICATE_ACCEPTED, "a request was answered over TLS with it")


def _health_check(
    probe: ServerProbe, health: TimedResponse, findings: ServerFindings
) -> CheckResult:
    body = health.response.body.strip()
    try:
        probe.check(health.response)
        if not body:
            raise BadResponse(
                "/health was answered with nothing",
                why="a proxy does so for a name that it doesn't serve",
                remedy="use the host name that the proxy is set up for",
            )
        if looks_like_html(body) or body != b"OK":
            raise BadResponse(
                "/health was answered with something else than OK",
                remedy="check that the URL is that of a llama-swap server",
            )
    except AituiError as error:
        if isinstance(error, ProxyError) or health.response.status == _MISDIRECTED:
            findings.blocked = error.what
        return failing_check(HEALTH, error)
    return passing_check(HEALTH, f"OK after {format_milliseconds(health.seconds)}")


async def _endpoint_check(
    path: str, ask: Callable[[], Awaitable[_T]], words: Callable[[_T], str]
) -> CheckResult:
    try:
        return passing_check(path, words(await ask()))
    except AituiError as error:
        return failing_check(path, error)


def _format_model_count(models: Sequence[ListedModel]) -> str:
    return "1 model" if len(models) == 1 else f"{len(models):,} models"


def _format_running(models: Sequence[RunningModel]) -> str:
    if not models:
        return "no model runs"
    shown = [f"{model.id} {model.state.value}" for model in models[:_SHOWN_MODELS]]
    more = len(models) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def format_milliseconds(seconds: float) -> str:
    """A short time, to the millisecond."""
    return f"{seconds * 1000:.0f} ms"


CLOCK = "clock"
TOLERANCE = 30.0
"""Seconds: a Date header counts whole ones, and answers take their time."""


def clock_checks(findings: ServerFindings) -> Iterator[CheckResult]:
    """The server's Date against ours."""
    ahead = findings.clock_ahead
    if ahead is None:
        yield inconclusive_check(CLOCK, "not known: the server told no date")
        return
    difference = abs(ahead)
    if difference <= TOLERANCE:
        within = "the same second" if difference < 1.5 else f"{difference:.0f} s apart"
        yield passing_check(CLOCK, f"ours and the server's: {within}")
        return
    which = "ahead of" if ahead > 0 else "behind"
    yield CheckResult(
        CLOCK,
        CheckStatus.FAILED,
        f"the server's clock is {format_seconds(difference)} {which} ours",
        "timedatectl set-ntp true, on the one that is wrong",
        1,
    )


EVENTS = "/api/events"
FIRST_EVENT_SECONDS = 10.0
NEXT_EVENT_SECONDS = 3.0

_SETTLES = 0.3
_SETTLED_WITHIN = 1.5
_UNBUFFERED = "let the proxy pass events on at once; Caddy: flush_interval -1 in reverse_proxy"


async def event_checks(
    client: LlamaSwapClient, findings: ServerFindings, monotonic: Callable[[], float]
) -> AsyncIterator[CheckResult]:
    """One check: opens the stream, then asks for `/running`, which the server's log tells of."""
    if findings.blocked:
        yield next(findings.inconclusive_checks(EVENTS))
        return
    queue: asyncio.Queue[Event | AituiError] = asyncio.Queue()
    reading = asyncio.create_task(_read_events(client, queue), name="events of the check-up")
    try:
        check = await _flow_check(client, queue, findings, monotonic)
    except AituiError as error:
        check = failing_check(EVENTS, error)
    finally:
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading
    yield check


async def _flow_check(
    client: LlamaSwapClient,
    queue: "asyncio.Queue[Event | AituiError]",
    findings: ServerFindings,
    monotonic: Callable[[], float],
) -> CheckResult:
    began = monotonic()
    first = await _next_event(queue, FIRST_EVENT_SECONDS, findings)
    if first is None:
        raise TimedOut(
            f"no event within {FIRST_EVENT_SECONDS:.0f} s",
            why="llama-swap sends its state at once: something on the way holds it back",
            remedy=_UNBUFFERED,
        )
    words = f"the first after {format_milliseconds(monotonic() - began)}"
    settled_at = monotonic() + _SETTLED_WITHIN
    while monotonic() < settled_at and await _next_event(queue, _SETTLES, findings) is not None:
        pass
    asked = monotonic()
    await client.running()
    if await _next_event(queue, NEXT_EVENT_SECONDS, findings) is None:
        return inconclusive_check(
            EVENTS,
            f"{words}; nothing more within {NEXT_EVENT_SECONDS:.0f} s of a request",
            _UNBUFFERED,
        )
    return passing_check(
        EVENTS, f"{words}, another {format_milliseconds(monotonic() - asked)} after its cause"
    )


async def _read_events(client: LlamaSwapClient, queue: "asyncio.Queue[Event | AituiError]") -> None:
    try:
        async with client.events() as events:
            async for event in events:
                queue.put_nowait(event)
        queue.put_nowait(ConnectionLost("the server ended the event stream"))
    except AituiError as error:
        queue.put_nowait(error)


async def _next_event(
    queue: "asyncio.Queue[Event | AituiError]", within: float, findings: ServerFindings
) -> Event | None:
    """The next event, None where none comes in time; raises what ended the stream."""
    try:
        async with asyncio.timeout(within):
            event = await queue.get()
    except TimeoutError:
        return None
    if isinstance(event, AituiError):
        raise event
    if isinstance(event, RequestsListed | RequestUpdated | RequestEnded):
        findings.lists_requests = True
    elif isinstance(event, RequestsCounted):
        findings.lists_requests = False
    return event


VERSION = "version"
LISTS_REQUESTS = "view: who is using it"


@dataclass(frozen=True, slots=True)
class ViewRequirement:
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
)


async def view_checks(
    client: LlamaSwapClient, probe: ServerProbe, findings: ServerFindings
) -> AsyncIterator[CheckResult]:
    """The version, then one check a view; an older server isn't at fault."""
    names = (VERSION, LISTS_REQUESTS, *(view.name for view in VIEWS))
    if findings.blocked:
        for check in findings.inconclusive_checks(*names):
            yield check
        return
    yield await _version_check(client)
    yield _requests_check(findings)
    for view in VIEWS:
        yield await _view_check(probe, view)


async def _version_check(client: LlamaSwapClient) -> CheckResult:
    try:
        version = await client.version()
    except NotSupported:
        return inconclusive_check(VERSION, "the server doesn't tell")
    except AituiError as error:
        return failing_check(VERSION, error)
    built = ", ".join(part for part in (version.commit, version.build_date) if part)
    return passing_check(
        VERSION, f"llama-swap {version.version}" + (f" ({built})" if built else "")
    )


def _requests_check(findings: ServerFindings) -> CheckResult:
    if findings.lists_requests:
        return passing_check(LISTS_REQUESTS, "events tell of each running request")
    if findings.lists_requests is None:
        return inconclusive_check(LISTS_REQUESTS, "not known: no event told of requests")
    return inconclusive_check(LISTS_REQUESTS, "only their number; needs llama-swap ≥ v235")


async def _view_check(probe: ServerProbe, view: ViewRequirement) -> CheckResult:
    path = view.path.partition("?")[0]
    try:
        answer = (await probe.ask(view.path)).response
        if answer.status == view.by_status:
            return passing_check(view.name, path)
        if answer.status == 503:
            return inconclusive_check(
                view.name, f"{path} is switched off in the server's config.yaml"
            )
        probe.check(answer)
    except NotSupported:
        return inconclusive_check(view.name, f"needs llama-swap ≥ {view.since}")
    except AituiError as error:
        return inconclusive_check(view.name, f"not known: {error.what}")
    return inconclusive_check(view.name, f"{path} was answered with {answer.status}")
