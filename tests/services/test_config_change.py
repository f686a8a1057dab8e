"""Each job from its confirmation to its result, in front of a frontend that answers by a list."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest
from msgspec.structs import replace

from aitui.domain.config import yaml_tree
from aitui.domain.confirmation import Confirmation
from aitui.domain.models import Model, RunState
from aitui.domain.progress import Steps, StepState
from aitui.domain.snapshot import Clock, ConnectionPhase, ConnectionStatus, Server, Snapshot
from aitui.errors import (
    ActionRefused,
    AituiError,
    BadResponse,
    ConfigNotApplied,
    ConfigRefused,
    ConnectionLost,
    LoadFailed,
    NotSupported,
    ProxyError,
    ServerError,
    ServiceFailed,
    TimedOut,
    TooManyRequests,
    ValueUnchanged,
)
from aitui.host.config_file import ConfigFile
from aitui.host.local import LocalHost
from aitui.host.service import SystemdService
from aitui.host.unit import UnitInfo
from aitui.services import config_change, reload
from aitui.services.config_change import ConfigRunner, Job, JobResult, PlanAnswer
from aitui.services.config_plan import (
    ChangePlan,
    change_confirmation,
    flag_edit,
    plan_change,
    plan_removal,
)
from aitui.services.config_watch import recover_changes
from aitui.services.host_admin import HostAdmin
from aitui.services.load import LoadResult
from aitui.services.session import Session
from aitui.services.setup.config import plan_model_block
from aitui.store.journal import Journal
from domain.memory.files import BIG

CONFIG = """\
macros:
  common: --ctx-size 4096
models:
  small:
    cmd: llama-server --port ${PORT} -m /small.gguf ${common}
  other:
    cmd: llama-server --port ${PORT} -m /other.gguf ${common}
"""
CHANGED = CONFIG.replace("4096", "8192")
CLOCK = Clock(lambda: 0.0, lambda: 1_790_000_000.0)


class FakeServer:
    """Runs `small` by the context size that its config file had when it was last read."""

    def __init__(self, config: Path) -> None:
        self._config = config
        self._reloaded = asyncio.Event()
        self.is_stubborn = False
        self.fails_to_reload = False
        self.refuses = ""
        self.restarts = 0
        self._context_size = "4096"
        self.pinned: frozenset[int] | ServerError | None = None
        self.poll_error: ServerError | None = None

    def read_file(self) -> None:
        """Reload, by whatever made it do so."""
        if not self.is_stubborn:
            self._context_size = "8192" if "8192" in self._config.read_text() else "4096"
        self._reloaded.set()
        self._reloaded = asyncio.Event()

    @property
    def snapshot(self) -> Snapshot:
        """One model that is ready."""
        command = f"llama-server -m /small.gguf --ctx-size {self._context_size}"
        model = Model("small", state=RunState.READY, command=command)
        return Snapshot(ConnectionStatus(ConnectionPhase.LIVE, error=self.poll_error), (model,))

    @asynccontextmanager
    async def events(self) -> AsyncIterator[AsyncIterator[None]]:
        """A stream that ends at the next reload."""
        reloaded = self._reloaded

        nothing: tuple[None, ...] = ()

        async def stream() -> AsyncIterator[None]:
            await reloaded.wait()
            for event in nothing:
                yield event

        yield stream()

    async def health(self) -> None:
        """It is well."""

    @asynccontextmanager
    async def log(self, name: str, *, history: bool) -> AsyncIterator[AsyncIterator[str]]:
        """Its proxy log from now on, cut anywhere."""
        assert (name, history) == ("proxy", False)
        end = self._reloaded

        async def pieces() -> AsyncIterator[str]:
            while not end.is_set():
                if self.refuses:
                    yield "[INFO] reloading configuration\n[WARN] failed to rel"
                    yield f"oad config: {self.refuses}\n"
                await asyncio.sleep(0)

        yield pieces()

    async def context_sizes(self, _model_id: str) -> frozenset[int]:
        """What its program says of itself."""
        if isinstance(self.pinned, ServerError):
            raise self.pinned
        return frozenset({int(self._context_size)}) if self.pinned is None else self.pinned


@dataclass
class FakeService:
    """Its unit."""

    server: FakeServer
    config: Path
    unit: str = "llama-swap.service"
    is_deaf: bool = False
    refuses: str = ""
    watches: bool = False

    async def find_config_error(self, _facts: UnitInfo, _path: str) -> str:
        """What its llama-swap says of a new file."""
        return self.refuses

    async def facts(self) -> UnitInfo:
        """A server that doesn't watch its file."""
        words = ("llama-swap", "-config", str(self.config), *(["-watch-config"] * self.watches))
        return UnitInfo(self.unit, exec_start=words)

    async def reload(self) -> None:
        """Send SIGHUP."""
        if self.server.fails_to_reload:
            raise ServiceFailed("The reload failed")
        if not self.is_deaf and not self.server.refuses:
            self.server.read_file()

    async def restart(self) -> UnitInfo:
        """Start it again."""
        self.server.restarts += 1
        self.server.read_file()
        return replace(await self.facts(), main_pid=1234)

    async def find_failure(self) -> None:
        """It runs."""


