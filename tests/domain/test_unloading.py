"""What an unload costs is said before it is done."""

from aitui.domain.models import Model
from aitui.domain.unload_costs import describe_unload


def test_it_says_what_it_took_to_load() -> None:
    assert describe_unload(Model("big", expected_load=95.4)) == "unloads big (loading took 1m 35s)"


def test_nothing_is_said_of_a_load_that_was_never_timed() -> None:
    assert describe_unload(Model("new")) == "unloads new"


def test_a_load_of_no_time_at_all_took_a_second() -> None:
    assert describe_unload(Model("tiny", expected_load=0.2)) == "unloads tiny (loading took 1 s)"
