"""Whether it will fit, where it is asked: before a load, in the context dialog, in the preview."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from aitui.domain.config.document import ConfigDocument
from aitui.domain.gguf import GgufHeader, Value
from aitui.domain.hardware.sample import Gpu, HardwareSample, SampleSource
from aitui.domain.memory.forecast import ModelMemory
from aitui.domain.memory.hardware_state import HardwareState
from aitui.domain.memory.launch_profile import LaunchProfile
from aitui.domain.memory.measurement import Measurement, MemoryRecords, OutOfMemory
from aitui.domain.memory.usage import memory_usage
from aitui.domain.models import ContextSize, ContextSource, Model, RunState
from aitui.domain.snapshot import Snapshot
from aitui.host.base import FileInfo, FileKind
from aitui.host.config_file import FileSnapshot
from aitui.services.config_plan import ChangePlan, change_confirmation, flag_edit
from aitui.services.load import load_confirmation
from aitui.ui.screens.confirm import LoadBars
from aitui.ui.screens.context_size import ContextSizeScreen
from ui.driven import driven, opened
from ui.hand_made import SERVER, STILL, live, show_instead_of_servers

GIB = 1 << 30
WANTED, LOADED = "wanted-30b", "loaded-70b"
CONTEXT = ContextSize(32_768, ContextSource.RUNNING_COMMAND)


def standing(
    *,
    used: int = 50,
    takes: int = 20,
    loaded_takes: int = 40,
    died_at: int | None = None,
    trained: int = 0,
) -> Snapshot:
    """A card of 64 GiB with one model on it, and another that was measured earlier."""
    metadata: dict[str, Value] = {
        "general.architecture": "llama",
        "llama.context_length": trained,
    }
    header = GgufHeader(metadata) if trained else None
    failures = () if died_at is None else (OutOfMemory(died_at, "same", 1.0),)
    known = {
        WANTED: MemoryRecords(
            (
                Measurement(16_384, (takes - 4) * GIB, setup="same"),
                Measurement(32_768, takes * GIB, setup="same"),
            ),
            failures,
        ),
        LOADED: MemoryRecords((Measurement(32_768, loaded_takes * GIB, setup="same"),)),
    }
    models = (
        Model(WANTED, context=CONTEXT),
        Model(LOADED, context=CONTEXT, state=RunState.READY),
    )
    memories = {
        name: ModelMemory(LaunchProfile(fingerprint="same"), one, header)
        for name, one in known.items()
    }
    card = Gpu(0, "A card", used_bytes=used * GIB, total_bytes=64 * GIB)
    picture = memory_usage(
        HardwareSample(1.0, SampleSource.SERVER, (card,)),
        models,
        expected={name: one.measurements[-1].footprint for name, one in known.items()},
    )
    return replace(live(*models), hardware=HardwareState(picture, models=memories))


def asked(snapshot: Snapshot) -> str:
    return "\n".join(load_confirmation(WANTED, snapshot).lines)


def test_a_load_that_fits_says_what_it_needs_and_what_is_free_before_and_after() -> None:
    words = asked(standing())
    assert "✔ fits" in words
    assert "needs 20.0 GB, measured" in words
    assert "14 GB free now, 54 GB after unloading" in words


def test_a_load_that_only_just_fits_is_called_tight() -> None:
    assert "! tight" in asked(standing(takes=54))


def test_a_load_that_does_not_fit_is_told_in_a_word() -> None:
    assert "✘ does not fit" in asked(standing(takes=60))


def test_after_a_death_of_memory_the_question_says_so_at_that_size_or_more() -> None:
    words = asked(standing(died_at=32_768))
    assert "✘ does not fit: it ran out of memory with 32,768 tokens" in words
    assert "✔ fits" in asked(standing(died_at=65_536))


def test_what_does_not_fit_is_asked_about_though_nobody_is_evicted() -> None:
    snapshot = standing(died_at=32_768)
    alone = replace(snapshot, models=snapshot.models[:1])
    assert load_confirmation(WANTED, alone).needed


def test_where_nothing_is_known_nothing_is_said() -> None:
    snapshot = replace(standing(), hardware=HardwareState())
    assert "fit" not in asked(snapshot)


@pytest.mark.parametrize(
    ("typed", "words"),
    [("16384", "✔ fits"), ("262144", "✘ does not fit"), ("40960", "it ran out of memory")],
)
async def test_the_context_dialog_judges_what_is_typed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, typed: str, words: str
) -> None:
    snapshot = standing(died_at=40_960)
    show_instead_of_servers(monkeypatch, snapshot)
    async with opened(SERVER, tmp_path, clock=STILL).run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        screen = ContextSizeScreen(snapshot.models[0], snapshot)
        await pilot.app.push_screen(screen)
        await pilot.press(*typed)
        await pilot.pause()
        shown = screen.query_one("#fit")
        assert words in str(shown.render())
        assert shown.has_class("-no") is ("✘" in str(shown.render()))


@pytest.mark.parametrize("known", [True, False])
async def test_a_context_larger_than_trained_is_a_warning_to_the_end(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, known: bool
) -> None:
    snapshot = standing(trained=16_384)
    if not known:
        memory = replace(snapshot.hardware.models[WANTED], known=MemoryRecords())
        hardware = replace(snapshot.hardware, models={WANTED: memory})
        snapshot = replace(snapshot, hardware=hardware)
    show_instead_of_servers(monkeypatch, snapshot)
    async with opened(SERVER, tmp_path, clock=STILL).run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        screen = ContextSizeScreen(snapshot.models[0], snapshot)
        await pilot.app.push_screen(screen)
        await pilot.press(*"20k")
        await pilot.pause()
        shown = screen.query_one("#fit")
        assert str(shown.render()).startswith("! larger than trained")
        assert shown.has_class("-tight")
    text = f"models:\n  {WANTED}:\n    cmd: llama-server -m a.gguf -c 8192\n"
    info = FileInfo("config.yaml", FileKind.FILE, len(text), 0o644, 1000, 1000, 0.0)
    reading = FileSnapshot("config.yaml", "config.yaml", text.encode(), "", info)
    change = flag_edit(WANTED, "ctx-size", "20480")(ConfigDocument.read(text))
    facts = change_confirmation(ChangePlan(reading, change, b""), snapshot).facts
    assert any(fact.startswith("! larger than trained") for fact in facts)
    assert not any("✔" in fact for fact in facts)


@pytest.mark.parametrize(("rows", "drawn"), [(36, True), (24, False)])
async def test_the_palette_draws_the_memory_now_and_after_a_load(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, rows: int, drawn: bool
) -> None:
    snapshot = standing()
    takes = Measurement(32_768, 20 * GIB).footprint
    wanted, loaded = snapshot.models
    snapshot = replace(snapshot, models=(replace(wanted, memory=takes), loaded))
    show_instead_of_servers(monkeypatch, snapshot)
    async with driven(SERVER, tmp_path, size=(120, rows), clock=STILL) as app:
        await app.see(WANTED)
        await app.press("colon", *f"load {WANTED}")
        bars = app.app.screen.query_one(LoadBars)
        await app.until(lambda: bars.display is drawn, "bars")
        if drawn:
            await app.see("now  ", "after  ")
