"""Name, port and TLS, each provoked to fail by itself."""

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from aitui.demo.certificates import Certificates
from aitui.domain.checks import CheckStatus, exit_code
from aitui.domain.snapshot import Server
from catalogue import CATALOGUE
from certificates import make_expired_client, make_foreign_certificates
from services.doctor.examined import examined, nowhere
from stand_in import StandIn


async def test_the_way_to_a_good_server_is_described(server: Server) -> None:
    report = await examined(server)
    assert report["host name"].seen == "127.0.0.1 is 127.0.0.1"
    assert report["TCP"].seen == "127.0.0.1 accepts connections"
    assert report["TLS"].seen == (f"TLSv1.3, chain and name 127.0.0.1 verified with {server.ca}")
    assert "CN=localhost for localhost, 127.0.0.1, issued by" in report["server certificate"].seen
    assert "days left" in report["server certificate"].seen


async def test_a_name_that_nobody_knows_is_told() -> None:
    report = await examined(Server("https://no-such-host.invalid", identity="x"))
    assert report.failed == ["host name"]
    assert "The name no-such-host.invalid is not known" in report["host name"].seen
    assert report.status("TCP") is CheckStatus.OPEN
    assert exit_code(report.checks) == 3


async def test_a_port_where_nothing_listens_is_told() -> None:
    report = await examined(nowhere())
    assert report.status("host name") is CheckStatus.PASSED
    assert report.failed == ["TCP"]
    assert "refuses connections" in report["TCP"].seen


async def test_a_port_without_tls_is_told() -> None:
    async with StandIn(CATALOGUE) as plain:
        wrong = Server(plain.url.replace("http:", "https:"), identity="x")
        report = await examined(wrong)
    assert report.failed == ["TLS"]
    assert "does not speak TLS" in report["TLS"].seen
    assert exit_code(report.checks) == 4


async def test_plain_http_leaves_tls_out() -> None:
    async with StandIn(CATALOGUE) as plain:
        report = await examined(Server(plain.url, identity="x"))
    assert report.failed == []
    assert report.status("TLS") is CheckStatus.OPEN
    assert report.status("/running") is CheckStatus.PASSED


async def test_the_wrong_ca_is_told_and_what_the_server_presents_as_well(
    server: Server, tmp_path: Path
) -> None:
    foreign = make_foreign_certificates(tmp_path)
    report = await examined(replace(server, ca=foreign.root_ca))
    assert report.failed == ["TLS"]
    assert f"was not issued by an authority in {foreign.root_ca}" in report["TLS"].seen
    presented = report["server certificate"]
    assert presented.status is CheckStatus.OPEN
    assert presented.seen.startswith("not trusted: C=DE,O=Example,CN=localhost")
    assert report.status("/health") is CheckStatus.OPEN


async def test_a_wrong_host_name_is_told(certificates: Certificates, tmp_path: Path) -> None:
    from certificates import Authority
    from llamaswap.conftest import server_context

    own = Authority(tmp_path)
    elsewhere = own.issue("elsewhere", hosts=("elsewhere.example",))
    listening = await asyncio.start_server(
        lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=server_context(elsewhere)
    )
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        report = await examined(Server(f"https://localhost:{port}", identity="x", ca=own.root))
    assert "is for another name" in report["TLS"].seen
    assert "for elsewhere.example" in report["server certificate"].seen


async def test_a_server_certificate_that_has_expired_is_told(tmp_path: Path) -> None:
    from certificates import Authority
    from llamaswap.conftest import server_context

    own = Authority(tmp_path)
    old = own.issue("old", hosts=("localhost",), from_days=-20, days=10)
    listening = await asyncio.start_server(
        lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=server_context(old)
    )
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        report = await examined(Server(f"https://localhost:{port}", identity="x", ca=own.root))
    assert "has expired" in report["TLS"].seen
    assert report["server certificate"].seen.endswith(", expired")


async def test_bad_files_of_ours_leave_the_server_to_be_looked_at(
    server: Server, tmp_path: Path
) -> None:
    report = await examined(replace(server, client_cert=tmp_path / "gone.pem"))
    assert report.failed == ["client certificate"]
    assert report.status("TLS") is CheckStatus.PASSED
    assert report.status("server certificate") is CheckStatus.PASSED
    assert report.status("certificate accepted") is CheckStatus.OPEN


async def test_no_certificate_is_one_that_is_wanted(server: Server) -> None:
    report = await examined(replace(server, client_cert=None, client_key=None))
    assert report.status("TLS") is CheckStatus.PASSED
    assert report.failed == ["certificate accepted"]
    assert "requires a client certificate" in report["certificate accepted"].seen
    assert exit_code(report.checks) == 4


async def test_a_foreign_certificate_is_not_accepted(server: Server, tmp_path: Path) -> None:
    foreign = make_foreign_certificates(tmp_path)
    report = await examined(
        replace(server, client_cert=foreign.client_cert, client_key=foreign.client_key)
    )
    assert report.failed == ["certificate accepted"]
    assert "did not accept the client certificate" in report["certificate accepted"].seen


async def test_an_expired_certificate_of_ours_is_told_twice(
    server: Server, certificates: Certificates
) -> None:
    certificate, key = make_expired_client(certificates)
    report = await examined(replace(server, client_cert=certificate, client_key=key))
    assert report.failed == ["client certificate dates", "certificate accepted"]


async def test_a_proxy_of_the_environment_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://somebody:s3cr3t@127.0.0.1:9")
    report = await examined(Server("https://ai.example.invalid", identity="x"))
    assert report["host name"].seen == "not tried: requests go through the proxy 127.0.0.1:9"
    assert report.failed == ["/health"]
    assert not [check for check in report.checks if "s3cr3t" in f"{check.seen} {check.remedy}"]


async def test_a_proxy_that_reads_the_key_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    report = await examined(Server("http://ai.example.invalid", identity="x", api_key="s3cr3t"))
    seen = report["host name"].seen
    assert "The proxy 127.0.0.1:9 set in the environment reads the API key" in seen
    assert "NO_PROXY=ai.example.invalid" in seen
    assert not [check for check in report.checks if "s3cr3t" in f"{check.seen} {check.remedy}"]