@dataclass
class FakeMonitor:
    """Sees the server at once."""

    server: FakeServer

    @property
    def snapshot(self) -> Snapshot:
        """The server as it is."""
        return self.server.snapshot

    def refresh(self) -> None:
        """There is nothing to refresh."""

    async def poll_now(self) -> Snapshot:
        """The server as it is."""
        return self.snapshot

    async def wait_until(
        self, condition: Callable[[Snapshot], bool], _limit: float | None
    ) -> Snapshot:
        """Nothing has to be waited for."""
        assert condition(self.snapshot)
        return self.snapshot

    async def expect_unload(self, *_: str) -> None:
        """Nothing vanishes."""

    async def expect_restart(self, _by: float | None) -> None:
        """A restart takes no time."""


@dataclass
class FakeSession:
    """What a job needs of a session."""

    server: Server
    client: FakeServer
    monitor: FakeMonitor

    clock: Clock = CLOCK

    @property
    def snapshot(self) -> Snapshot:
        """The server as it is."""
        return self.monitor.snapshot


@dataclass
class FakeFrontend:
    """Answers by its lists, and keeps what it is shown."""

    plan_answers: list[PlanAnswer] = field(default_factory=list)
    answers: list[bool] = field(default_factory=list)
    plans: list[ChangePlan] = field(default_factory=list)
    confirmations: list[Confirmation] = field(default_factory=list)
    titles: list[str] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    steps: Steps = field(default_factory=Steps)
    results: list[JobResult] = field(default_factory=list)

    async def ask(self, build: Callable[[Snapshot], Confirmation]) -> bool:
        """Answer the next confirmation."""
        self.confirmations.append(build(Snapshot()))
        return self.answers.pop(0)

    async def confirm_plan(self, plan: ChangePlan) -> PlanAnswer:
        """Answer the next plan."""
        self.plans.append(plan)
        return self.plan_answers.pop(0)

    def begin(self, title: str, model: str) -> Callable[[Steps], None]:
        """Keep the steps of a job."""
        self.titles.append(title)
        self.models.append(model)

        def show(steps: Steps) -> None:
            self.steps = steps

        return show

    def finish(self, result: JobResult) -> None:
        """Keep the result."""
        self.results.append(result)

    @property
    def states(self) -> set[StepState]:
        """The states of the last job's steps."""
        return {step.state for step in self.steps.steps}


@dataclass
class Setting:
    """A config file, its server, and a runner in front of a frontend."""

    config: Path
    server: FakeServer
    frontend: FakeFrontend
    runner: ConfigRunner

    def start(self, *plan_answers: PlanAnswer, answers: tuple[bool, ...] = ()) -> ConfigRunner:
        """The runner, in front of a frontend that answers so."""
        self.frontend.plan_answers = list(plan_answers)
        self.frontend.answers = list(answers)
        return self.runner


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    """A config file that the server has read."""
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG)
    host, server, frontend = LocalHost(tmp_path), FakeServer(config), FakeFrontend()
    settings = Server("http://box", "box", preset_path=str(config), ssh_host="local")
    admin = HostAdmin(
        settings,
        host,
        ConfigFile(host, str(config), clock=CLOCK),
        cast("SystemdService", FakeService(server, config)),
        Journal.open(tmp_path / "journal"),
        CLOCK,
    )
    session = cast("Session", FakeSession(settings, server, FakeMonitor(server)))
    return Setting(config, server, frontend, ConfigRunner(admin, session, frontend))


