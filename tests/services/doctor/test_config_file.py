"""The config file on the server's machine, each line of the check-up provoked to fail by itself."""

import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from aitui.demo.world import demo_world
from aitui.domain.checks import CheckStatus
from aitui.domain.models import ListedModel, ModelKind
from aitui.domain.snapshot import Server
from e2e.service.user_manager import UserManager
from services.doctor.conftest import VALID
from services.doctor.examined import examined
from services.doctor.machine_examined import machine_of

LINES = ("config file", "config folder writable", "config file's owner", "config file valid")
ONE = ListedModel("one")

on_a_machine = pytest.mark.real_server("systemd")
over_ssh = pytest.mark.real_server("openssh-server")


async def test_a_good_file_is_described(local: Server, preset: Path) -> None:
    report = await machine_of(local, listed=[ONE])
    assert [report.status(name) for name in LINES] == [CheckStatus.PASSED] * len(LINES)
    assert report["config file"].seen == f"{preset}, {preset.stat().st_size} bytes"
    assert report["config file valid"].seen == "1 model"
    assert report["config file's models"].seen == "1 model, as the server lists them"


async def test_a_size_that_cant_be_changed_is_named_with_file_and_line(
    local: Server, preset: Path
) -> None:
    assert (await machine_of(local))["context sizes"].seen == "aitui can change those of 1 model"
    preset.write_text(
        f'{VALID}  unusual:\n    cmd: "llama-server --port ${{PORT}} --ctx-size \\x34096"\n'
    )
    check = (await machine_of(local))["context sizes"]
    assert check.status is CheckStatus.OPEN
    assert check.seen.startswith(f"{preset}, line 5: unusual: ")
    assert "contains escape sequences" in check.seen
    assert check.shell_remedy == "Write it without escapes, in the editor (aitui)."


async def test_a_link_is_told_with_where_it_leads(local: Server, preset: Path) -> None:
    link = preset.with_name("link.yaml")
    link.symlink_to(preset)
    report = await machine_of(replace(local, preset_path=str(link)))
    assert report["config file"].seen.startswith(f"{link} is {preset}, ")


async def test_a_file_that_isnt_there(local: Server, preset: Path) -> None:
    preset.unlink()
    report = await machine_of(local)
    assert report.status("config file") is CheckStatus.FAILED
    assert report["config file"].remedy == "check preset_path in config.toml"
    assert {report.status(name) for name in LINES[1:]} == {CheckStatus.OPEN}
    assert report.status("config file's models") is CheckStatus.OPEN


async def test_a_folder_in_the_files_place(local: Server, preset: Path) -> None:
    report = await machine_of(replace(local, preset_path=str(preset.parent)))
    assert report.status("config file") is CheckStatus.FAILED
    assert "is not a file but a folder" in report["config file"].seen


async def test_a_file_that_is_read_only_would_be_replaced_all_the_same(
    local: Server, preset: Path
) -> None:
    preset.chmod(0o444)
    report = await machine_of(local)
    assert report.status("config folder writable") is CheckStatus.OPEN
    assert (
        "the file itself is read-only, and would still be replaced"
        in report["config folder writable"].seen
    )
    assert report["config folder writable"].remedy == f"chmod u+w {preset}"


async def test_nothing_is_written_to_see_whether_it_could_be(local: Server, preset: Path) -> None:
    def state() -> tuple[object, ...]:
        # Without the time of the last access: to read the file is no harm.
        file, folder = preset.stat(), preset.parent.stat()
        changed = file.st_ino, file.st_ctime_ns, folder.st_mtime_ns
        return (*changed, preset.read_bytes(), set(preset.parent.iterdir()))

    before = state()
    await machine_of(local)
    assert state() == before


@on_a_machine
@over_ssh
async def test_a_folder_that_the_login_may_not_write(served: Server, machine: UserManager) -> None:
    machine.config.parent.chmod(0o555)
    report = await machine_of(served)
    assert report.status("config folder writable") is CheckStatus.FAILED
    assert "No file can be created in /mnt/home/.config/llama-swap" in (
        report["config folder writable"].seen
    )
    assert "on box: ls -ld" in report["config folder writable"].remedy
    assert report.status("config file valid") is CheckStatus.PASSED


