"""The profiles of a server: listed, and switched after a confirmation that names what changes."""

from typing import TYPE_CHECKING

from aitui.domain.confirmation import Ask, Confirmation
from aitui.domain.profiles import Profiles
from aitui.domain.sanitize import sanitize_line
from aitui.domain.snapshot import Snapshot
from aitui.domain.suggest import nearest_one
from aitui.errors import AituiError

if TYPE_CHECKING:
    from aitui.services.session import Session

_MOST_CHANGES = 30


async def switch_profile(session: "Session", wanted: str, ask: Ask) -> bool:
    """Make a profile the active one, none if `wanted` is empty; False if the user declined.

    It does nothing if that one is active already. Raises ActionRefused, NotSupported before v241,
    Unreachable.
    """
    session.server.refuse_if_read_only("switching the profile")
    profiles = await session.client.profiles()
    if wanted and profiles.find(wanted) is None:
        raise _unknown_profile_error(wanted, profiles)
    if profiles.active != wanted:
        if not await ask(lambda snapshot: switch_confirmation(profiles, wanted, snapshot)):
            return False
        await session.client.choose_profile(wanted)
    await session.monitor.update_profile(wanted)
    return True


def switch_confirmation(profiles: Profiles, wanted: str, snapshot: Snapshot) -> Confirmation:
    """Confirm a switch, with the names that lead elsewhere from then on."""
    changes = profiles.changes(wanted, snapshot.models)
    facts = [*changes[:_MOST_CHANGES]]
    if len(changes) > _MOST_CHANGES:
        facts.append(f"and {len(changes) - _MOST_CHANGES} more")
    if not facts:
        facts.append("No name leads to another model.")
    facts += ["", "For all clients, from their next request on. No model is unloaded."]
    title = (
        f"Switch to the profile {wanted}?" if wanted else f"Leave the profile {profiles.active}?"
    )
    return Confirmation(title, tuple(facts), yes="Switch" if wanted else "Leave")


def _unknown_profile_error(wanted: str, profiles: Profiles) -> AituiError:
    names = [profile.id for profile in profiles.listed]
    near = nearest_one(wanted, names)
    return AituiError(
        f"The server has no profile “{sanitize_line(wanted, 100)}”",
        why=f"it has {', '.join(names[:20])}" if names else "its config file has none",
        remedy=f"did you mean {near}?" if near else "list them: aitui profile",
    )
