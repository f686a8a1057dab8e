"""What the snapshot shows while models come and go, on every build."""

import asyncio
import re
from pathlib import Path

import pytest

from aitui.demo.dialect import Dialect
from aitui.domain.models import ContextSource, ModelKind, RunState
from aitui.domain.snapshot import Server
from aitui.llamaswap.client import LlamaSwapClient
from aitui.services import failures
from aitui.services.unload import unload_model
from catalogue import (
    ALIAS,
    CATALOGUE,
    HIDDEN,
    MISSING_FILE,
    NAPS,
    NO_PROGRAM,
    ODD,
    OUT_OF_MEMORY,
    OUT_OF_MEMORY_REASON,
    PAIR_CHAT,
    PAIR_EMBED,
    PEER,
    QUICK,
    SLASH,
    STEADY,
    dialects,
    each_dialect,
)
from other_client import OtherClient
from stand_in import StandIn
from watched import Watched, asked_for, beside, eventually, nobody, watched


def states_of(watch: Watched, model_id: str) -> list[RunState]:
    """The states in which a model was published, repetitions left out."""
    states: list[RunState] = []
    for snapshot in watch.published:
        model = snapshot.model(model_id)
        if model is not None and (not states or states[-1] is not model.state):
            states.append(model.state)
    return states


@each_dialect
async def test_every_model_of_the_server_is_listed(watch: Watched) -> None:
    ids = {model.id for model in watch.snapshot.models}
    assert {QUICK, STEADY, SLASH, ODD, HIDDEN} <= ids
    assert any(model.kind is ModelKind.PEER and PEER in model.id for model in watch.snapshot.models)


@each_dialect
async def test_an_alias_belongs_to_its_model(watch: Watched) -> None:
    model = watch.snapshot.model(QUICK)
    assert model is not None
    assert ALIAS in model.aliases


@each_dialect
async def test_an_unlisted_model_is_marked(watch: Watched) -> None:
    model = watch.snapshot.model(HIDDEN)
    assert model is not None
    assert model.unlisted


@each_dialect
async def test_the_version_is_known(watch: Watched, stand_in: StandIn) -> None:
    assert watch.snapshot.version == stand_in.dialect.traits.version["version"]
    assert watch.snapshot.release.has(259) is (stand_in.dialect is Dialect.V263)


@each_dialect
async def test_a_load_by_another_client_is_seen_from_start_to_ready(
    watch: Watched, other: OtherClient
) -> None:
    async with beside(other.load(STEADY)):
        await watch.until_state(STEADY, RunState.READY)
    assert states_of(watch, STEADY) == [RunState.STOPPED, RunState.STARTING, RunState.READY]


@each_dialect
async def test_the_context_size_of_a_running_model_is_that_of_its_command(
    watch: Watched, other: OtherClient
) -> None:
    await other.load(STEADY)
    model = await watch.until_state(STEADY, RunState.READY)
    assert model.context.tokens == 131072
    assert model.context.source is ContextSource.RUNNING_COMMAND


@each_dialect
async def test_an_unload_by_another_client_is_seen(watch: Watched, other: OtherClient) -> None:
    await other.load(QUICK)
    await watch.until_state(QUICK, RunState.READY)
    await other.unload(QUICK)
    model = await watch.until_state(QUICK, RunState.STOPPED)
    assert model.failed is None


@each_dialect
async def test_a_model_that_unloads_by_itself_is_seen_to_go(
    watch: Watched, other: OtherClient
) -> None:
    await other.load(NAPS)
    ready = await watch.until_state(NAPS, RunState.READY)
    assert ready.ttl == 2
    gone = await watch.until_state(NAPS, RunState.STOPPED)
    assert gone.failed is None
    timed_out = (await watch.until_timed_out(NAPS)).timed_out
    assert timed_out is not None
    assert (timed_out.ttl, timed_out.unused) == (2.0, False)


@each_dialect
async def test_a_load_of_another_client_that_fails_gets_its_reason_from_the_log(
    watch: Watched, other: OtherClient
) -> None:
    assert await other.load(OUT_OF_MEMORY) >= 500
    snapshot = await watch.until(
        lambda now: (model := now.model(OUT_OF_MEMORY)) is not None and model.failed is not None
    )
    model = snapshot.model(OUT_OF_MEMORY)
    assert model is not None
    assert model.failed is not None
    assert model.failed.reason == OUT_OF_MEMORY_REASON
    assert any("cudaMalloc failed" in line for line in model.failed.log)


@each_dialect
async def test_a_load_that_fails_faster_than_any_poll_is_noticed(
    watch: Watched, other: OtherClient
) -> None:
    await other.load(MISSING_FILE)
    snapshot = await watch.until(
        lambda now: (model := now.model(MISSING_FILE)) is not None and model.failed is not None
    )
    model = snapshot.model(MISSING_FILE)
    assert model is not None
    assert model.failed is not None
    assert "/models/gone.gguf" in model.failed.reason


