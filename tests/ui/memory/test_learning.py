"""What loads teach: by their processes, by difference, by their death, and by their rate."""

import pytest
from msgspec.structs import replace

from aitui.domain.hardware.sample import Gpu, HardwareSample, SampleSource
from aitui.domain.memory.forecast import ModelMemory, OffloadSlowdown
from aitui.domain.memory.launch_profile import launch_profile
from aitui.domain.memory.measurement import Measurement, MemoryRecords, OutOfMemory, UsualRate
from aitui.domain.memory.usage import MemoryUsage, memory_usage
from aitui.domain.models import ContextSize, ContextSource, LoadFailure, Model, RunState
from aitui.services.memory_learning import SETTLING_RATES, MemoryLearner, MemoryObservation

GIB = 1 << 30
NOTHING = MemoryUsage()
COMMAND = "llama-server -m /models/a.gguf -c 8192 -ngl 99"


def command(tokens: int) -> str:
    return COMMAND.replace("8192", str(tokens))


def model(name: str = "a", tokens: int = 8192, **more: object) -> Model:
    """A ready model, unless told otherwise."""
    ready = Model(
        name,
        state=RunState.READY,
        command=command(tokens),
        context=ContextSize(tokens, ContextSource.RUNNING_COMMAND),
    )
    return replace(ready, **more)


def sample(at: float, used: int) -> HardwareSample:
    return HardwareSample(
        at, SampleSource.SERVER, (Gpu(0, "card", used_bytes=used, total_bytes=64 * GIB),)
    )


class Taught:
    """Samples and models, fed one after the other; what was learnt is kept."""

    def __init__(self) -> None:
        self.known: dict[str, MemoryRecords] = {}
        self.lessons: list[MemoryObservation] = []
        self.at = 0.0
        self.start_anew()

    def start_anew(self) -> None:
        """The next start of aitui: only what was kept is known."""
        self.learning = MemoryLearner(
            lambda: 5.0,
            lambda _, command: launch_profile(command),
            lambda name: self.known.get(name, MemoryRecords()),
        )

    def models(self, *models: Model) -> None:
        found = self.learning.observe_models(models, {})
        self.lessons += found
        for lesson in found:
            if isinstance(lesson.observation, UsualRate):
                before = self.known.get(lesson.model, MemoryRecords())
                self.known[lesson.model] = before.with_record(lesson.observation)

    def spills(self, model: Model) -> tuple[OffloadSlowdown, ...]:
        memory = ModelMemory(
            launch_profile(model.command), self.known.get(model.id, MemoryRecords())
        )
        return self.learning.slowdowns((model,), NOTHING, {model.id: memory})

    def samples(self, used: int, *models: Model, count: int = 2) -> None:
        for _ in range(count):
            self.at += 5
            taken = sample(self.at, used)
            picture = memory_usage(taken, models)
            self.lessons += self.learning.observe_sample(taken, models, picture)


def test_where_the_machine_cannot_be_asked_the_difference_of_two_samples_counts() -> None:
    taught = Taught()
    taught.models()
    taught.samples(GIB)
    taught.models(model())
    taught.samples(9 * GIB, model())
    (lesson,) = taught.lessons
    assert isinstance(lesson.observation, Measurement)
    assert (lesson.model, lesson.observation.gpu, lesson.observation.context_size) == (
        "a",
        8 * GIB,
        8192,
    )
    assert lesson.observation.setup == launch_profile(COMMAND).fingerprint


def test_a_swap_is_measured_against_the_samples_without_either() -> None:
    taught = Taught()
    taught.samples(GIB)
    taught.models(model("b"))
    taught.samples(21 * GIB, model("b"))
    taught.models(model("a"))
    taught.samples(9 * GIB, model("a"))
    assert [
        (one.model, one.observation.gpu)
        for one in taught.lessons
        if hasattr(one.observation, "gpu")
    ] == [
        ("b", 20 * GIB),
        ("a", 8 * GIB),
    ]


def test_a_sample_that_may_be_from_before_the_load_is_not_trusted() -> None:
    taught = Taught()
    taught.samples(GIB)
    taught.models(model())
    taught.samples(5 * GIB, model(), count=1)
    assert taught.lessons == []


def test_while_another_model_comes_or_goes_nothing_is_measured() -> None:
    taught = Taught()
    taught.samples(GIB)
    loading = model("b", state=RunState.STARTING)
    taught.models(model(), loading)
    taught.samples(9 * GIB, model(), loading)
    assert taught.lessons == []


