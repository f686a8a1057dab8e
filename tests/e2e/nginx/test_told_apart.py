"""What a real nginx says with a completed handshake, and what `status` and the doctor make of it."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec.structs import replace

from aitui.domain.checks import CheckStatus
from aitui.domain.snapshot import Server
from aitui.errors import AituiError, ServerError, TlsRefused, Unauthorized
from aitui.llamaswap.client import LlamaSwapClient
from cli.command_line import CommandLine
from e2e.caddy.openssl import Guide, Pair
from e2e.service.user_manager import free_port
from services.doctor.examined import examined

pytestmark = pytest.mark.real_server("nginx")

PROGRAM = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin") or "nginx"
PASSWORD = "owl:barn €"

_CONFIG = """\
daemon off; master_process off; pid {folder}/pid; error_log {folder}/log; worker_processes 1;
events {{ }}
http {{
  access_log off; default_type application/json;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  ssl_certificate {served.certificate}; ssl_certificate_key {served.key};
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_client_certificate {root}; ssl_verify_client on;
    location = /v1/models {{ return 200 '{{"object":"list","data":[]}}'; }}
    location = /running {{ return 200 '{{"running":[]}}'; }}
    location = /health {{ return 200 OK; }}
    location /closed {{ return 403; }}
    location /teapot {{ return 400; }}
  }}
  server {{
    listen 127.0.0.1:{basic} ssl;
    auth_basic "the barn"; auth_basic_user_file {folder}/users;
    location = /v1/models {{ root {folder}; try_files /models =404; }}
    location = /running {{ root {folder}; try_files /running =404; }}
    location = /health {{ root {folder}; try_files /health =404; }}
  }}
}}
"""


@dataclass(frozen=True)
class Nginx:
    """One nginx: `wanting` asks for a client certificate, `basic` for user and password."""

    wanting: Server
    basic: Server


@pytest.fixture(scope="module")
def guide(tmp_path_factory: pytest.TempPathFactory) -> Guide:
    """The authority of the server and its clients."""
    return Guide(tmp_path_factory.mktemp("guide"))


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """A client certificate of another authority."""
    return Guide(tmp_path_factory.mktemp("foreign"), "Foreign").client()


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory, guide: Guide) -> Iterator[Nginx]:
    """One process for all tests."""
    folder = tmp_path_factory.mktemp("nginx")
    port, basic = free_port(), free_port()
    served = guide.server("DNS:localhost", name="nginx")
    hashed = subprocess.run(
        ["openssl", "passwd", "-apr1", PASSWORD], capture_output=True, text=True, check=True
    ).stdout
    files = {"models": '{"object":"list","data":[]}', "running": '{"running":[]}', "health": "OK"}
    for name, text in {**files, "users": f"fox:{hashed}"}.items():
        (folder / name).write_text(text)
    folder.chmod(0o755)
    text = _CONFIG.format(folder=folder, served=served, root=guide.root, port=port, basic=basic)
    (folder / "conf").write_text(text)
    client = guide.client()
    with subprocess.Popen(
        [PROGRAM, "-p", folder, "-c", folder / "conf", "-e", folder / "log"],
        stdin=subprocess.DEVNULL,
    ) as process:
        try:
            asyncio.run(_until_it_listens(process, folder, basic))
            wanting = Server(
                f"https://localhost:{port}",
                identity="nginx",
                ca=guide.root,
                client_cert=client.certificate,
                client_key=client.key,
            )
            yield Nginx(
                wanting,
                Server(f"https://localhost:{basic}", identity="basic", ca=guide.root),
            )
        finally:
            process.terminate()


async def _until_it_listens(process: "subprocess.Popen[bytes]", folder: Path, port: int) -> None:
    async with asyncio.timeout(20):
        while True:
            assert process.poll() is None, (folder / "log").read_text()
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                await writer.wait_closed()
                return


async def trouble(server: Server) -> AituiError:
    """What the client says of a server that it doesn't get through to."""
    async with LlamaSwapClient(server) as client:
        with pytest.raises(AituiError) as caught:
            await client.running()
    return caught.value


async def test_the_right_certificate_is_let_in(nginx: Nginx, tmp_path: Path) -> None:
    outcome = await CommandLine.towards(nginx.wanting, tmp_path).run("status")
    assert (outcome.status, outcome.err) == (0, "")
    report = await examined(nginx.wanting)
    assert report.status("certificate accepted") is CheckStatus.PASSED