@each_dialect
async def test_a_load_that_another_client_aborts_has_not_failed(
    watch: Watched, other: OtherClient, stand_in: StandIn
) -> None:
    async with beside(other.load(STEADY)):
        await watch.until_state(STEADY, RunState.STARTING)
        await other.unload(STEADY)
        await watch.until_state(STEADY, RunState.STOPPED)
        explained = len(asked_for(stand_in, "/logs/stream/"))
        await asyncio.sleep(0.1)
        await watch.session.monitor.poll_now()
        if explained:
            await eventually(lambda: len(asked_for(stand_in, "/logs/stream/proxy")))
            await asyncio.sleep(1)
        model = watch.snapshot.model(STEADY)
        assert model is not None
        assert model.failed is None


@each_dialect
async def test_a_failure_is_over_when_another_client_loads_the_model(
    watch: Watched, other: OtherClient, stand_in: StandIn
) -> None:
    await other.load(MISSING_FILE)
    await watch.until(
        lambda now: (model := now.model(MISSING_FILE)) is not None and model.failed is not None
    )
    repaired = "models:\n  missing-file:\n    cmd: llama-server --port ${PORT} --load-delay 0.1\n"
    await stand_in.reload(repaired)
    await watch.until(lambda now: now.events_flow and len(now.models) == 1)
    await other.load(MISSING_FILE)
    await watch.until_state(MISSING_FILE, RunState.READY)
    await other.unload(MISSING_FILE)
    assert (await watch.until_state(MISSING_FILE, RunState.STOPPED)).failed is None


@each_dialect
async def test_two_models_seen_ready_together_are_companions(
    watch: Watched, other: OtherClient
) -> None:
    await other.load(PAIR_CHAT)
    await other.load(PAIR_EMBED)
    await watch.until(lambda now: frozenset((PAIR_CHAT, PAIR_EMBED)) in now.companions)
    await other.unload(PAIR_CHAT)
    await watch.until_state(PAIR_CHAT, RunState.STOPPED)
    assert frozenset((PAIR_CHAT, PAIR_EMBED)) in watch.snapshot.companions


@each_dialect
async def test_models_that_take_turns_are_no_companions(watch: Watched, other: OtherClient) -> None:
    await other.load(QUICK)
    await other.load(SLASH)
    await watch.until_state(SLASH, RunState.READY)
    assert not watch.snapshot.companions


@dialects(Dialect.HEAD)
async def test_newer_servers_tell_who_asks_which_model(watch: Watched, stand_in: StandIn) -> None:
    async with stand_in.busy(QUICK, remote_ip="192.168.2.20", user_agent="OpenWebUI/0.6"):
        snapshot = await watch.until(
            lambda now: (model := now.model(QUICK)) is not None and model.requests == 1
        )
        assert snapshot.requests.running is not None
        (request,) = snapshot.requests.running
        assert (request.model, request.client, request.user_agent) == (
            QUICK,
            "192.168.2.20",
            "OpenWebUI/0.6",
        )
    await watch.until(lambda now: now.requests.total == 0)


