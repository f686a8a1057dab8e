"""What others did to models is said in passing."""

from msgspec.structs import replace

from aitui.domain.models import ClientUnload, Eviction, IdleUnload, LoadFailure, Model, RunState
from aitui.ui.changes import describe_changes
from ui.hand_made import NOW, WALL, live
from ui.mixture import LOADING, READY


def said(before: Model, after: Model) -> list[str]:
    return [words for words, _ in describe_changes(live(before), live(after), NOW)]


STOPPED = replace(READY, state=RunState.STOPPED, requests=0)


def test_a_model_that_was_idle_for_too_long() -> None:
    gone = replace(STOPPED, timed_out=IdleUnload(WALL, 1800))
    assert said(READY, gone) == [f"{READY.id} unloaded after 30 min idle, 41.2 GB freed"]
    assert said(gone, replace(gone, context=LOADING.context)) == []


def test_a_model_that_another_client_had_unloaded() -> None:
    gone = replace(STOPPED, unloaded=ClientUnload(WALL, "192.168.2.9 · curl"))
    words = f"{READY.id} unloaded by another client (192.168.2.9 · curl), 41.2 GB freed"
    assert said(READY, gone) == [words]
    assert said(gone, replace(gone, context=LOADING.context)) == []


def test_a_model_that_made_room_for_another() -> None:
    gone = replace(STOPPED, evicted=Eviction(WALL, "other", "laptop · pi"))
    assert said(READY, gone) == [f"{READY.id} unloaded to make room for other (laptop · pi)"]


def test_a_load_of_another_client() -> None:
    ready = replace(LOADING, state=RunState.READY, since=NOW, dated=True)
    failed = replace(LOADING, state=RunState.STOPPED, failed=LoadFailure(WALL, "out of memory"))
    begun = replace(LOADING, requested=None)
    assert said(begun, ready) == [f"{LOADING.id} is ready after 18 s"]
    assert said(begun, failed) == [f"{LOADING.id} could not be loaded: out of memory"]
    assert said(replace(begun, requested=NOW), ready) == []
