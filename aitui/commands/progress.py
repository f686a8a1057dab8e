"""How far something with several steps is, told while it goes on."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from aitui.domain.clock import Clock
from aitui.domain.steps import Steps
from aitui.errors import AituiError


class ProgressTracker:
    """Keeps the steps true; `on_change` is called with each new state of them."""

    def __init__(self, clock: Clock, on_change: Callable[[Steps], None], *names: str) -> None:
        self._clock = clock
        self._on_change = on_change
        self.steps = Steps.from_names(*names)
        on_change(self.steps)

    @contextmanager
    def step(self, name: str) -> Iterator[list[str]]:
        """That step is under way within the block; what is put into the list is said of it."""
        words: list[str] = []
        self._publish(self.steps.begin(name, self._clock.monotonic()))
        try:
            yield words
        except AituiError as error:
            self._publish(self.steps.fail(name, self._clock.monotonic(), error.what))
            raise
        except BaseException:
            self._publish(self.steps.fail(name, self._clock.monotonic(), "broken off"))
            raise
        self._publish(self.steps.end(name, self._clock.monotonic(), " ".join(words)))

    def advance(self, name: str) -> None:
        """The step that is under way is done, and that one begins."""
        self.finish()
        self._publish(self.steps.begin(name, self._clock.monotonic()))

    def finish(self, words: str = "") -> None:
        """The step that is under way is done."""
        running = self.steps.running
        if running is not None:
            self._publish(self.steps.end(running.name, self._clock.monotonic(), words))

    def fail(self, words: str) -> None:
        """The step that is under way failed."""
        running = self.steps.running
        if running is not None:
            self._publish(self.steps.fail(running.name, self._clock.monotonic(), words))

    def skip(self, *names: str, words: str = "") -> None:
        """These steps aren't needed."""
        steps = self.steps
        for name in names:
            steps = steps.skip(name, words)
        self._publish(steps)

    def _publish(self, steps: Steps) -> None:
        self.steps = steps
        self._on_change(steps)