@dialects(Dialect.V263)
async def test_requests_that_ended_are_kept_with_their_clients(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with stand_in.busy(QUICK, remote_ip="10.0.0.5", user_agent="Zed/1"):
        await asyncio.sleep(0.01)
    async with watched(server, tmp_path) as watch:
        before = await watch.until(lambda now: len(now.finished) == 1)
        assert (before.finished[0].who, before.finished[0].prompt) == ("10.0.0.5", 100)
        async with stand_in.busy(QUICK, remote_ip="10.0.0.5", user_agent="Zed/1"):
            await watch.until(lambda now: now.requests.total == 1)
        after = await watch.until(lambda now: len(now.finished) == 2)
    assert [row.who for row in after.finished] == ["10.0.0.5 · Zed"] * 2
    assert after.finished[0].status == 200
    assert after.finished[0].path == "/v1/chat/completions"


@dialects(Dialect.V217, Dialect.V218)
async def test_older_servers_tell_how_many_requests_run(watch: Watched, stand_in: StandIn) -> None:
    async with stand_in.busy(QUICK):
        snapshot = await watch.until(lambda now: now.requests.total == 1)
        model = snapshot.model(QUICK)
        assert snapshot.requests.running is None
        assert model is not None
        assert model.requests is None
    await watch.until(lambda now: now.requests.total == 0)


@each_dialect
async def test_a_load_is_timed_and_its_time_kept(watch: Watched, other: OtherClient) -> None:
    await other.load(STEADY)
    await eventually(lambda: watch.load_times.expected("stand-in", STEADY))
    expected = watch.load_times.expected("stand-in", STEADY)[131_072]
    assert 0.1 < expected < 5
    await watch.until(
        lambda now: (model := now.model(STEADY)) is not None and model.expected_load == expected
    )


async def test_a_program_that_does_not_exist_is_named(watch: Watched, stand_in: StandIn) -> None:
    from aitui.services.failures import diagnose_load_failure

    async with beside(watch.session.client.load(NO_PROGRAM)) as (load,):
        await asyncio.wait({load})
    reason = await diagnose_load_failure(watch.session.client, NO_PROGRAM)
    assert reason.words == "the program /nonexistent/llama-server does not exist"


@each_dialect
async def test_watching_never_touches_upstream(
    watch: Watched, other: OtherClient, stand_in: StandIn
) -> None:
    await other.load(STEADY)
    await watch.until_state(STEADY, RunState.READY)
    watch.session.monitor.refresh()
    await watch.session.monitor.poll_now()
    assert asked_for(stand_in, "/upstream/") == [f"/upstream/{STEADY}/health"]


@each_dialect
async def test_a_ready_model_that_dies_has_crashed(
    watch: Watched, other: OtherClient, stand_in: StandIn
) -> None:
    await other.load(QUICK)
    await watch.until_state(QUICK, RunState.READY)
    stand_in._active_runtime.swap.processes[QUICK].die()
    snapshot = await watch.until(
        lambda now: (model := now.model(QUICK)) is not None and model.failed is not None
    )
    model = snapshot.model(QUICK)
    assert model is not None
    failed = model.failed
    assert failed is not None
    assert failed.crashed
    assert re.match(r"upstream exited unexpectedly|process exited but not", failed.reason)
    assert "illegal memory access" in failed.reason
    assert any("CUDA error" in line for line in failed.log)


@each_dialect
async def test_a_model_that_died_before_is_not_called_crashed_when_it_is_unloaded(
    watch: Watched, other: OtherClient, stand_in: StandIn
) -> None:
    from aitui.services.failures import diagnose_crash

    await other.load(QUICK)
    stand_in._active_runtime.swap.processes[QUICK].die()
    assert (await diagnose_crash(watch.session.client, QUICK)).words
    await other.load(QUICK)
    await other.unload(QUICK)
    assert not (await diagnose_crash(watch.session.client, QUICK)).words


@dialects(Dialect.V218, Dialect.HEAD)
async def test_a_model_that_goes_as_soon_as_it_is_ready_is_explained(
    watch: Watched, other: OtherClient, stand_in: StandIn
) -> None:
    await stand_in.reload(f"globalTTL: 60\n{CATALOGUE}")
    async with beside(other.load(STEADY)):
        await watch.until_state(STEADY, RunState.STARTING)
    timed_out = (await watch.until_timed_out(STEADY)).timed_out
    assert timed_out is not None
    assert (timed_out.ttl, timed_out.unused) == (60.0, True)
    await other.load(STEADY)
    assert (await watch.until_state(STEADY, RunState.READY)).timed_out is None


@each_dialect
async def test_an_unload_that_no_idle_timeout_explains_is_another_clients(
    watch: Watched, other: OtherClient
) -> None:
    await other.load(STEADY)
    await watch.until_state(STEADY, RunState.READY)
    await other.unload(STEADY)
    now = await watch.until(
        lambda now: (model := now.model(STEADY)) is not None and model.unloaded is not None
    )
    model = now.model(STEADY)
    assert model is not None
    assert model.unloaded is not None
    assert model.unloaded.client.endswith(" · Python")
    assert (model.failed, model.timed_out) == (None, None)
    await other.load(STEADY)
    model = await watch.until_state(STEADY, RunState.READY)
    assert model.unloaded is None


@each_dialect
async def test_a_reload_and_an_unload_of_ours_are_no_other_clients(
    watch: Watched, other: OtherClient, stand_in: StandIn
) -> None:
    await other.load(STEADY)
    await watch.until_state(STEADY, RunState.READY)
    await stand_in.reload(CATALOGUE)
    await watch.until_state(STEADY, RunState.STOPPED)
    await other.load(STEADY)
    await watch.until_state(STEADY, RunState.READY)
    await unload_model(watch.session, STEADY, nobody)
    await watch.until_state(STEADY, RunState.STOPPED)
    await watch.session.monitor.poll_now()
    await watch.until_quiet()
    model = watch.snapshot.model(STEADY)
    assert model is not None
    assert (model.unloaded, model.failed) == (None, None)


async def test_what_is_found_out_late_is_not_said_of_a_newer_run(
    watch: Watched, other: OtherClient, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, is_read = failures.read_log_tail, asyncio.Event()

    async def read_late(client: LlamaSwapClient, name: str) -> tuple[str, ...]:
        await is_read.wait()
        return await read(client, name)

    monkeypatch.setattr(failures, "read_log_tail", read_late)
    await other.load(STEADY)
    await watch.until_state(STEADY, RunState.READY)
    await stand_in.reload(CATALOGUE)
    await watch.until_state(STEADY, RunState.STOPPED)
    await other.load(STEADY)
    await watch.until_state(STEADY, RunState.READY)
    await unload_model(watch.session, STEADY, nobody)
    await watch.until_state(STEADY, RunState.STOPPED)
    is_read.set()
    await watch.until_quiet()
    model = watch.snapshot.model(STEADY)
    assert model is not None
    assert (model.unloaded, model.failed) == (None, None)
