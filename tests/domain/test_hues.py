"""A model has one hue in every view, as long as any view shows it."""

from aitui.domain.hues import VISIBLE_SECONDS, Hues, assign_hues
from aitui.domain.models import Model, RunState

READY, STARTING = RunState.READY, RunState.STARTING


def models(**states: RunState) -> tuple[Model, ...]:
    return tuple(Model(model_id, state=state) for model_id, state in states.items())


def test_the_next_free_hue_goes_to_a_model_that_begins_to_load() -> None:
    one = models(a=READY, b=STARTING)
    hues = assign_hues(Hues(), (), one, 0.0)
    assert hues.numbers == {"a": 1, "b": 2}
    both = models(a=RunState.STOPPED, b=READY, c=STARTING)
    assert assign_hues(hues, one, both, 5.0) == Hues({"a": 1, "b": 2, "c": 3}, {"a": 5.0})


def test_a_model_that_is_loaded_again_has_the_hue_that_it_had() -> None:
    gone = Hues({"a": 1, "b": 2}, {"a": 5.0})
    assert assign_hues(gone, models(b=READY), models(a=STARTING, b=READY), 60.0).numbers == {
        "a": 1,
        "b": 2,
    }


def test_a_hue_is_free_again_when_no_view_shows_the_model_any_more() -> None:
    gone = Hues({"a": 1, "b": 2}, {"a": 5.0})
    later = assign_hues(gone, models(b=READY), models(b=READY, c=STARTING), 5.0 + VISIBLE_SECONDS)
    assert later == Hues({"b": 2, "c": 1})


def test_a_load_that_fails_gives_its_hue_back_at_once() -> None:
    loading = models(a=READY, b=STARTING)
    hues = assign_hues(Hues({"a": 1, "b": 2}), loading, models(a=READY), 3.0)
    assert hues == Hues({"a": 1})


def test_a_sixth_model_is_gray() -> None:
    six = models(a=READY, b=READY, c=READY, d=READY, e=READY, f=READY)
    assert assign_hues(Hues(), (), six, 0.0).numbers["f"] == 0
