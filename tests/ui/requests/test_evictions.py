"""Which models count as evicted."""

from aitui.domain.models import RunState
from aitui.services.state import SWAP_WINDOW, EvictionTracker

READY, STOPPING, STOPPED = RunState.READY, RunState.STOPPING, RunState.STOPPED


def after(*looks: dict[str, RunState]) -> EvictionTracker:
    evictions = EvictionTracker()
    for second, states in enumerate(looks):
        evictions.update_states(states, float(second))
    return evictions


def test_a_ready_model_that_went_before_a_load_went_for_it() -> None:
    assert after({"a": READY}, {"a": STOPPED}).take_victims("b", 2.0, ()) == ("a",)


def test_one_that_is_still_stopping_went_for_it_as_well() -> None:
    assert after({"a": READY}, {"a": STOPPING}).take_victims("b", 2.0, ()) == ("a",)


def test_one_that_vanished_from_the_list_went_for_it_as_well() -> None:
    assert after({"a": READY}, {}).take_victims("b", 2.0, ()) == ("a",)


def test_one_that_was_unloaded_from_here_was_not_evicted() -> None:
    assert after({"a": READY}, {"a": STOPPED}).take_victims("b", 2.0, ("a",)) == ()


def test_one_that_left_long_before_was_not_evicted() -> None:
    assert after({"a": READY}, {"a": STOPPED}).take_victims("b", 2.0 + SWAP_WINDOW, ()) == ()


def test_one_that_was_only_starting_was_not_evicted() -> None:
    assert after({"a": RunState.STARTING}, {"a": STOPPED}).take_victims("b", 2.0, ()) == ()


def test_a_model_does_not_evict_itself() -> None:
    assert after({"a": READY}, {"a": STOPPED}).take_victims("a", 2.0, ()) == ()


def test_each_victim_is_named_once() -> None:
    evictions = after({"a": READY}, {"a": STOPPED})
    evictions.take_victims("b", 2.0, ())
    assert evictions.take_victims("c", 2.0, ()) == ()
