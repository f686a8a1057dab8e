"""`aitui doctor` as a script calls it: a process of its own, its output and its exit status."""

import asyncio
import base64
import json
import os
import sys
from pathlib import Path

from aitui.cli.args import parse
from aitui.domain.snapshot import Server
from cli.command_line import CommandLine, read_until
from stand_in import StandIn


class Ran:
    """What a run of the program left behind."""

    def __init__(self, status: int, output: bytes, errors: bytes) -> None:
        self.status = status
        self.output = output.decode()
        self.errors = errors.decode()


async def run(home: Path, *arguments: str, program: str = "-m", **environment: str) -> Ran:
    """The program with nothing in its environment but what is given."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, program, *arguments),
        env={"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", **environment},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode is not None
    return Ran(process.returncode, output, errors)


def leading_to(server: Server) -> dict[str, str]:
    """The environment that leads to a server."""
    return {
        "AI_SERVER_URL": server.url,
        "AI_SERVER_CA": str(server.ca),
        "AI_SERVER_CLIENT_CERT": str(server.client_cert),
        "AI_SERVER_CLIENT_KEY": str(server.client_key),
    }


async def test_all_good_is_status_0_and_a_line_a_check(tmp_path: Path, server: Server) -> None:
    ran = await run(tmp_path, "aitui", "doctor", **leading_to(server))
    assert ran.status == 0, ran.output
    assert ran.errors == ""
    *lines, counts = ran.output.splitlines()
    assert {line[0] for line in lines if not line.startswith("    → ")} == {"✔", "–"}
    assert "✔ certificate accepted: a request over TLS succeeded with it" in lines
    assert ", 0 failed, " in counts


async def test_json_is_a_list_of_four_keys_each(tmp_path: Path, server: Server) -> None:
    ran = await run(tmp_path, "aitui", "doctor", "--json", **leading_to(server))
    rows = json.loads(ran.output)
    assert {tuple(row) for row in rows} == {("check", "status", "seen", "remedy")}
    assert {row["status"] for row in rows} == {"passed", "open"}
    assert "/v1/models" in {row["check"] for row in rows}


async def test_wrong_settings_are_status_2(tmp_path: Path) -> None:
    ran = await run(tmp_path, "aitui", "doctor", AI_SERVER_TIMEOUT_MS="soon")
    assert ran.status == 2
    assert ran.output.startswith("✘ settings: AI_SERVER_TIMEOUT_MS=soon (environment)")


async def test_a_server_that_isnt_there_is_status_3(
    tmp_path: Path, stand_in: StandIn, server: Server
) -> None:
    await stand_in.stop()
    ran = await run(tmp_path, "aitui", "doctor", **leading_to(server))
    assert ran.status == 3
    assert "✘ TCP: " in ran.output


async def test_a_certificate_that_isnt_accepted_is_status_4(tmp_path: Path, server: Server) -> None:
    bare = {"AI_SERVER_URL": server.url, "AI_SERVER_CA": str(server.ca)}
    ran = await run(tmp_path, "aitui", "doctor", "--json", **bare)
    assert ran.status == 4
    failed = [row for row in json.loads(ran.output) if row["status"] == "failed"]
    assert [row["check"] for row in failed] == ["certificate accepted"]
    assert failed[0]["remedy"] == "set client_cert and client_key"


async def test_the_default_server_without_a_file_names_it_and_how_to_copy_it(
    tmp_path: Path,
) -> None:
    (tmp_path / "root-ca.pem").touch()
    ran = await run(tmp_path, "aitui", "doctor", AI_SERVER_CERTS_DIR=str(tmp_path))
    assert ran.status == 4
    assert f"✘ client key: The client key {tmp_path}/client-key.pem does not exist" in ran.output
    assert f"scp PROXY:CERTS/client.key {tmp_path}/client-key.pem" in ran.output
    assert "scp PROXY:CERTS/root-ca.pem" not in ran.output


async def test_output_that_cant_hold_the_marks_has_words(tmp_path: Path) -> None:
    ran = await run(
        tmp_path, "aitui", "doctor", AI_SERVER_TIMEOUT_MS="soon", PYTHONIOENCODING="ascii"
    )
    assert ran.status == 2
    assert ran.output.startswith("FAILED settings: ")


async def test_it_imports_nothing_that_draws(tmp_path: Path, server: Server) -> None:
    code = (
        "import sys\n"
        "from aitui.__main__ import main\n"
        "main(['doctor', '--json'])\n"
        "print({'textual', 'aiohttp', 'asyncssh'} & sys.modules.keys(), file=sys.stderr)\n"
    )
    ran = await run(tmp_path, code, program="-c", **leading_to(server))
    assert ran.errors.strip() == "set()"


def test_the_command_line_knows_it() -> None:
    arguments = parse(["doctor", "--json"])
    assert (arguments.command, arguments.json) == ("doctor", True)


async def test_a_copied_report_names_neither_user_nor_home(tmp_path: Path, server: Server) -> None:
    with_user = server.url.replace("https://", "https://fox:s3cr3t@")
    environment = {**leading_to(server), "AI_SERVER_URL": with_user, "AI_SERVER_SSH_HOST": "fox@9"}
    ran = await run(tmp_path, "aitui", "doctor", "--copy", **environment)
    assert ran.errors == ""  # without a terminal there is no clipboard
    assert "✔ certificate accepted: a request over TLS succeeded with it" in ran.output
    assert "setting ssh_host: USER@9" in ran.output
    assert "fox" not in ran.output
    assert "s3cr3t" not in ran.output
    assert str(tmp_path) not in ran.output


async def test_a_report_is_copied_to_the_clipboard_of_a_terminal(
    tmp_path: Path, server: Server
) -> None:
    environment = {**leading_to(server), "TERM": "xterm-kitty", "COLORTERM": "truecolor"}
    aitui = CommandLine(tmp_path, environment)
    async with aitui.at_terminal("doctor", "--copy") as (process, terminal):
        shown = await read_until(terminal, "copied to the terminal's clipboard")
        output, _ = await process.communicate()
    copied = base64.b64decode(shown.partition("\x1b]52;c;")[2].partition("\x07")[0])
    assert copied.decode() == output.decode().removesuffix("\n")
