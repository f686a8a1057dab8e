"""Screens can be created without a terminal; Textual only wants to know an app."""

from collections.abc import Iterator

import pytest
from textual._context import active_app
from textual.app import App


@pytest.fixture(autouse=True)
def _app() -> Iterator[None]:
    token = active_app.set(App())
    yield
    active_app.reset(token)
