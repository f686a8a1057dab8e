"""The whole check-up against a server with client certificates."""

import pytest

from aitui.domain.checks import CheckResult, CheckStage, CheckStatus, exit_code
from aitui.domain.snapshot import Server
from aitui.errors import SettingsError
from aitui.format.doctor import as_json, as_text
from aitui.services.doctor.run import examine
from aitui.settings import Settings
from aitui.ui.keymap import remedy_text
from catalogue import each_dialect
from services.doctor.examined import NO_TERMINAL, REAL_CLOCK, examined, in_terminal
from stand_in import StandIn


@each_dialect
async def test_nothing_is_wrong_with_a_server_that_works(server: Server) -> None:
    report = await examined(server)
    assert report.failed == []
    assert exit_code(report.checks) == 0


async def test_a_server_without_a_loaded_model_is_reported_with_the_key_and_the_command(
    server: Server,
) -> None:
    check = (await examined(server))["models loaded"]
    assert "none is loaded" in check.seen
    assert check.shell_remedy == "load one (aitui load ID)"
    assert remedy_text(check) == "load one (l)"


@each_dialect
async def test_it_changes_nothing_and_asks_nothing_below_upstream(
    stand_in: StandIn, server: Server
) -> None:
    await examined(server)
    assert {request.method for request in stand_in.requests} == {"GET"}
    assert not [request.path for request in stand_in.requests if "upstream" in request.path]


async def test_each_stage_is_told_before_its_checks(server: Server) -> None:
    settings = Settings(server, (server,))
    items = [item async for item in examine(settings, NO_TERMINAL, REAL_CLOCK)]
    stages = [item for item in items if isinstance(item, CheckStage)]
    assert [stage.number for stage in stages] == list(range(1, stages[0].of + 1))
    assert isinstance(items[0], CheckStage)
    assert isinstance(items[-1], CheckResult)


async def test_settings_that_cant_be_used_leave_only_the_terminal_to_look_at() -> None:
    error = SettingsError("AI_SERVER_TIMEOUT_MS=x (environment): expected a whole number")
    report = await examined(error, terminal=in_terminal({"TERM": "xterm", "LANG": "C.UTF-8"}))
    assert report.failed == ["settings"]
    assert report["settings"].seen == str(error)
    assert "terminal size" in report
    assert exit_code(report.checks) == 2


async def test_a_stopped_server_leaves_later_checks_open(stand_in: StandIn, server: Server) -> None:
    await stand_in.stop()
    report = await examined(server)
    assert report.failed == ["TCP"]
    for name in ("TLS", "/health", "/v1/models", "/running", "/api/events", "version"):
        assert report.status(name) is CheckStatus.OPEN
        assert "refuses connections" in report[name].seen
    assert exit_code(report.checks) == 3


@pytest.mark.parametrize("render", [as_text, as_json])
async def test_no_report_shows_a_secret(server: Server, render: object) -> None:
    from msgspec.structs import replace

    secret = "s3cr3t-value"
    guarded = replace(
        server, api_key=secret, client_key_password=secret, basic_auth=("somebody", secret)
    )
    report = await examined(guarded)
    assert "api_key" in render(report.checks)  # type: ignore[operator]
    assert secret not in render(report.checks)  # type: ignore[operator]
