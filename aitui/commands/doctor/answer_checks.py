"""What the server answers: our certificate accepted, health, models, running."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TypeVar

from aitui.commands.doctor.so_far import ServerFindings
from aitui.domain.checks import CheckResult, failing_check, inconclusive_check, passing_check
from aitui.domain.clock import Clock
from aitui.domain.model import ListedModel, RunningModel
from aitui.domain.server import Server
from aitui.errors import AituiError, BadResponse, ProxyError, TlsRefused, Unreachable
from aitui.swap.addresses import is_https
from aitui.swap.client import LlamaSwapClient
from aitui.swap.probe import ServerProbe, TimedResponse
from aitui.swap.wire import looks_like_html

CERTIFICATE_ACCEPTED = "certificate accepted"
HEALTH = "/health"

_SHOWN_MODELS = 3
_MISDIRECTED = 421
_T = TypeVar("_T")


async def endpoint_checks(
    server: Server,
    client: LlamaSwapClient,
    probe: ServerProbe,
    so_far: ServerFindings,
    clock: Clock,
) -> AsyncIterator[CheckResult]:
    """The first answer tells whether our certificate is accepted; then one check an endpoint."""
    async for check in _first_response_checks(server, probe, so_far, clock):
        yield check
    models, running = server.endpoints.models, server.endpoints.running
    if so_far.blocked:
        for check in so_far.inconclusive_checks(models, running):
            yield check
        return

    def listed(answer: Sequence[ListedModel]) -> str:
        so_far.models = tuple(answer)
        return _format_model_count(answer)

    yield await _endpoint_check(models, client.models, listed)
    yield await _endpoint_check(running, client.running, _format_running)


async def _first_response_checks(
    server: Server, probe: ServerProbe, so_far: ServerFindings, clock: Clock
) -> AsyncIterator[CheckResult]:
    if so_far.blocked:
        for check in so_far.inconclusive_checks(CERTIFICATE_ACCEPTED, HEALTH):
            yield check
        return
    asked = clock.wall()
    try:
        health = await probe.ask(HEALTH)
    except TlsRefused as error:
        so_far.blocked = error.what
        yield failing_check(CERTIFICATE_ACCEPTED, error)
        yield next(so_far.inconclusive_checks(HEALTH))
    except AituiError as error:
        so_far.blocked = error.what if isinstance(error, Unreachable) else ""
        yield inconclusive_check(CERTIFICATE_ACCEPTED, "not known: no answer tells it")
        yield failing_check(HEALTH, error)
    else:
        so_far.record_date(health.response.headers.get("date", ""), (asked + clock.wall()) / 2)
        yield _acceptance_check(server)
        yield _health_check(probe, health, so_far)


def _acceptance_check(server: Server) -> CheckResult:
    if not is_https(server):
        return inconclusive_check(CERTIFICATE_ACCEPTED, "no TLS, no certificate")
    if server.client_cert is None:
        return inconclusive_check(CERTIFICATE_ACCEPTED, "none is set, and the server wants none")
    return passing_check(CERTIFICATE_ACCEPTED, "a request was answered over TLS with it")


def _health_check(probe: ServerProbe, health: TimedResponse, so_far: ServerFindings) -> CheckResult:
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
            so_far.blocked = error.what
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
