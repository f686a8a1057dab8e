"""Cancel somebody's running request, after asking."""

from aitui.commands.session import Ask, Session
from aitui.domain.amounts import format_seconds
from aitui.domain.clients import client_name
from aitui.domain.model import ActiveRequest
from aitui.domain.question import Confirmation
from aitui.domain.snapshot import Snapshot

CANCEL_CONFIRMED_WITHIN = 15.0


async def cancel_request(session: Session, request: ActiveRequest, ask: Ask) -> bool:
    """Cancel that request; False where the answer was no, or where it had ended by then.

    Raises Refused, NotSupported on servers before v235, Unreachable.
    """
    session.refuse_if_read_only("cancelling a request")

    def build(snapshot: Snapshot) -> Confirmation:
        return cancel_confirmation(request, snapshot, session.clock.monotonic())

    if not await ask(build) or not _is_running(request, session.snapshot):
        return False
    await session.client.cancel_request(request.id)
    await session.monitor.wait_until(
        lambda snapshot: not _is_running(request, snapshot), CANCEL_CONFIRMED_WITHIN
    )
    return True


def cancel_confirmation(request: ActiveRequest, snapshot: Snapshot, now: float) -> Confirmation:
    """Whose request would be cut."""
    if not _is_running(request, snapshot):
        return Confirmation("Cancel this request?", ("It has ended by now.",), yes="Cancel it")
    # Its age goes on while one reads: told in tens of seconds, it doesn't disarm the dialog.
    age = max(0.0, now - request.started) // 10 * 10
    facts = (
        f"{client_name(request)} at {request.model or 'no model'}",
        f"{request.path}, for {format_seconds(age)} or more",
        "Its answer is cut where it stands.",
    )
    return Confirmation("Cancel this request?", facts, yes="Cancel it", no="Let it run")


def _is_running(request: ActiveRequest, snapshot: Snapshot) -> bool:
    return any(other.id == request.id for other in snapshot.requests.running or ())
