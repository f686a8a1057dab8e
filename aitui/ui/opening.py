"""What the app is given when it starts."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from aitui.domain.clock import Clock
from aitui.domain.server import Server
from aitui.paths import Paths
from aitui.settings import Settings

DemoWorld = Callable[[], AbstractAsyncContextManager[tuple[Server, Paths]]]
"""Opens a stand-in server with places of its own; nothing of either is left after the block."""


@dataclass(frozen=True, slots=True)
class Opening:
    """Settings, places, clock and chance; `missing` are certificate files that aren't there.

    `first_world` is opened instead of connecting to the chosen server, as `--demo` wants it.
    """

    settings: Settings
    paths: Paths
    home: Path
    clock: Clock
    random: Random
    demo_world: DemoWorld
    missing: tuple[tuple[str, Path], ...] = ()
    demo_at_once: bool = False
