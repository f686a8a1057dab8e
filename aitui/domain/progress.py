"""The steps of something that takes a while, each with its time and its result."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum

from aitui.domain.snapshot import Clock
from aitui.errors import AituiError


class StepState(Enum):
    """How far a step is; a skipped one was not needed."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "left out"


@dataclass(frozen=True, slots=True)
class Step:
    """One step. `began` and `ended` are monotonic seconds, `words` is its result."""

    name: str
    state: StepState = StepState.WAITING
    began: float = 0.0
    ended: float = 0.0
    words: str = ""

    def seconds(self, now: float) -> float:
        """Return how long it has taken."""
        if self.state is StepState.RUNNING:
            return max(0.0, now - self.began)
        return max(0.0, self.ended - self.began)


@dataclass(frozen=True, slots=True)
class Steps:
    """The steps of one job, in their order."""

    steps: tuple[Step, ...] = ()

    @classmethod
    def from_names(cls, *names: str) -> "Steps":
        """Create steps that wait."""
        return cls(tuple(Step(name) for name in names))

    def step(self, name: str) -> Step:
        """Return the step of that name; raises KeyError."""
        for step in self.steps:
            if step.name == name:
                return step
        raise KeyError(name)

    def begin(self, name: str, now: float) -> "Steps":
        """Start a step; a new one comes last."""
        running = Step(name, StepState.RUNNING, now, now)
        if all(step.name != name for step in self.steps):
            return Steps((*self.steps, running))
        return self._replace(running)

    def end(self, name: str, now: float, words: str = "") -> "Steps":
        """Mark a step as done."""
        return self._replace(Step(name, StepState.DONE, self.step(name).began, now, words))

    def fail(self, name: str, now: float, words: str = "") -> "Steps":
        """Mark a step as failed."""
        return self._replace(Step(name, StepState.FAILED, self.step(name).began, now, words))

    def skip(self, name: str, words: str = "") -> "Steps":
        """Mark a step as not needed."""
        return self._replace(Step(name, StepState.SKIPPED, words=words))

    @property
    def running(self) -> Step | None:
        """Return the step that is running."""
        return next((step for step in self.steps if step.state is StepState.RUNNING), None)

    def _replace(self, changed: Step) -> "Steps":
        return Steps(tuple(changed if step.name == changed.name else step for step in self.steps))


class ProgressTracker:
    """Follows the steps of a job; `on_change` is called with each new state of them."""

    def __init__(self, clock: Clock, on_change: Callable[[Steps], None], *names: str) -> None:
        self._clock = clock
        self._on_change = on_change
        self.steps = Steps.from_names(*names)
        on_change(self.steps)

    @contextmanager
    def step(self, name: str) -> Iterator[list[str]]:
        """Run a step while the block runs; what the block appends to the list is its result."""
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
        """End the running step and begin another."""
        self.finish()
        self._publish(self.steps.begin(name, self._clock.monotonic()))

    def finish(self, words: str = "") -> None:
        """End the running step."""
        running = self.steps.running
        if running is not None:
            self._publish(self.steps.end(running.name, self._clock.monotonic(), words))

    def fail(self, words: str) -> None:
        """Mark the running step as failed."""
        running = self.steps.running
        if running is not None:
            self._publish(self.steps.fail(running.name, self._clock.monotonic(), words))

    def skip(self, *names: str, words: str = "") -> None:
        """Mark steps as not needed."""
        steps = self.steps
        for name in names:
            steps = steps.skip(name, words)
        self._publish(steps)

    def _publish(self, steps: Steps) -> None:
        self.steps = steps
        self._on_change(steps)
