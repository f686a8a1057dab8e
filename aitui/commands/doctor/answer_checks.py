"""What the server answers: our certificate accepted, health, models, running."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TypeVar

from aitui.commands.doctor.so_far import SoFar
from aitui.domain.checks import Check, failed, left_open, passed
from aitui.domain.clock import Clock
from aitui.domain.model import ListedModel, RunningModel
from aitui.domain.server import Server
from aitui.errors import AituiError, BadAnswer, ProxyError, TlsRefused, Unreachable
from aitui.swap.addresses import is_https
from aitui.swap.client import SwapClient
from aitui.swap.probe import Probe, Timed
from aitui.swap.wire import looks_like_html

ACCEPTED = "certificate accepted"
HEALTH = "/health"

_SHOWN_MODELS = 3
_MISDIRECTED = 421
_T = TypeVar("_T")


async def answer_checks(
    server: Server, client: SwapClient, probe: Probe, so_far: SoFar, clock: Clock
) -> AsyncIterator[Check]:
    """The first answer tells whether our certificate is accepted; then one check an endpoint."""
    async for check in _first_answer(server, probe, so_far, clock):
        yield check
    models, running = server.endpoints.models, server.endpoints.running
    if so_far.blocked:
        for check in so_far.not_tried(models, running):
            yield check
        return

    def listed(answer: Sequence[ListedModel]) -> str:
        so_far.listed = tuple(answer)
        return _listed(answer)

    yield await _endpoint(models, client.models, listed)
    yield await _endpoint(running, client.running, _running)


async def _first_answer(
    server: Server, probe: Probe, so_far: SoFar, clock: Clock
) -> AsyncIterator[Check]:
    if so_far.blocked:
        for check in so_far.not_tried(ACCEPTED, HEALTH):
            yield check
        return
    asked = clock.wall()
    try:
        health = await probe.ask(HEALTH)
    except TlsRefused as error:
        so_far.blocked = error.what
        yield failed(ACCEPTED, error)
        yield next(so_far.not_tried(HEALTH))
    except AituiError as error:
        so_far.blocked = error.what if isinstance(error, Unreachable) else ""
        yield left_open(ACCEPTED, "not known: no answer tells it")
        yield failed(HEALTH, error)
    else:
        so_far.saw_date(health.answer.headers.get("date", ""), (asked + clock.wall()) / 2)
        yield _accepted(server)
        yield _health(probe, health, so_far)


def _accepted(server: Server) -> Check:
    if not is_https(server):
        return left_open(ACCEPTED, "no TLS, no certificate")
    if server.client_cert is None:
        return left_open(ACCEPTED, "none is set, and the server wants none")
    return passed(ACCEPTED, "a request was answered over TLS with it")


def _health(probe: Probe, health: Timed, so_far: SoFar) -> Check:
    body = health.answer.body.strip()
    try:
        probe.check(health.answer)
        if not body:
            raise BadAnswer(
                "/health was answered with nothing",
                why="a proxy does so for a name that it doesn't serve",
                remedy="use the host name that the proxy is set up for",
            )
        if looks_like_html(body) or body != b"OK":
            raise BadAnswer(
                "/health was answered with something else than OK",
                remedy="check that the URL is that of a llama-swap server",
            )
    except AituiError as error:
        if isinstance(error, ProxyError) or health.answer.status == _MISDIRECTED:
            so_far.blocked = error.what
        return failed(HEALTH, error)
    return passed(HEALTH, f"OK after {milliseconds(health.seconds)}")


async def _endpoint(
    path: str, ask: Callable[[], Awaitable[_T]], words: Callable[[_T], str]
) -> Check:
    try:
        return passed(path, words(await ask()))
    except AituiError as error:
        return failed(path, error)


def _listed(models: Sequence[ListedModel]) -> str:
    return "1 model" if len(models) == 1 else f"{len(models):,} models"


def _running(models: Sequence[RunningModel]) -> str:
    if not models:
        return "no model runs"
    shown = [f"{model.id} {model.state.value}" for model in models[:_SHOWN_MODELS]]
    more = len(models) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def milliseconds(seconds: float) -> str:
    """A short time, to the millisecond."""
    return f"{seconds * 1000:.0f} ms"
