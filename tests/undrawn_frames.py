"""Frames that nobody sees are not drawn: they were a third of the time of each test with a screen.

Without a terminal Textual renders every frame and throws it away. A test that reads the screen has
it rendered then, and one that is about frames has the marker `frames`.
"""

from typing import Any

import pytest
from rich.console import RenderableType
from textual._compositor import Compositor
from textual._context import active_app, visible_screen_stack
from textual.screen import Screen


class Frames:
    """How many frames were due so far: before the next one the screen is as it was."""

    due = 0


@pytest.fixture(autouse=True)
def _undrawn_frames(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = request.node.get_closest_marker("frames") is not None
    monkeypatch.setattr(Compositor, "render_update", _render if wanted else _render_if_wanted)


_render_update = Compositor.render_update


def _render(compositor: Compositor, *arguments: Any, **options: Any) -> RenderableType | None:
    Frames.due += 1
    return _render_update(compositor, *arguments, **options)


def _render_if_wanted(
    compositor: Compositor,
    full: bool = False,
    screen_stack: list[Screen[Any]] | None = None,
    simplify: bool = False,
) -> RenderableType | None:
    Frames.due += 1
    # A picture is taken of the full screen.
    if full or not active_app.get().is_headless:
        return _render_update(compositor, full, screen_stack, simplify)
    visible_screen_stack.set(screen_stack or [])
    compositor._dirty_regions.clear()
    return None
