"""What an error keeps, and what it lets go."""

import weakref

import pytest

from aitui.errors import BadResponse, without_frames


class Body(bytearray):
    """What was read; a weak reference to it says whether it is still there."""


def raise_with(body: Body) -> None:
    try:
        int(body[:0])
    except ValueError as error:
        raise BadResponse("no number") from error


def test_an_error_without_frames_keeps_no_variable_of_those_who_raised_it() -> None:
    body = Body(1 << 20)
    gone = weakref.ref(body)
    with pytest.raises(BadResponse) as raised:
        raise_with(body)
    error = raised.value
    del body, raised
    assert gone() is not None
    assert without_frames(error) is error
    assert gone() is None
    assert isinstance(error.__cause__, ValueError)


def test_an_error_that_was_handled_meanwhile_is_let_go_beside_a_cause() -> None:
    body = Body(1 << 20)
    gone = weakref.ref(body)

    def raise_from_another(read: Body) -> None:
        try:
            int(read[:0])
        except ValueError:
            raise BadResponse("no number") from OSError("elsewhere")

    with pytest.raises(BadResponse) as raised:
        raise_from_another(body)
    error = raised.value
    del body, raised
    assert gone() is not None
    assert without_frames(error) is error
    assert gone() is None
    assert isinstance(error.__cause__, OSError)


def test_errors_that_led_to_each_other_are_let_go_as_well() -> None:
    one, other = BadResponse("one"), BadResponse("other")
    one.__cause__, other.__cause__ = other, one
    assert without_frames(one) is one
