"""The keys: what each does, and in which words."""

from aitui.domain.checks import CheckResult
from aitui.errors import Action, AituiError, remedy_with

_KEYS_OF_ACTIONS = {
    Action.REFRESH: "F5",
    Action.SHOW_CONFIG: "5",
    Action.EDIT_CONFIG: "5, then e",
    Action.RELOAD_CONFIG: "H",
    Action.RESTART_SERVICE: "R",
    Action.RUN_DOCTOR: "D",
}


def remedy_text(of: AituiError | CheckResult) -> str:
    """What mends it, with the key that does it; with its command if there is no key."""
    if of.action is None:
        return of.remedy
    return remedy_with(of.remedy, _KEYS_OF_ACTIONS.get(of.action, of.action.value))