async def test_a_confirmed_change_is_written_reloaded_and_verified(setting: Setting) -> None:
    result = await setting.start(PlanAnswer.YES).change_flag("small", "ctx-size", "8192")
    assert result is not None
    assert (result.job, result.error) == (Job.CHANGE, None)
    assert setting.config.read_text() == CHANGED
    assert setting.frontend.titles == ["Changing --ctx-size of small"]
    assert setting.frontend.models == ["small"]
    assert setting.frontend.states == {StepState.DONE}
    assert setting.frontend.results == [result]
    assert setting.frontend.confirmations == []
    (entry,) = await setting.runner.admin.journal.entries()
    assert entry.read_at == CLOCK.wall()


@pytest.mark.parametrize("reported", [{8192}, {2048, 8192}, {2176, 8704}])
async def test_a_context_shared_by_slots_or_padded_is_the_one_that_was_set(
    setting: Setting, reported: set[int]
) -> None:
    setting.server.pinned = frozenset(reported)
    result = await setting.start(PlanAnswer.YES).change_flag("small", "ctx-size", "8192")
    assert result is not None
    assert result.error is None
    assert "runs with a context of 8,192 tokens" in setting.frontend.steps.steps[-1].words


async def test_a_program_that_ignores_the_flag_is_not_verified(setting: Setting) -> None:
    setting.server.pinned = frozenset({4096})
    runner = setting.start(PlanAnswer.YES, answers=(False,))
    result = await runner.change_flag("small", "ctx-size", "8192")
    assert result is not None
    assert isinstance(result.error, ConfigNotApplied)
    assert "runs with a context of 4,096 tokens, not 8,192" in result.error.what


@pytest.mark.parametrize("reported", [frozenset(), NotSupported("404", status=404)])
async def test_a_program_that_reports_no_context_is_not_called_verified(
    setting: Setting, reported: frozenset[int] | ServerError
) -> None:
    setting.server.pinned = reported
    result = await setting.start(PlanAnswer.YES).change_flag("small", "ctx-size", "8192")
    assert result is not None
    assert result.error is None
    words = setting.frontend.steps.steps[-1].words
    assert words == "not verified: the program doesn't report its context"


OUTAGES = [
    ConnectionLost("The connection broke"),
    TimedOut("No answer"),
    ProxyError("502", status=502),
    BadResponse("GET /running returned something that can't be its JSON"),
    TooManyRequests("429", status=429),
]


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[AituiError]:
    """What the next loads fail with; they succeed after that."""
    failures: list[AituiError] = []

    async def load(_session: Session, model_id: str, _ask: object) -> LoadResult:
        if failures:
            raise failures.pop(0)
        return LoadResult(model_id, 1.0)

    monkeypatch.setattr(config_change, "load_model", load)
    monkeypatch.setattr(config_change, "RETRY_INTERVAL", 0.0)
    return failures


@pytest.mark.parametrize("outage", OUTAGES)
async def test_a_short_outage_does_not_end_a_good_change(
    setting: Setting, loads: list[AituiError], outage: AituiError
) -> None:
    loads += [outage, outage]
    result = await setting.start(PlanAnswer.YES).change_flag("small", "ctx-size", "8192")
    assert result is not None
    assert result.error is None
    assert (loads, setting.frontend.confirmations) == ([], [])
    assert setting.config.read_text() == CHANGED


async def test_a_poll_that_fails_with_any_status_does_not_end_a_good_change(
    setting: Setting, loads: list[AituiError]
) -> None:
    setting.server.poll_error = ServerError("oops", status=500)
    loads.append(setting.server.poll_error)
    result = await setting.start(PlanAnswer.YES).change_flag("small", "ctx-size", "8192")
    assert result is not None
    assert (result.error, setting.frontend.confirmations) == (None, [])


