"""How loads are followed, told by events and seen in `/running`, in any order."""

from aitui.domain.models import RunState
from aitui.services.state import LoadTracker

STOPPED, STARTING, READY, STOPPING = (
    RunState.STOPPED,
    RunState.STARTING,
    RunState.READY,
    RunState.STOPPING,
)


def watching_a_stopped_model() -> LoadTracker:
    starts = LoadTracker()
    starts.apply_running_states({"a": STOPPED}, 0, {})
    starts.apply_event_states({"a": STOPPED}, 0)
    return starts


def test_a_load_is_timed_from_the_event_that_told_its_start() -> None:
    starts = watching_a_stopped_model()
    assert starts.apply_event_states({"a": STARTING}, 1).started == ("a",)
    starts.apply_running_states({"a": STARTING}, 2, {})
    starts.apply_event_states({"a": READY}, 5)
    assert starts.apply_running_states({"a": READY}, 6, {}).loaded == (("a", 5),)


def test_a_load_is_timed_from_the_first_look_that_saw_it_where_no_event_tells() -> None:
    starts = watching_a_stopped_model()
    assert starts.apply_running_states({"a": STARTING}, 2, {}).started == ("a",)
    assert starts.apply_running_states({"a": READY}, 6, {}).loaded == (("a", 4),)


def test_a_load_under_way_at_the_first_look_is_not_timed() -> None:
    starts = LoadTracker()
    starts.apply_running_states({"a": STARTING}, 0, {})
    assert starts.apply_running_states({"a": READY}, 6, {}).loaded == ()


def test_a_load_under_way_at_the_first_event_is_not_timed() -> None:
    starts = LoadTracker()
    starts.apply_running_states({"a": STARTING}, 0, {})
    starts.apply_event_states({"a": STARTING}, 0)
    assert starts.apply_running_states({"a": READY}, 6, {}).loaded == ()


def test_a_load_that_nobody_saw_counts_from_when_it_was_asked_for() -> None:
    starts = watching_a_stopped_model()
    assert starts.apply_running_states({"a": READY}, 6, {"a": 5}).loaded == (("a", 1),)


def test_no_load_is_measured_over_a_jump_of_the_clocks() -> None:
    starts = watching_a_stopped_model()
    starts.apply_event_states({"a": STARTING}, 1)
    starts.forget_times()
    assert starts.apply_running_states({"a": READY}, 6, {}).loaded == ()


def test_a_ready_model_is_not_loaded_again_by_every_look() -> None:
    starts = watching_a_stopped_model()
    starts.apply_running_states({"a": STARTING}, 1, {})
    starts.apply_running_states({"a": READY}, 2, {})
    assert starts.apply_running_states({"a": READY}, 3, {"a": 1}).loaded == ()


def test_a_load_that_no_look_saw_vanishes_with_the_event_that_says_so() -> None:
    starts = watching_a_stopped_model()
    starts.apply_event_states({"a": STARTING}, 1)
    assert starts.apply_event_states({"a": STOPPED}, 2).vanished == ("a",)
    assert starts.apply_running_states({"a": STOPPED}, 3, {}).vanished == ()


def test_a_load_that_a_look_has_seen_vanishes_with_the_look_that_misses_it() -> None:
    starts = watching_a_stopped_model()
    starts.apply_event_states({"a": STARTING}, 1)
    starts.apply_running_states({"a": STARTING}, 2, {})
    assert starts.apply_event_states({"a": STOPPED}, 3).vanished == ()
    assert starts.apply_running_states({"a": STOPPED}, 4, {}).vanished == ("a",)


def test_a_look_from_before_the_start_makes_nothing_vanish() -> None:
    starts = watching_a_stopped_model()
    starts.apply_event_states({"a": STARTING}, 1)
    assert starts.apply_running_states({"a": STOPPED}, 1, {}).vanished == ()
    starts.apply_running_states({"a": STARTING}, 2, {})
    assert starts.apply_running_states({"a": READY}, 4, {}).loaded == (("a", 3),)


def test_a_load_that_is_stopped_in_good_order_has_not_vanished() -> None:
    starts = watching_a_stopped_model()
    starts.apply_event_states({"a": STARTING}, 1)
    assert starts.apply_event_states({"a": STOPPING}, 2).vanished == ()
    assert starts.apply_event_states({"a": STOPPED}, 3).vanished == ()


def test_a_model_that_leaves_the_config_while_it_starts_has_vanished() -> None:
    starts = watching_a_stopped_model()
    starts.apply_running_states({"a": STARTING}, 1, {})
    assert starts.apply_running_states({}, 2, {}).vanished == ("a",)


def test_only_a_look_that_differs_from_the_last_one_is_a_change() -> None:
    starts = watching_a_stopped_model()
    assert starts.apply_running_states({"a": READY}, 1, {}).changed
    assert not starts.apply_running_states({"a": READY}, 2, {}).changed


def test_the_first_look_is_no_change() -> None:
    assert not LoadTracker().apply_running_states({"a": READY}, 1, {}).changed
