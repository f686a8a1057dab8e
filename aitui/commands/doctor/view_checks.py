"""The build of the server, and which views it can fill."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from aitui.commands.doctor.so_far import SoFar
from aitui.domain.checks import Check, failed, left_open, passed
from aitui.errors import AituiError, NotSupported
from aitui.swap.client import SwapClient
from aitui.swap.probe import Probe

VERSION = "version"
LISTS_REQUESTS = "view: who is using it"


@dataclass(frozen=True, slots=True)
class View:
    """A view, where its data comes from, and the first build that has it.

    `by_status` is the status that tells of an endpoint which isn't asked the way it wants to be.
    """

    name: str
    path: str
    since: str
    by_status: int = 200


VIEWS = (
    View("view: activity", "/api/metrics/activity?limit=1", "v236"),
    View("view: performance", "/api/performance", "v217"),
    View("view: hardware", "/api/hardware", "v247"),
    View("view: profiles", "/api/profiles", "v241"),
    # A GET is answered with 405 where the POST exists, and cancels nothing.
    View("view: cancel a request", "/api/inflight/0/cancel", "v235", by_status=405),
)


async def view_checks(client: SwapClient, probe: Probe, so_far: SoFar) -> AsyncIterator[Check]:
    """The version, then one check a view; an older server isn't at fault."""
    names = (VERSION, LISTS_REQUESTS, *(view.name for view in VIEWS))
    if so_far.blocked:
        for check in so_far.not_tried(*names):
            yield check
        return
    yield await _version(client)
    yield _who_is_using_it(so_far)
    for view in VIEWS:
        yield await _view(probe, view)


async def _version(client: SwapClient) -> Check:
    try:
        version = await client.version()
    except NotSupported:
        return left_open(VERSION, "the server doesn't tell")
    except AituiError as error:
        return failed(VERSION, error)
    built = ", ".join(part for part in (version.commit, version.build_date) if part)
    return passed(VERSION, f"llama-swap {version.version}" + (f" ({built})" if built else ""))


def _who_is_using_it(so_far: SoFar) -> Check:
    if so_far.lists_requests:
        return passed(LISTS_REQUESTS, "events tell of each running request")
    if so_far.lists_requests is None:
        return left_open(LISTS_REQUESTS, "not known: no event told of requests")
    return left_open(LISTS_REQUESTS, "only their number; needs llama-swap ≥ v235")


async def _view(probe: Probe, view: View) -> Check:
    path = view.path.partition("?")[0]
    try:
        answer = (await probe.ask(view.path)).answer
        if answer.status == view.by_status:
            return passed(view.name, path)
        if answer.status == 503:
            return left_open(view.name, f"{path} is switched off in the server's config.yaml")
        probe.check(answer)
    except NotSupported:
        return left_open(view.name, f"needs llama-swap ≥ {view.since}")
    except AituiError as error:
        return left_open(view.name, f"not known: {error.what}")
    return left_open(view.name, f"{path} was answered with {answer.status}")