def test_what_was_kept_once_is_not_kept_again_at_every_sample() -> None:
    taught = Taught()
    taught.samples(GIB)
    taught.models(model())
    taught.samples(9 * GIB, model(), count=20)
    assert len(taught.lessons) == 1


def test_a_death_of_memory_is_kept_with_the_context_that_it_ran_with() -> None:
    taught = Taught()
    taught.models(model(tokens=65_536, state=RunState.STARTING))
    # The change was taken back by the time that the failure is told.
    told = ContextSize(8192, ContextSource.CONFIG_FILE)
    failed = LoadFailure(7.0, "out of memory: 48211.00 MiB did not fit on device 0")
    dead = Model("a", failed=failed, context=told)
    taught.models(dead)
    taught.models(dead)
    (lesson,) = taught.lessons
    assert lesson.observation == OutOfMemory(65_536, launch_profile(COMMAND).fingerprint, 7.0)


def test_a_death_too_quick_to_be_seen_counts_at_the_size_of_the_file_not_of_the_run_before() -> (
    None
):
    taught = Taught()
    taught.models(model(tokens=8192, state=RunState.STARTING))
    taught.models(model(tokens=8192))
    context = ContextSize(262_144, ContextSource.CONFIG_FILE)
    dead = Model("a", failed=LoadFailure(7.0, "out of memory"), context=context)
    found = taught.learning.observe_models((dead,), {"a": command(262_144)})
    assert [lesson.observation for lesson in found] == [
        OutOfMemory(262_144, launch_profile(COMMAND).fingerprint, 7.0)
    ]


@pytest.mark.parametrize(
    "reason",
    [
        "the file /x does not exist",
        "the file /out of memory.gguf does not exist",
        "it was killed by the system, most often because the host ran out of memory",
    ],
)
def test_another_failure_teaches_nothing_of_memory(reason: str) -> None:
    taught = Taught()
    taught.models(model(failed=LoadFailure(7.0, reason)))
    assert taught.lessons == []


def test_a_much_lower_rate_after_a_larger_context_is_told_with_both() -> None:
    taught = Taught()
    for rate in (48.0, 51.0, 50.0):
        taught.models(model(rate=rate))
    larger = model(tokens=65_536, rate=50.0)
    taught.models(larger)
    assert taught.spills(larger) == ()
    slow = model(tokens=65_536, rate=9.0)
    taught.models(slow)
    (spill,) = taught.spills(slow)
    assert (spill.context_size, spill.context_before) == (65_536, 8192)
    assert (spill.rate, spill.usual) == (9.0, 50.0)


def test_a_rate_that_falls_without_a_larger_context_is_no_spill() -> None:
    taught = Taught()
    taught.models(model(tokens=65_536, rate=50.0))
    smaller = model(tokens=8192, rate=9.0)
    taught.models(smaller)
    assert taught.spills(smaller) == ()


def test_a_rate_that_falls_a_little_is_no_spill() -> None:
    taught = Taught()
    taught.models(model(rate=50.0))
    larger = model(tokens=65_536, rate=44.0)
    taught.models(larger)
    assert taught.spills(larger) == ()


def test_the_rate_from_before_a_restart_of_aitui_counts() -> None:
    taught = Taught()
    taught.models(model(rate=50.0))
    taught.start_anew()
    slow = model(tokens=65_536, rate=9.0)
    taught.models(slow)
    (spill,) = taught.spills(slow)
    assert (spill.context_before, spill.usual) == (8192, 50.0)


def rates_kept(taught: Taught) -> list[float]:
    return [
        one.observation.rate for one in taught.lessons if isinstance(one.observation, UsualRate)
    ]


def test_a_rate_that_stays_is_not_kept_at_every_answer() -> None:
    taught = Taught()
    for number in range(40):
        taught.models(model(rate=50.0 + number % 3))
    assert rates_kept(taught)[-1] == 51.0
    assert len(rates_kept(taught)) <= SETTLING_RATES


def test_a_rate_that_has_changed_takes_the_place_of_the_one_before() -> None:
    taught = Taught()
    for number in range(40):
        taught.models(model(rate=50.0 + number % 3))
    for number in range(40):
        taught.models(model(rate=30.0 + number % 3))
    assert rates_kept(taught)[-1] == pytest.approx(31.0, rel=0.1)