async def test_no_certificate_is_one_that_is_wanted(nginx: Nginx, tmp_path: Path) -> None:
    bare = replace(nginx.wanting, client_cert=None, client_key=None)
    outcome = await CommandLine.towards(bare, tmp_path).run("status")
    assert outcome.status == 4
    assert "requires a client certificate\n  No required SSL certificate was sent\n" in outcome.err
    assert "set client_cert and client_key" in outcome.err
    report = await examined(bare)
    assert report.status("TLS") is CheckStatus.PASSED
    assert report.failed == ["certificate accepted"]
    assert "No required SSL certificate was sent" in report["certificate accepted"].seen


async def test_a_foreign_certificate_is_not_accepted(
    nginx: Nginx, foreign: Pair, tmp_path: Path
) -> None:
    strange = replace(nginx.wanting, client_cert=foreign.certificate, client_key=foreign.key)
    outcome = await CommandLine.towards(strange, tmp_path).run("status")
    assert outcome.status == 4
    assert "did not accept the client certificate\n  The SSL certificate error; " in outcome.err
    assert "CN=Foreign Root CA" in outcome.err
    report = await examined(strange)
    assert report.failed == ["certificate accepted"]
    assert "The SSL certificate error" in report["certificate accepted"].seen


async def test_http_on_the_port_of_tls_is_named(nginx: Nginx, tmp_path: Path) -> None:
    url = nginx.wanting.url.replace("https", "http")
    plain = Server(url, identity="plain")
    outcome = await CommandLine.towards(plain, tmp_path).run("status")
    assert outcome.status == 1
    assert "speaks TLS, but the URL says http://" in outcome.err
    assert "The plain HTTP request was sent to HTTPS port" in outcome.err
    assert f"set url to {nginx.wanting.url}" in outcome.err
    report = await examined(plain)
    assert report.status("certificate accepted") is CheckStatus.OPEN
    assert report.failed[0] == "/health"
    assert "speaks TLS" in report["/health"].seen


async def test_a_stream_that_is_refused_so_is_a_refused_certificate(nginx: Nginx) -> None:
    bare = replace(nginx.wanting, client_cert=None, client_key=None)
    async with LlamaSwapClient(bare) as client:
        with pytest.raises(TlsRefused, match="requires a client certificate"):
            async with client.events() as events:
                await anext(aiter(events))


@pytest.mark.parametrize(
    ("path", "what"), [("/closed", "answers 403 Forbidden"), ("/teapot", "400 Bad Request")]
)
async def test_another_refusal_is_none_of_the_certificate(
    nginx: Nginx, path: str, what: str
) -> None:
    error = await trouble(replace(nginx.wanting, url=nginx.wanting.url + path))
    assert isinstance(error, ServerError)
    assert what in error.what
    assert "API key" not in str(error)


async def test_user_and_password_are_wanted_not_a_key(nginx: Nginx) -> None:
    for server in (nginx.basic, replace(nginx.basic, api_key="sk-1")):
        error = await trouble(server)
        assert isinstance(error, Unauthorized)
        assert "requires a user name and password (Basic)" in error.what
        assert "the barn" in error.why
        assert error.remedy == "set the server's username and password"


async def test_a_wrong_password_is_not_accepted_and_not_printed(nginx: Nginx) -> None:
    error = await trouble(replace(nginx.basic, basic_auth=("fox", "hedgehog-17")))
    assert "doesn't accept the user name and password" in error.what
    assert "hedgehog" not in str(error)


async def test_user_and_password_of_the_settings_are_let_in_and_never_printed(
    nginx: Nginx, tmp_path: Path
) -> None:
    aitui = CommandLine.towards(nginx.basic, tmp_path)
    aitui.environment |= {"AI_SERVER_USERNAME": "fox", "AI_SERVER_PASSWORD": PASSWORD}
    outcome = await aitui.run("status")
    assert (outcome.status, outcome.err) == (0, "")
    doctor = await aitui.run("doctor")
    assert "setting password: set, not shown (environment AI_SERVER_PASSWORD)" in doctor.out
    for secret in (PASSWORD, "barn €"):
        assert secret not in doctor.out + doctor.err
