"""Reload and restart from the keys: asked first, watched to the end, explained where they fail."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from aitui.cli.arguments import Arguments
from aitui.cli.session import terminal_ask
from aitui.domain.progress import ProgressTracker
from aitui.errors import ConfigNotApplied, ConfigRefused, ServiceFailed
from aitui.paths import Paths
from aitui.services import reload as take_effect
from aitui.services.host_admin import open_administration
from aitui.services.reload import RELOADING, RESTARTING, reload_server, restart_server
from cli.command_line import CommandLine
from e2e.config_change.answering import asked, running_commands
from e2e.config_change.conftest import Administered
from e2e.service.user_manager import CONFIG, UNIT, UNIT_TEXT, UserManager
from ui.driven import driven
from watched import watched

pytestmark = [
    pytest.mark.real_server("systemd"),
    pytest.mark.real_server("openssh-server"),
]

BAD_YAML = "models: [nonsense\n"


def main_pid(systemd: UserManager) -> str:
    """The number of the process that the unit runs, `0` where it runs none."""
    return systemd.systemctl("show", "-p", "MainPID", "--value", UNIT)


def shell_of(over_ssh: Administered) -> CommandLine:
    """A user whose environment names the server and its machine."""
    shell = CommandLine.towards(over_ssh.server, over_ssh.home)
    shell.environment["AI_SERVER_SSH_HOST"] = over_ssh.server.ssh_host
    return shell


def assert_untouched(systemd: UserManager, before: str) -> None:
    """The server serves on, and was sent nothing."""
    assert main_pid(systemd) == before
    assert systemd.answers()
    assert b"SIGHUP" not in asked(f"{systemd.url}/logs")


async def test_a_newer_file_is_pointed_out_and_reloaded_with_one_key(
    over_ssh: Administered, systemd: UserManager, tmp_path: Path
) -> None:
    await asyncio.sleep(2.1)  # later than the start by what systemd and file systems round away
    systemd.write_config(CONFIG.replace("65536", "98304"))
    async with driven(over_ssh.server, tmp_path / "aitui", size=(120, 36)) as app:
        await app.see("the server still runs an older version", "H reload")
        await app.press("H")
        await app.answer("y")
        await app.see("✓ reload", "✓ answer")
        await app.press("escape")
        await app.unsee("the server still runs an older version")


async def test_restart_names_whose_model_goes_and_waits_until_it_answers(
    over_ssh: Administered, systemd: UserManager, tmp_path: Path
) -> None:
    before = systemd.systemctl("show", "-p", "MainPID", "--value", "llama-swap.service")
    async with driven(over_ssh.server, tmp_path / "aitui") as app:
        await app.see("small")
        app.go_to("small")
        await app.press("l")
        await app.until_ready("small")
        await app.press("R")
        await app.armed()
        await app.see("Restart llama-swap.service?", "▌small", "No active requests.")
        await app.answer("y")
        await app.see("✓ restart", "✓ answer")
    after = systemd.systemctl("show", "-p", "MainPID", "--value", "llama-swap.service")
    assert before != after
    assert not await running_commands(over_ssh.server.url)


async def test_a_unit_that_does_not_come_up_is_explained_with_its_journal(
    over_ssh: Administered, systemd: UserManager, tmp_path: Path
) -> None:
    systemd.write_unit(UNIT_TEXT.replace("-listen", "-listens"))
    async with driven(over_ssh.server, tmp_path / "aitui", size=(120, 36)) as app:
        await app.see("small")
        await app.press("R")
        await app.answer("y")
        await app.see("✘", "its command has a flag that is unknown: -listens", "| ")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (BAD_YAML, 2, "while parsing a flow"),
        (CONFIG.replace("1800", "soon"), 2, "globalTTL takes a whole number."),
    ],
    ids=["yaml", "value"],
)
@pytest.mark.parametrize("command", ["reload", "restart"])
async def test_no_command_leads_into_a_file_that_llama_swap_refuses(
    over_ssh: Administered, systemd: UserManager, command: str, text: str, line: int, words: str
) -> None:
    before = main_pid(systemd)
    systemd.write_config(text)
    outcome = await shell_of(over_ssh).run(command, "--yes")
    assert outcome.status == 1
    assert f"/mnt/home/.config/llama-swap/config.yaml:{line}:" in outcome.err
    assert words in outcome.err
    assert "aitui preset" in outcome.err
    assert_untouched(systemd, before)


@pytest.mark.parametrize("key", ["H", "R"])
async def test_no_key_leads_into_a_file_that_llama_swap_refuses(
    over_ssh: Administered, systemd: UserManager, tmp_path: Path, key: str
) -> None:
    before = main_pid(systemd)
    async with driven(over_ssh.server, tmp_path / "aitui", size=(120, 36)) as app:
        await app.see("small")
        systemd.write_config(BAD_YAML)
        await app.press(key)
        await app.told("config.yaml:2:1: while parsing a flow")
        assert not app.asking
    assert_untouched(systemd, before)


async def test_a_file_that_is_spoilt_while_the_question_is_open_is_refused(
    over_ssh: Administered, systemd: UserManager, tmp_path: Path
) -> None:
    before = main_pid(systemd)
    async with driven(over_ssh.server, tmp_path / "aitui", size=(120, 36)) as app:
        await app.see("small")
        await app.press("R")
        await app.armed()
        systemd.write_config(BAD_YAML)
        await app.answer("y")
        await app.see("✘ check", "config.yaml:2:1: while parsing a flow")
    assert_untouched(systemd, before)


async def test_what_is_wrong_and_not_fatal_does_not_stand_in_the_way(
    over_ssh: Administered, systemd: UserManager
) -> None:
    before = main_pid(systemd)
    systemd.write_config(CONFIG.replace("globalTTL: 1800", "globlTTL: 1800"))
    outcome = await shell_of(over_ssh).run("reload", "--yes")
    assert outcome.status == 0, outcome.err
    outcome = await shell_of(over_ssh).run("restart", "--yes")
    assert outcome.status == 0, outcome.err
    assert main_pid(systemd) != before


async def test_the_file_that_the_unit_names_is_checked(
    over_ssh: Administered, systemd: UserManager
) -> None:
    other = systemd.config.with_name("other.yaml")
    systemd.write_unit(UNIT_TEXT.replace("config.yaml", other.name))
    other.write_text(CONFIG)
    systemd.systemctl("restart", UNIT)
    systemd.until_it_answers()
    before = main_pid(systemd)
    other.write_text(BAD_YAML)
    outcome = await shell_of(over_ssh).run("restart", "--yes")
    assert (outcome.status, main_pid(systemd)) == (1, before)
    assert f"{other.name}:2:1: while parsing a flow sequence" in outcome.err
    other.unlink()
    outcome = await shell_of(over_ssh).run("restart", "--yes")
    assert (outcome.status, main_pid(systemd)) == (1, before)
    assert f"/mnt/home/.config/llama-swap/{other.name} on box: No such file" in outcome.err
    other.write_text(CONFIG)
    systemd.write_config(BAD_YAML)
    outcome = await shell_of(over_ssh).run("restart", "--yes")
    assert outcome.status == 0, outcome.err


@pytest.fixture
def deaf(over_ssh: Administered, systemd: UserManager) -> Iterator[None]:
    """The unit's llama-swap takes SIGHUP and gives no sign; what answers is another unit's."""
    server = UNIT_TEXT.format(port=systemd.port)
    systemd.copy_program("/bin/sleep", "programs/llama-swap")
    command = "trap '' HUP; exec /mnt/home/programs/llama-swap 100"
    systemd.write_unit(f'[Service]\nExecStart=/bin/sh -c "{command}"\n')
    systemd.write_unit(server, "another.service")
    systemd.systemctl("restart", UNIT, "another.service")
    systemd.until_it_answers()
    yield
    systemd.systemctl("stop", UNIT, "another.service")


@pytest.mark.usefixtures("deaf")
async def test_yes_to_a_reload_is_no_yes_to_a_restart(
    over_ssh: Administered,
    systemd: UserManager,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(take_effect, "RELOAD_SECONDS", 0.5)
    before = main_pid(systemd)
    async with (
        watched(over_ssh.server, tmp_path / "state") as watch,
        open_administration(
            over_ssh.server, Paths.below(tmp_path / "aitui"), watch.session.clock
        ) as admin,
    ):
        await watch.until_events_flow()
        ask = terminal_ask(Arguments(command="reload", yes=True), lambda: watch.snapshot)
        progress = ProgressTracker(watch.session.clock, lambda _: None, *RELOADING)
        with pytest.raises(ConfigNotApplied, match="does not seem to have reloaded") as failed:
            await reload_server(admin, watch.session, progress, ask)
    assert "aitui restart" in failed.value.shell_remedy
    assert main_pid(systemd) == before


async def test_what_only_llama_swap_refuses_is_said_in_its_words(
    over_ssh: Administered,
    systemd: UserManager,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(take_effect, "find_diagnostics", lambda *_: ())
    before = main_pid(systemd)
    async with (
        watched(over_ssh.server, tmp_path / "state") as watch,
        open_administration(
            over_ssh.server, Paths.below(tmp_path / "aitui"), watch.session.clock
        ) as admin,
    ):
        await watch.until_events_flow()
        systemd.write_config(BAD_YAML)
        ask = terminal_ask(Arguments(command="reload", yes=True), lambda: watch.snapshot)
        progress = ProgressTracker(watch.session.clock, lambda _: None, *RELOADING)
        with pytest.raises(ConfigRefused, match="rejected its config file") as refused:
            await reload_server(admin, watch.session, progress, ask)
        assert "line" in refused.value.why
        assert "aitui preset" in refused.value.shell_remedy
        assert main_pid(systemd) == before
        progress = ProgressTracker(watch.session.clock, lambda _: None, *RESTARTING)
        with pytest.raises(ServiceFailed) as failed:
            await restart_server(admin, watch.session, progress)
    assert "its config file was rejected" in failed.value.why
    assert "line" in failed.value.why
    assert "aitui undo" in failed.value.remedy


async def test_yes_to_a_change_is_no_yes_to_a_restart(
    over_ssh: Administered, systemd: UserManager
) -> None:
    systemd.write_unit(UNIT_TEXT, "another.service")
    systemd.write_unit('[Service]\nExecStart=/bin/sh -c "sleep 100; llama-swap"\n')
    systemd.systemctl("restart", UNIT, "another.service")
    systemd.until_it_answers()
    before = main_pid(systemd)
    outcome = await shell_of(over_ssh).run("ctx", "small", "131072", "--yes")
    assert outcome.status == 1
    assert "which SIGHUP would end" in outcome.err
    assert main_pid(systemd) == before
    assert over_ssh.config.read_text() == CONFIG
    systemd.systemctl("stop", UNIT, "another.service")


@pytest.mark.usefixtures("deaf")
async def test_a_restart_in_place_of_a_reload_is_a_question_of_its_own(
    over_ssh: Administered,
    systemd: UserManager,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(take_effect, "RELOAD_SECONDS", 0.5)
    before = main_pid(systemd)
    async with driven(over_ssh.server, tmp_path / "aitui", size=(120, 36)) as app:
        await app.see("small")
        await app.press("H")
        await app.answer("y")
        await app.see("The reload failed. Restart llama-swap.service instead?")
        await app.answer("n")
        await app.see("✘ reload", "does not seem to have reloaded")
        assert main_pid(systemd) == before
        await app.press("escape", "H")
        await app.answer("y")
        await app.see("Restart llama-swap.service instead?")
        systemd.write_config(BAD_YAML)
        await app.answer("y")
        await app.see("✘ reload", "config.yaml:2:1: while parsing a flow")
        assert main_pid(systemd) == before
        systemd.write_config(CONFIG)
        await app.press("escape", "H")
        await app.answer("y")
        await app.see("Restart llama-swap.service instead?")
        await app.answer("y")
        await app.see("✓ reload", "by a restart")
    assert main_pid(systemd) != before


async def test_a_user_in_a_user_unit_is_recognized(
    over_ssh: Administered, systemd: UserManager
) -> None:
    systemd.write_unit(UNIT_TEXT.replace("[Service]", "[Service]\nUser=ai-server\nGroup=ai-server"))
    outcome = await shell_of(over_ssh).run("restart", "--yes")
    assert outcome.status == 1
    assert "User=" in outcome.err
