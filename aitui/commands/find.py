"""The model that somebody means by an id or an alias."""

from aitui.domain.model import Model, ModelKind
from aitui.domain.nearest import find_model, nearest
from aitui.domain.snapshot import Snapshot
from aitui.errors import ActionRefused, NoSuchModel


def resolve_model(wanted: str, snapshot: Snapshot) -> Model:
    """The model of that id or alias; raises NoSuchModel with the nearest ids."""
    model = find_model(wanted, snapshot.models)
    if model is None:
        raise no_such_model_error(wanted, snapshot)
    return model


def no_such_model_error(wanted: str, snapshot: Snapshot) -> NoSuchModel:
    """The error for an id that the server doesn't know, whatever the snapshot still lists."""
    near = nearest(wanted, [model.id for model in snapshot.models if model.id != wanted])
    return NoSuchModel(
        f"no model “{wanted}” on this server",
        status=404,
        why=f"nearest: {', '.join(near)}" if near else "the server lists nothing like it",
        remedy="refresh if it was added just now (F5)",
    )


def resolve_loadable_model(wanted: str, snapshot: Snapshot) -> Model:
    """The same, raising Refused for what this server lists and doesn't run itself."""
    model = resolve_model(wanted, snapshot)
    if model.loadable:
        return model
    if model.kind is ModelKind.PEER:
        raise ActionRefused(
            f"{model.id} can't be loaded or unloaded from here",
            why=f"it runs at the peer {model.peer or 'named in its id'}",
            remedy="ask that server",
        )
    targets = ", ".join(model.targets)
    raise ActionRefused(
        f"{model.id} is a {model.kind.value}, not a model",
        why=f"it chooses among {targets}" if targets else "it has no process of its own",
        remedy="load one of its targets",
    )
