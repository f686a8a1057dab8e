"""The steps of something that takes a while, each with its time and its result."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum

from msgspec import Struct
from msgspec.structs import replace

from aitui.domain.snapshot import Clock
from aitui.errors import AituiError


class StepState(Enum):
    """The states of a step; a skipped one was not needed."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"


class Step(Struct, frozen=True):
    """One step. `began` and `ended` are monotonic seconds, `words` is its result.

    While it runs, `words` are what it waits for, and `limit` the seconds that this may take, 0 if that
    is unknown.
    """

    name: str
    state: StepState = StepState.WAITING
    began: float = 0.0
    ended: float = 0.0
    words: str = ""
    limit: float = 0.0

    def seconds(self, now: float) -> float:
        """Return how long it has taken."""
        if self.state is StepState.RUNNING:
            return max(0.0, now - self.began)
        return max(0.0, self.ended - self.began)


class Steps(Struct, frozen=True):
    """The steps of one job, in their order."""

    steps: tuple[Step, ...] = ()

    @classmethod
    def from_names(cls, *names: str) -> "Steps":
        """Create steps that wait."""
        return cls(tuple(Step(name) for name in names))

    def with_state(
        self, name: str, state: StepState, now: float = 0.0, words: str = "", limit: float = 0.0
    ) -> "Steps":
        """Put a step into a state, in which it is from `now` on; a new one comes last."""
        before = next((step for step in self.steps if step.name == name), None)
        began = now if before is None or state is StepState.RUNNING else before.began
        changed = Step(name, state, began, now, words, limit)
        if before is None:
            return Steps((*self.steps, changed))
        return Steps(tuple(changed if step is before else step for step in self.steps))

    @property
    def running(self) -> Step | None:
        """Return the step that is running."""
        return next((step for step in self.steps if step.state is StepState.RUNNING), None)


class ProgressTracker:
    """Follows the steps of a job; `on_change` is called with each new state of them."""

    def __init__(self, clock: Clock, on_change: Callable[[Steps], None], *names: str) -> None:
        self._clock = clock
        self._on_change = on_change
        self.steps = Steps.from_names(*names)
        on_change(self.steps)

    @contextmanager
    def step(self, name: str, waits: str = "", limit: float = 0.0) -> Iterator[list[str]]:
        """Run a step while the block runs; what the block appends to the list is its result.

        `waits` says what it waits for, up to `limit` seconds.
        """
        words: list[str] = []
        self._enter(name, StepState.RUNNING, waits, limit)
        try:
            yield words
        except AituiError as error:
            self._enter(name, StepState.FAILED, error.what)
            raise
        except BaseException:
            self._enter(name, StepState.FAILED, "interrupted")
            raise
        self._enter(name, StepState.DONE, " ".join(words))

    def advance(self, name: str) -> None:
        """End the running step and begin another."""
        self.finish()
        self._enter(name, StepState.RUNNING)

    def describe(self, words: str) -> None:
        """Say how far the running step is."""
        if (running := self.steps.running) is not None:
            steps = (
                replace(one, words=words) if one is running else one for one in self.steps.steps
            )
            self._publish(Steps(tuple(steps)))

    def finish(self, words: str = "") -> None:
        """End the running step."""
        if (running := self.steps.running) is not None:
            self._enter(running.name, StepState.DONE, words)

    def fail(self, words: str) -> None:
        """Mark the running step as failed."""
        if (running := self.steps.running) is not None:
            self._enter(running.name, StepState.FAILED, words)

    def skip(self, *names: str, words: str = "") -> None:
        """Mark steps as not needed."""
        steps = self.steps
        for name in names:
            steps = steps.with_state(name, StepState.SKIPPED, words=words)
        self._publish(steps)

    def _enter(self, name: str, state: StepState, words: str = "", limit: float = 0.0) -> None:
        self._publish(self.steps.with_state(name, state, self._clock.monotonic(), words, limit))

    def _publish(self, steps: Steps) -> None:
        self.steps = steps
        self._on_change(steps)
