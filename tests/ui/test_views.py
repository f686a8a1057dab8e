"""From view to view, and back to the models."""

import pytest

from ui.driven import Driven


@pytest.mark.parametrize("views", ["42", "24", "2", "4"])
async def test_1_goes_to_the_models_from_wherever(app: Driven, views: str) -> None:
    await app.press(*views, "1")
    await app.until(lambda: app.app.screen is app.models, "the models")


async def test_esc_goes_back_one_view(app: Driven) -> None:
    await app.press("2")
    below = app.app.screen
    await app.press("4", "escape")
    await app.until(lambda: app.app.screen is below, "the logs")
