"""The machine behind the server in `aitui doctor`, as a script and as a person see it."""

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from aitui.domain.snapshot import Server
from catalogue import CATALOGUE
from host.sshd import Sshd
from services.doctor.test_command_line import run
from stand_in import StandIn
from ui.driven import driven


async def doctor(home: Path, *arguments: str, ssh_host: str, preset: Path) -> tuple[int, str]:
    async with StandIn(CATALOGUE) as plain:
        ran = await run(
            home,
            *("aitui", "doctor", *arguments),
            AI_SERVER_URL=plain.url,
            AI_SERVER_SSH_HOST=ssh_host,
            AI_SERVER_PRESET_PATH=str(preset),
        )
    assert ran.errors == ""
    return ran.status, ran.output


async def test_a_script_reads_each_line(tmp_path: Path, preset: Path) -> None:
    preset.unlink()
    status, output = await doctor(tmp_path, "--json", ssh_host="local", preset=preset)
    rows = {row["check"]: row for row in json.loads(output)}
    assert status == 1
    assert rows["config file"]["status"] == "failed"
    assert rows["config file"]["remedy"] == "check preset_path in config.toml"
    assert rows["unit active"]["status"] in {"open", "failed"}


@pytest.mark.real_server("openssh-server")
async def test_an_unknown_host_key_is_status_4_and_nothing_is_asked(
    tmp_path: Path, preset: Path, sshd: Sshd
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    status, output = await doctor(home, ssh_host=f"127.0.0.1:{sshd.port}", preset=preset)
    assert status == 4
    assert "✘ SSH host key: The host key of " in output
    assert "– SSH login: not tried: " in output
    assert not (home / ".ssh").exists()


async def test_the_machine_comes_after_the_server_and_before_the_terminal(
    tmp_path: Path, preset: Path
) -> None:
    _, output = await doctor(tmp_path, ssh_host="local", preset=preset)
    names = [line[2:].partition(":")[0] for line in output.splitlines() if line[0] in "✔✘–"]
    assert names.index("clock") + 1 == names.index("config file")
    assert names.index("config file in force") < names.index("terminal")


async def test_the_screen_shows_it_too(server: Server, preset: Path, tmp_path: Path) -> None:
    missing = replace(server, ssh_host="local", preset_path=str(preset.with_name("none.yaml")))
    async with driven(missing, tmp_path / "aitui", size=(120, 40)) as app:
        await app.see(" ms ")
        await app.press("D")
        await app.see("Checked · ", "✘ config file", "check preset_path in config.toml")
