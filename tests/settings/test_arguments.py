"""The command line, and what is said to one that makes no sense."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from aitui import __version__
from aitui.cli.args import (
    COMMANDS,
    DASHBOARD_OPTIONS,
    SERVER_OPTIONS,
    SPECS,
    _hint,
    parse,
)
from aitui.cli.arguments import Arguments
from aitui.cli.main import HANDLERS
from aitui.errors import Action
from aitui.settings import SettingsFlags


def refusal(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    with pytest.raises(SystemExit) as caught:
        parse(argv)
    assert caught.value.code == 2
    return capsys.readouterr().err


def printed(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    with pytest.raises(SystemExit) as caught:
        parse(argv)
    assert caught.value.code == 0
    return capsys.readouterr().out


def test_nothing_said_opens_the_dashboard() -> None:
    assert parse([]) == Arguments(command="tui", flags=SettingsFlags())


def test_all_settings_by_flag() -> None:
    argv = ["--config", "c.toml", "--url", "http://x", "--read-only", "--fps", "10"]
    assert parse(argv).flags == SettingsFlags(
        config=Path("c.toml"), url="http://x", read_only=True, fps=10
    )


@pytest.mark.parametrize(
    "argv",
    [
        ["--server", "home", "--read-only", "status", "--json"],
        ["status", "--json", "--server", "home", "--read-only"],
        ["--server", "home", "status", "--read-only", "--json"],
        ["--server=home", "status", "--read-only", "--json"],
    ],
)
def test_server_options_stand_before_and_after_the_command(argv: list[str]) -> None:
    expected = Arguments("status", flags=SettingsFlags(server="home", read_only=True), json=True)
    assert parse(argv) == expected


def test_load_takes_an_id() -> None:
    assert parse(["load", "org/model:7b q4", "--yes"]) == Arguments(
        "load", model="org/model:7b q4", yes=True
    )


def test_an_id_may_look_like_an_option() -> None:
    assert parse(["load", "--", "--all"]).model == "--all"


def test_unload_takes_an_id_or_all() -> None:
    assert parse(["unload", "m"]) == Arguments("unload", model="m")
    assert parse(["unload", "--all"]) == Arguments("unload", all=True)


@pytest.mark.parametrize("argv", [["unload"], ["unload", "m", "--all"]])
def test_unload_without_either_or_with_both_is_refused(
    capsys: pytest.CaptureFixture[str], argv: list[str]
) -> None:
    assert "either a model's ID or --all" in refusal(capsys, *argv)


@pytest.mark.parametrize("command", ["load", "unload"])
def test_an_empty_id_is_refused(capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert "can't be empty" in refusal(capsys, command, " ")


@pytest.mark.parametrize("argv", [["--demo", "--url", "http://x"], ["--server", "home", "--demo"]])
def test_demo_brings_its_own_server(capsys: pytest.CaptureFixture[str], argv: list[str]) -> None:
    assert "--demo has its own server" in refusal(capsys, *argv)


def test_demo_is_the_dashboard(capsys: pytest.CaptureFixture[str]) -> None:
    assert parse(["--demo", "--read-only"]).demo
    assert "without status" in refusal(capsys, "--demo", "status")


def test_server_and_url_are_refused_wherever_they_stand(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "only one of them" in refusal(capsys, "--url", "http://x", "status", "--server", "home")


@pytest.mark.parametrize(
    ("argv", "meant"),
    [
        (["statuss"], "status"),
        (["lod", "m"], "load"),
        (["unlaod", "m"], "unload"),
        (["--read-olny"], "--read-only"),
        (["status", "--jsn"], "--json"),
        (["logs", "--follwo", "m"], "--follow"),
        (["chat", "--moedl", "m"], "--model"),
    ],
)
def test_what_was_probably_meant_is_said(
    capsys: pytest.CaptureFixture[str], argv: list[str], meant: str
) -> None:
    assert f"did you mean {meant}?" in refusal(capsys, *argv)


@pytest.mark.parametrize(
    ("argv", "right"),
    [
        (
            ["logs", "--model", "llama 3"],
            "logs takes the model as an argument: aitui logs 'llama 3'",
        ),
        (["load", "-m", "qwen"], "load takes the model as an argument: aitui load qwen"),
        (["unload", "--model", "qwen"], "unload takes the model as an argument: aitui unload qwen"),
        (["ctx", "qwen", "--size", "8k"], "ctx takes the size as an argument: aitui ctx ID SIZE"),
    ],
)
def test_an_option_for_what_stands_without_one_is_explained(
    capsys: pytest.CaptureFixture[str], argv: list[str], right: str
) -> None:
    said = refusal(capsys, *argv)
    assert said.startswith(f"usage: aitui {argv[0]} ")
    assert right in said


@pytest.mark.parametrize("words", ["", *(words for words, one in SPECS.items() if not one.actions)])
def test_only_what_the_command_takes_is_suggested(words: str) -> None:
    options = (*SERVER_OPTIONS, *(SPECS[words].options if words else DASHBOARD_OPTIONS))
    own = {"--help", *(name for option in options for name in option.names)}
    others = {name for one in SPECS.values() for option in one.options for name in option.names}
    for name in {name for name in others if name.startswith("-")} - own:
        meant = re.search(r"did you mean (\S+)\?", _hint([f"{name}x"], words, {}))
        assert meant is None or meant[1] in own, name


def test_a_flag_of_the_server_may_have_the_name_of_another_commands_option() -> None:
    given = parse(["flag", "m", "--model", "/x.gguf"])
    assert (given.flag, given.value) == ("--model", "/x.gguf")


@pytest.mark.parametrize("fps", ["0", "61", "ten", "-1", "1.5"])
def test_frames_a_second_have_bounds(capsys: pytest.CaptureFixture[str], fps: str) -> None:
    assert "--fps" in refusal(capsys, f"--fps={fps}")


def test_options_are_not_guessed_from_their_beginnings(
    capsys: pytest.CaptureFixture[str],
) -> None:
    refusal(capsys, "--read")


def test_a_refusal_steers_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert "\x1b" not in refusal(capsys, "status", "--\x1b[2J")


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "--version") == f"aitui {__version__}\n"


@pytest.mark.parametrize(
    "argv", [[], ["status"], ["load"], ["unload"], ["certs"], ["certs", "client"]]
)
def test_help_fits_eighty_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, argv: list[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert max(len(line) for line in printed(capsys, *argv, "--help").splitlines()) <= 80


def test_help_has_examples_and_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "--help")
    assert "aitui --demo" in text
    for code in ("0  done", "3  server unreachable", "4  refused by TLS", "6  refused"):
        assert code in text


def test_every_command_has_a_handler() -> None:
    assert {command.name for command in COMMANDS} == HANDLERS.keys()


def test_the_command_of_every_action_exists() -> None:
    commands = {"aitui", *(f"aitui {command.name}" for command in COMMANDS)}
    assert {" ".join(action.value.split()[:2]) for action in Action} <= commands


def test_every_option_is_read_into_a_field() -> None:
    of_commands = (option for command in SPECS.values() for option in command.options)
    options = {option.dest for option in (*SERVER_OPTIONS, *DASHBOARD_OPTIONS, *of_commands)}
    known = {*Arguments.__struct_fields__, *SettingsFlags.__struct_fields__}
    assert options == known - {"command", "action", "flags"}


@pytest.mark.parametrize("words", SPECS)
def test_help_names_every_option_of_a_command(
    capsys: pytest.CaptureFixture[str], words: str
) -> None:
    text = printed(capsys, *words.split(), "--help")
    for option in (*SPECS[words].options, *SERVER_OPTIONS):
        assert str(option.reads.get("metavar", option.names[-1])) in text


def test_reading_the_command_line_imports_neither_screen_nor_network() -> None:
    program = (
        "import sys; from aitui.cli.args import parse; parse(['status']); "
        "print({'textual', 'rich', 'httpx', 'asyncio', 'ssl', 'asyncssh'} & set(sys.modules))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert shown.stdout == "set()\n"
