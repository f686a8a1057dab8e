"""The steps of something that takes a while and must end well, each with its own end."""

from dataclasses import dataclass
from enum import Enum


class StepState(Enum):
    """How far a step is; what is left out was not needed, or never came about."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "left out"


@dataclass(frozen=True, slots=True)
class Step:
    """One step. `began` and `ended` are monotonic seconds, `words` what came of it."""

    name: str
    state: StepState = StepState.WAITING
    began: float = 0.0
    ended: float = 0.0
    words: str = ""

    def seconds(self, now: float) -> float:
        """How long it has taken, or took."""
        if self.state is StepState.RUNNING:
            return max(0.0, now - self.began)
        return max(0.0, self.ended - self.began)


@dataclass(frozen=True, slots=True)
class Steps:
    """All of them, in their order."""

    steps: tuple[Step, ...] = ()

    @classmethod
    def from_names(cls, *names: str) -> "Steps":
        """Steps that wait."""
        return cls(tuple(Step(name) for name in names))

    def step(self, name: str) -> Step:
        """The step of that name; raises KeyError where there is none."""
        for step in self.steps:
            if step.name == name:
                return step
        raise KeyError(name)

    def begin(self, name: str, now: float) -> "Steps":
        """That step runs from now on; one that is new comes last."""
        running = Step(name, StepState.RUNNING, now, now)
        if all(step.name != name for step in self.steps):
            return Steps((*self.steps, running))
        return self._replace(running)

    def end(self, name: str, now: float, words: str = "") -> "Steps":
        """That step is done."""
        return self._replace(Step(name, StepState.DONE, self.step(name).began, now, words))

    def fail(self, name: str, now: float, words: str = "") -> "Steps":
        """That step failed."""
        return self._replace(Step(name, StepState.FAILED, self.step(name).began, now, words))

    def skip(self, name: str, words: str = "") -> "Steps":
        """That step isn't needed."""
        return self._replace(Step(name, StepState.SKIPPED, words=words))

    @property
    def running(self) -> Step | None:
        """The step that is under way."""
        return next((step for step in self.steps if step.state is StepState.RUNNING), None)

    def _replace(self, changed: Step) -> "Steps":
        return Steps(tuple(changed if step.name == changed.name else step for step in self.steps))
