"""Other flags than the context size, and values that several models share."""

from pathlib import Path

import pytest

from cli.command_line import CommandLine
from e2e.config_change.answering import running_commands
from e2e.config_change.conftest import Administered
from e2e.service.user_manager import CONFIG, UserManager, python_path
from ui.driven import driven

SHARED = """\
macros:
  common: --n-gpu-layers 99 --ctx-size 32768
models:
  one:
    cmd: /opt/llama.cpp/llama-server --port ${PORT} --model /models/one.gguf ${common}
    aliases: [first]
  two:
    cmd: /opt/llama.cpp/llama-server --port ${PORT} --model /models/two.gguf ${common}
"""


@pytest.fixture
def shell(on_this_machine: Administered) -> CommandLine:
    """A user of the server of this machine."""
    line = CommandLine.towards(on_this_machine.server, on_this_machine.home)
    line.environment["AI_SERVER_SSH_HOST"] = "local"
    return line


async def test_a_flag_is_changed_by_its_name_and_proven(
    on_this_machine: Administered, shell: CommandLine
) -> None:
    outcome = await shell.run("flag", "small", "-ngl", "42", "--yes")
    assert outcome.status == 0, outcome.err
    assert "runs with --n-gpu-layers 42" in outcome.err
    assert on_this_machine.config.read_text() == CONFIG.replace("layers 99", "layers 42")


async def test_an_absent_flag_is_added_and_undo_takes_it_out_again(
    on_this_machine: Administered, shell: CommandLine
) -> None:
    assert (await shell.run("flag", "small", "temp", "0.6", "--yes")).status == 0
    assert "131072 --temp 0.6\n" in on_this_machine.config.read_text()
    assert "--temp 0.6" in (await running_commands(on_this_machine.server.url))["small"]
    undone = await shell.run("undo", "--yes")
    assert undone.status == 0, undone.err
    assert on_this_machine.config.read_text() == CONFIG


async def test_ttl_is_a_key_of_its_own(on_this_machine: Administered, shell: CommandLine) -> None:
    outcome = await shell.run("flag", "small", "ttl", "300", "--yes")
    assert outcome.status == 0, outcome.err
    assert "    ttl: 300\n" in on_this_machine.config.read_text()


async def test_the_prompt_changes_flags_as_well(
    on_this_machine: Administered, tmp_path: Path
) -> None:
    async with driven(on_this_machine.server, tmp_path / "aitui", size=(120, 36)) as app:
        await app.see("small")
        app.go_to("small")
        await app.press("enter")
        await app.until(lambda: app.models.chat.prompt.has_focus)
        await app.press(*"/flag small temp 0.6", "enter")
        await app.armed()
        await app.see("131072 --temp 0.6")
        await app.answer("y")
        await app.see("✓ verify", "runs with --temp 0.6")


async def test_who_shares_a_value_is_named_and_can_be_left_out(
    on_this_machine: Administered, shell: CommandLine
) -> None:
    on_this_machine.config.write_text(SHARED)
    asked = await shell.run("ctx", "one", "64k", "--no-reload")
    assert asked.status == 6
    assert "shared: two would change as well" in asked.err
    alone = await shell.run("ctx", "first", "64k", "--no-reload", "--only", "--yes")
    assert alone.status == 0, alone.err
    text = on_this_machine.config.read_text()
    assert "common: --n-gpu-layers 99 --ctx-size 32768" in text
    assert "one.gguf ${common} --ctx-size 65536" in text


@pytest.mark.parametrize("job", [("ctx", "one", "64k"), ("flag", "one", "n-gpu-layers", "10")])
async def test_yes_answers_for_the_named_model_only(
    on_this_machine: Administered, shell: CommandLine, job: tuple[str, ...]
) -> None:
    on_this_machine.config.write_text(SHARED)
    refused = await shell.run(*job, "--no-reload", "--yes")
    assert refused.status == 6
    assert "another model would change as well: two" in refused.err
    assert on_this_machine.config.read_text() == SHARED
    shared = await shell.run(*job, "--no-reload", "--yes", "--shared")
    assert shared.status == 0, shared.err
    assert job[-1].replace("64k", "65536") in on_this_machine.config.read_text()


async def test_all_models_that_would_change_are_named(
    on_this_machine: Administered, shell: CommandLine
) -> None:
    names = [f"model-{number:03}" for number in range(130)]
    blocks = (f"  {name}:\n    cmd: llama-server --port ${{PORT}} ${{all}}\n" for name in names)
    text = "macros:\n  all: --ctx-size 8192\nmodels:\n" + "".join(blocks)
    on_this_machine.config.write_text(text)
    refused = await shell.run("ctx", names[0], "16k", "--no-reload", "--yes")
    assert refused.status == 6
    assert [name for name in names[1:] if name not in refused.err] == []
    assert on_this_machine.config.read_text() == text


async def test_only_and_shared_exclude_each_other(
    on_this_machine: Administered, shell: CommandLine
) -> None:
    outcome = await shell.run("ctx", "small", "64k", "--yes", "--only", "--shared")
    assert outcome.status == 2
    assert on_this_machine.config.read_text() == CONFIG


async def test_what_cannot_be_changed_safely_is_refused_with_its_line(
    on_this_machine: Administered, shell: CommandLine
) -> None:
    text = "models:\n  one:\n    cmd: bash -c 'llama-server --port ${PORT} -c 4096'\n"
    on_this_machine.config.write_text(text)
    outcome = await shell.run("ctx", "one", "8192", "--no-reload", "--yes")
    assert outcome.status == 1
    assert "line 3" in outcome.err.lower()
    assert on_this_machine.config.read_text() == text


@pytest.mark.real_server("systemd")
@pytest.mark.real_server("openssh-server")
async def test_a_service_that_cannot_be_reloaded_is_restarted_after_a_question(
    over_ssh: Administered, systemd: UserManager, tmp_path: Path
) -> None:
    unit = systemd.unit_file.read_text()
    program = unit.partition("ExecStart=")[2].partition("\n")[0]
    # An executable of another name is none that SIGHUP is sent to.
    by_python = program.replace("%h/bin/llama-swap", f"{python_path()} -B %h/bin/llama-swap")
    systemd.write_unit(unit.replace(program, by_python))
    systemd.systemctl("restart", "llama-swap.service")
    systemd.until_it_answers()
    async with driven(over_ssh.server, tmp_path / "aitui") as app:
        await app.see("small")
        app.go_to("small")
        await app.press("c", *"131072", "enter")
        await app.answer("y")
        await app.see("Restart llama-swap.service instead?")
        await app.answer("y")
        await app.see("✓ verify", "by a restart")
    assert "--ctx-size 131072" in (await running_commands(over_ssh.server.url))["small"]