async def test_a_long_outage_offers_no_rollback(
    setting: Setting, loads: list[AituiError], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config_change, "OUTAGE_SECONDS", 0.0)
    loads += OUTAGES[:1]
    result = await setting.start(PlanAnswer.YES).change_flag("small", "ctx-size", "8192")
    assert result is not None
    assert isinstance(result.error, ConnectionLost)
    assert setting.frontend.confirmations == []
    assert setting.config.read_text() == CHANGED


async def test_a_load_that_failed_is_not_tried_again_but_rolled_back(
    setting: Setting, loads: list[AituiError]
) -> None:
    loads.append(LoadFailed("small could not be loaded", why="out of memory"))
    runner = setting.start(PlanAnswer.YES, answers=(True,))
    await runner.change_flag("small", "ctx-size", "8192")
    assert [result.job for result in setting.frontend.results] == [Job.CHANGE, Job.ROLLBACK]
    assert setting.config.read_text() == CONFIG


async def test_what_the_llama_swap_of_the_host_refuses_is_not_written(setting: Setting) -> None:
    cast("FakeService", setting.runner.admin.service).refuses = "model small: 8192 is too much"
    result = await setting.start(PlanAnswer.YES).change_flag("small", "ctx-size", "8192")
    assert result is not None
    assert isinstance(result.error, ConfigRefused)
    assert "8192 is too much" in result.error.why
    assert setting.config.read_text() == CONFIG
    assert (result.written, setting.frontend.confirmations) == (None, [])