@on_a_machine
@over_ssh
async def test_a_file_whose_owner_cant_be_kept(served: Server, machine: UserManager) -> None:
    os.chown(machine.config, 0, 0)
    report = await machine_of(served)
    assert report.status("config folder writable") is CheckStatus.PASSED
    assert report.status("config file's owner") is CheckStatus.FAILED
    owner = report["config file's owner"]
    assert "belongs to user 0, group 0: the login is user" in owner.seen
    number = machine.number
    assert f"as root: chown {number}:{number} /mnt/home/.config" in owner.remedy


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("models:\n  one:\n    cmd: [a\n", "line "),
        ("models:\n  one:\n    cmd: a\n  one:\n    cmd: b\n", "line 4"),
        ("models:\n  one:\n    cmd: a\n    ttl: soon\n", "line 4"),
    ],
)
async def test_a_file_with_which_llama_swap_would_not_start_is_told_with_its_line(
    local: Server, preset: Path, text: str, seen: str
) -> None:
    preset.write_text(text)
    valid = (await machine_of(local))["config file valid"]
    assert valid.status is CheckStatus.FAILED
    assert valid.seen.startswith(f"llama-swap would not start with this file: {seen}")


async def test_a_key_that_llama_swap_passes_over_is_told_and_no_fault(
    local: Server, preset: Path
) -> None:
    preset.write_text(f"{preset.read_text()}    timeToLive: 5\n")
    valid = (await machine_of(local))["config file valid"]
    assert valid.status is CheckStatus.OPEN
    assert "line 4: " in valid.seen


async def test_bytes_that_are_no_text(local: Server, preset: Path) -> None:
    preset.write_bytes(b"models:\n  \xff\xfe: 1\n")
    report = await machine_of(local, listed=[ONE])
    assert report.status("config file valid") is CheckStatus.FAILED
    assert report.status("config file's models") is CheckStatus.OPEN


async def test_models_that_are_missing_on_either_side_are_named(local: Server) -> None:
    models = (await machine_of(local, listed=[ListedModel("two")]))["config file's models"]
    assert models.status is CheckStatus.FAILED
    assert models.seen == "not in the server's list: one; not in the file: two"
    assert "aitui reload" in models.shell_remedy


async def test_many_missing_models_are_counted(local: Server) -> None:
    listed = [ONE, *(ListedModel(f"other-{number}") for number in range(9))]
    models = (await machine_of(local, listed=listed))["config file's models"]
    assert models.seen.endswith("other-4 and 4 more")


async def test_what_only_the_server_can_list_is_no_difference(local: Server, preset: Path) -> None:
    preset.write_text(
        f"{preset.read_text()}"
        "    aliases: [uno]\n    filters:\n      setParamsByID:\n        one-fast: {x: 1}\n"
        "  secret:\n    cmd: llama-server --port ${PORT}\n    unlisted: true\n"
    )
    listed = [
        ONE,
        ListedModel("uno"),
        ListedModel("one-fast"),
        ListedModel("far", peer="elsewhere"),
        ListedModel("any", kind=ModelKind.SELECTOR),
    ]
    models = (await machine_of(local, listed=listed))["config file's models"]
    assert models.status is CheckStatus.PASSED, models


async def test_a_list_that_isnt_known_leaves_the_models_open(local: Server) -> None:
    assert (await machine_of(local))["config file's models"].status is CheckStatus.OPEN


async def test_a_file_that_doesnt_parse_leaves_the_models_open(local: Server, preset: Path) -> None:
    preset.write_text("models: [a\n")
    models = (await machine_of(local, listed=[ONE]))["config file's models"]
    assert models.status is CheckStatus.OPEN


async def test_hostile_names_are_harmless(local: Server) -> None:
    models = (await machine_of(local, listed=[ONE]))["config file's models"]
    assert models.status is CheckStatus.PASSED
    report = await machine_of(replace(local, preset_path="/no/\x1b]0;x\x07file"))
    assert not [check for check in report.checks if "\x1b" in check.seen + check.remedy]


async def test_the_list_of_the_server_is_what_the_server_said(server: Server, preset: Path) -> None:
    report = await examined(replace(server, ssh_host="local", preset_path=str(preset)))
    models = report["config file's models"]
    assert models.status is CheckStatus.FAILED
    assert models.seen.startswith("not in the server's list: one; not in the file: ")


async def test_a_login_without_the_command_test_leaves_the_rights_open() -> None:
    async with demo_world(config_text=VALID) as world:
        server = Server(
            "http://127.0.0.1:9",
            identity="demo",
            ssh_host=world.ssh_host,
            ssh_home=world.ssh_setup.home,
        )
        report = await machine_of(server)
    assert report.status("config folder writable") is CheckStatus.OPEN
    assert report.failed == []
