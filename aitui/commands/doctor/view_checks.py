"""The build of the server, and which views it can fill."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from aitui.commands.doctor.so_far import ServerFindings
from aitui.domain.checks import CheckResult, failing_check, inconclusive_check, passing_check
from aitui.errors import AituiError, NotSupported
from aitui.swap.client import LlamaSwapClient
from aitui.swap.probe import ServerProbe

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
    client: LlamaSwapClient, probe: ServerProbe, so_far: ServerFindings
) -> AsyncIterator[CheckResult]:
    """The version, then one check a view; an older server isn't at fault."""
    names = (VERSION, LISTS_REQUESTS, *(view.name for view in VIEWS))
    if so_far.blocked:
        for check in so_far.inconclusive_checks(*names):
            yield check
        return
    yield await _version_check(client)
    yield _requests_check(so_far)
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


def _requests_check(so_far: ServerFindings) -> CheckResult:
    if so_far.lists_requests:
        return passing_check(LISTS_REQUESTS, "events tell of each running request")
    if so_far.lists_requests is None:
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