async def test_a_change_that_is_cancelled_is_settled_at_once(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    checking = asyncio.Event()

    async def hang(_service: FakeService, _facts: UnitInfo, _path: str) -> str:
        checking.set()
        await asyncio.Event().wait()
        return ""

    monkeypatch.setattr(FakeService, "find_config_error", hang)
    runner = setting.start(PlanAnswer.YES)
    change = asyncio.create_task(runner.change_flag("small", "ctx-size", "8192"))
    await checking.wait()
    assert await recover_changes(runner.admin) == ()
    change.cancel()
    await asyncio.wait({change})
    (sentence,) = await recover_changes(runner.admin)
    assert "was interrupted: the old file is in place" in sentence
    assert await recover_changes(runner.admin) == ()


async def test_no_to_the_plan_begins_nothing(setting: Setting) -> None:
    assert await setting.start(PlanAnswer.NO).change_flag("small", "ctx-size", "8192") is None
    assert setting.config.read_text() == CONFIG
    assert setting.frontend.titles == []


async def test_a_plan_parses_the_old_and_the_new_text_once(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[str] = []
    parse = yaml_tree._parse_tree

    def note(text: str) -> yaml_tree.Node | None:
        parsed.append(text)
        return parse(text)

    monkeypatch.setattr(yaml_tree, "_parse_tree", note)
    plan = await plan_change(setting.runner.admin, flag_edit("small", "ctx-size", "8192"))
    assert parsed == [CONFIG, plan.change.after]


async def test_the_value_that_stands_already_unloads_nothing(setting: Setting) -> None:
    with pytest.raises(ValueUnchanged, match="It is 4096 already"):
        await setting.start().change_flag("small", "ctx-size", "4096")
    assert (setting.frontend.plans, setting.frontend.titles) == ([], [])


async def test_a_value_that_only_runs_otherwise_is_offered_as_a_reload(setting: Setting) -> None:
    setting.config.write_text(CHANGED)
    result = await setting.start(answers=(True,)).change_flag("small", "ctx-size", "8192")
    assert result == JobResult(Job.RELOAD)
    assert setting.frontend.plans == []
    assert setting.config.read_text() == CHANGED


async def test_only_this_model_is_planned_again_without_the_others(setting: Setting) -> None:
    runner = setting.start(PlanAnswer.ONLY_THIS_MODEL, PlanAnswer.YES)
    result = await runner.change_flag("small", "ctx-size", "8192")
    shared, alone = setting.frontend.plans
    assert (shared.change.also, alone.change.also) == (("other",), ())
    assert result is not None
    assert result.plan is alone
    assert "common: --ctx-size 4096" in setting.config.read_text()


async def test_a_change_without_effect_is_rolled_back_if_that_is_wanted(setting: Setting) -> None:
    setting.server.is_stubborn = True
    runner = setting.start(PlanAnswer.YES, answers=(True,))
    result = await runner.change_flag("small", "ctx-size", "8192")
    assert setting.config.read_text() == CONFIG
    assert setting.frontend.titles[1:] == ["Putting the old value back"]
    (failed, rolled_back) = setting.frontend.results
    assert result is failed
    assert isinstance(failed.error, ConfigNotApplied)
    assert (rolled_back.job, rolled_back.error) == (Job.ROLLBACK, None)
    assert rolled_back.cause is failed.error


async def test_a_change_without_effect_stays_if_the_rollback_is_declined(setting: Setting) -> None:
    setting.server.is_stubborn = True
    runner = setting.start(PlanAnswer.YES, answers=(False,))
    result = await runner.change_flag("small", "ctx-size", "8192")
    assert result is not None
    assert isinstance(result.error, ConfigNotApplied)
    assert setting.config.read_text() == CHANGED
    assert setting.frontend.results == [result]


async def test_a_rollback_that_fails_is_the_result(setting: Setting) -> None:
    setting.server.fails_to_reload = True
    # No restart instead, put the old value back, no restart instead.
    runner = setting.start(PlanAnswer.YES, answers=(False, True, False))
    result = await runner.change_flag("small", "ctx-size", "8192")
    assert result is not None
    assert result.job is Job.ROLLBACK
    assert isinstance(result.error, ServiceFailed)
    assert setting.config.read_text() == CONFIG
    assert setting.server.restarts == 0


async def test_a_change_by_someone_else_meanwhile_is_a_result_and_offers_no_rollback(
    setting: Setting,
) -> None:
    theirs = CONFIG + "# theirs\n"
    frontend = setting.frontend

    class Slow(FakeFrontend):
        async def confirm_plan(self, plan: ChangePlan) -> PlanAnswer:
            setting.config.write_text(theirs)
            return await super().confirm_plan(plan)

    slow = Slow([PlanAnswer.YES])
    result = await replace(setting.runner, frontend=slow).change_flag("small", "ctx-size", "8192")
    assert result is not None
    assert result.error is not None
    assert result.written is None
    assert setting.config.read_text() == theirs
    assert (slow.confirmations, frontend.results) == ([], [])


async def test_a_reload_while_the_question_is_open_is_no_sign_of_the_change(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reload, "RELOAD_SECONDS", 0.1)
    cast("FakeService", setting.runner.admin.service).is_deaf = True

    class Slow(FakeFrontend):
        async def confirm_plan(self, plan: ChangePlan) -> PlanAnswer:
            await asyncio.sleep(0.01)
            setting.server.read_file()
            await asyncio.sleep(0.01)
            return await super().confirm_plan(plan)

    # No restart instead, and the new value stays.
    slow = Slow([PlanAnswer.YES], [False, False])
    result = await replace(setting.runner, frontend=slow).change_flag("small", "ctx-size", "8192")
    assert result is not None
    assert isinstance(result.error, ConfigNotApplied)
    assert "does not seem to have reloaded" in result.error.what


async def test_without_a_session_a_change_is_only_written(setting: Setting) -> None:
    setting.start(PlanAnswer.YES)
    runner = replace(setting.runner, session=None)
    result = await runner.change_flag("small", "ctx-size", "8192")
    assert result is not None
    assert result.error is None
    assert setting.config.read_text() == CHANGED
    assert setting.frontend.states == {StepState.DONE, StepState.SKIPPED}


async def test_undo_names_the_change_and_takes_it_back(setting: Setting) -> None:
    await setting.start(PlanAnswer.YES).change_flag("small", "ctx-size", "8192")
    result = await setting.start(answers=(True,)).undo(lambda at: f"at {at:.0f}")
    assert result is not None
    assert (result.job, result.error) == (Job.UNDO, None)
    assert result.entry is not None
    assert (result.entry.old, result.entry.new) == ("4096", "8192")
    (confirmation,) = setting.frontend.confirmations
    assert "made at 1790000000: small  --ctx-size 4096 → 8192" in confirmation.facts[0]
    ours, theirs = (line.split() for line in confirmation.diff if line[0] in "-+")
    assert ("8192" in " ".join(ours), "4096" in " ".join(theirs)) == (True, True)
    assert setting.config.read_text() == CONFIG


async def test_undo_is_refused_before_anything_is_asked_if_nothing_may_change(
    setting: Setting,
) -> None:
    admin = setting.runner.admin
    admin = replace(admin, server=replace(admin.server, read_only=True))
    with pytest.raises(ActionRefused, match="read-only"):
        await replace(setting.runner, admin=admin).undo(str)
    assert setting.frontend.confirmations == []


async def test_a_reload_is_confirmed_and_followed(setting: Setting) -> None:
    assert await setting.start(answers=(False,)).reload() is None
    result = await setting.start(answers=(True,)).reload()
    assert result == JobResult(Job.RELOAD)
    assert setting.frontend.titles == ["Reloading the config file"]
    assert setting.frontend.states == {StepState.DONE}


async def test_a_refusal_in_the_proxy_log_is_reported_without_a_wait_or_a_restart(
    setting: Setting,
) -> None:
    setting.server.refuses = "failed to parse config run/a.yaml: yaml: line 103: did not find ','"
    result = await setting.start(answers=(True,)).reload()
    assert result is not None
    assert isinstance(result.error, ConfigRefused)
    assert "a.yaml: yaml: line 103: did not find" in result.error.why
    assert setting.server.restarts == 0


async def test_a_watched_file_that_is_refused_is_reported_without_a_wait_or_a_signal(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reload, "FILE_WATCH_SECONDS", 3600.0)
    service = cast("FakeService", setting.runner.admin.service)
    service.watches, setting.server.fails_to_reload = True, True
    setting.server.refuses = "yaml: line 103: did not find ','"
    async with asyncio.timeout(20):
        runner = setting.start(PlanAnswer.YES, answers=(False,))
        result = await runner.change_flag("small", "ctx-size", "8192")
    assert result is not None
    assert isinstance(result.error, ConfigRefused)
    assert "line 103" in result.error.why


async def test_a_reload_into_a_broken_file_is_refused_before_it_is_confirmed(
    setting: Setting,
) -> None:
    setting.config.write_text("models: [nonsense\n")
    with pytest.raises(ConfigRefused):
        await setting.start().reload()
    assert setting.frontend.confirmations == []


async def test_a_restart_is_confirmed_and_followed(setting: Setting) -> None:
    result = await setting.start(answers=(True,)).restart()
    assert result == JobResult(Job.RESTART)
    assert setting.frontend.titles == ["Restarting llama-swap.service"]
    assert setting.server.restarts == 1


async def test_a_failed_reload_offers_a_restart_of_its_own(setting: Setting) -> None:
    setting.server.fails_to_reload = True
    result = await setting.start(answers=(True, True)).reload()
    assert result == JobResult(Job.RELOAD)
    assert setting.server.restarts == 1
    assert "Restart llama-swap.service instead?" in setting.frontend.confirmations[1].title


async def test_neither_a_removal_nor_the_undo_of_an_addition_promises_a_load(
    setting: Setting,
) -> None:
    added = setting.config.with_name("new.gguf")
    added.write_bytes(BIG)
    plan = await plan_model_block(setting.runner.admin, str(added))
    await setting.start(PlanAnswer.YES, answers=(False,)).change(plan)
    removal = await plan_removal(setting.runner.admin, "new")
    assert "Then new is loaded" not in str(change_confirmation(removal, Snapshot()).facts)
    assert "Then new is loaded" in str(change_confirmation(plan, Snapshot()).facts)
    result = await setting.start(answers=(True,)).undo(str)
    assert result is not None
    assert result.error is None
    assert "Then new is loaded" not in str(setting.frontend.confirmations[-1].facts)
    assert setting.config.read_text() == CONFIG
