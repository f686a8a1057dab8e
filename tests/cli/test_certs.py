"""`aitui certs` as a command: directories, passwords, output and refusals."""

import json
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import load_key_and_certificates

from aitui.services.certs.folder import CLIENT_PAIR
from aitui.services.certs.issue import client_certificate, create_authority, issue
from cli.command_line import CommandLine, read_until, status_of
from host.conftest import make_place
from host.sshd import Sshd
from services.certs.conftest import authority_at, folder_at

DONE, FAILED, USAGE, REFUSED = 0, 1, 2, 6


@pytest.fixture
def user(tmp_path: Path) -> CommandLine:
    """A user with the server's certificates in a directory that doesn't exist yet."""
    named = {"AI_SERVER_URL": "https://ai.example.org", "AI_SERVER_CERTS_DIR": str(tmp_path / "c")}
    return CommandLine(tmp_path / "home", named)


@pytest.fixture
async def made(tmp_path: Path) -> Path:
    """The directory with a CA and a client."""
    folder = tmp_path / "c"
    authority = authority_at(folder)
    await create_authority(authority, "Mine", "p256", None, force=False)
    laptop = client_certificate(CLIENT_PAIR, "laptop", "p256", None, force=False)
    await issue(laptop, authority, folder_at(folder))
    return folder


def password_of(path: Path, password: str) -> bool:
    key, certificate, others = load_key_and_certificates(path.read_bytes(), password.encode())
    return bool(key and certificate and others)


async def test_the_servers_own_directory_is_the_default(user: CommandLine, tmp_path: Path) -> None:
    made = tmp_path / "c"
    assert (await user.run("certs", "new-ca", "Mine")).status == DONE
    assert (await user.run("certs", "client", "laptop")).status == DONE
    files = {path.name for path in made.iterdir() if path.is_file()}
    assert files == {"root-ca.pem", "root-ca.key", "client.pem", "client-key.pem"}
    shown = json.loads((await user.run("certs", "show", "--json")).out)
    assert [row["name"] for row in shown] == ["CN=Mine", "CN=laptop"]
    assert shown[1]["file"] == str(made / "client.pem")
    checks = json.loads((await user.run("certs", "check", "--json")).out)
    assert {check["status"] for check in checks} == {"passed"}


async def test_files_of_other_names_in_the_settings_are_renewed(
    user: CommandLine, made: Path, tmp_path: Path
) -> None:
    certificate, key = tmp_path / "mine.pem", tmp_path / "mine.secret"
    (made / "client.pem").rename(certificate)
    (made / "client-key.pem").rename(key)
    user.environment.update(AI_SERVER_CLIENT_CERT=str(certificate), AI_SERVER_CLIENT_KEY=str(key))
    before = certificate.read_bytes()
    outcome = await user.run("certs", "renew", "--ca-dir", str(made))
    assert (outcome.status, outcome.err) == (DONE, "")
    assert certificate.read_bytes() != before
    assert not (made / "client.pem").exists()


@pytest.mark.real_server("openssh-server")
async def test_a_ca_on_another_machine_signs_there(user: CommandLine, tmp_path: Path) -> None:
    with Sshd(tmp_path / "proxy") as proxy:
        make_place(user.home, proxy)
        ca = proxy.home / "certs"

        async def run(*words: str) -> str:
            outcome = await user.run("certs", *words, "--on", "box", "--ca-dir", "certs")
            assert (outcome.status, outcome.err) == (DONE, "")
            return outcome.out

        await run("new-ca", "Proxy CA")
        await run("client", "laptop")
        await run("client", "browser", "--there")
        before = (tmp_path / "c" / "client.pem").read_bytes()
        await run("renew")
        assert ", 0 failed" in await run("check")
    here, there = tmp_path / "c", {path.name for path in ca.iterdir() if path.is_file()}
    assert {path.name for path in here.iterdir()} == {"client.pem", "client-key.pem", "root-ca.pem"}
    assert (here / "client.pem").read_bytes() != before
    assert there == {"root-ca.pem", "root-ca.key", "client.crt", "client.key", "client-legacy.p12"}


async def test_a_p12_asks_for_its_password_and_does_not_show_it(
    user: CommandLine, made: Path
) -> None:
    async with user.at_terminal("certs", "p12") as (process, terminal):
        shown = await read_until(terminal, "p12 file: ")
        os.write(terminal, b"secret\n")
        shown += await read_until(terminal, "Repeat the password: ")
        os.write(terminal, b"secret\n")
        assert await status_of(process) == DONE
    assert "secret" not in shown
    assert password_of(made / "client.p12", "secret")


async def test_two_passwords_that_differ_write_nothing(user: CommandLine, made: Path) -> None:
    async with user.at_terminal("certs", "p12") as (process, terminal):
        await read_until(terminal, "p12 file: ")
        os.write(terminal, b"secret\n")
        await read_until(terminal, "Repeat the password: ")
        os.write(terminal, b"sceret\n")
        assert await status_of(process) == REFUSED
    assert not (made / "client.p12").exists()


async def test_a_password_comes_from_a_file_and_never_without_a_terminal(
    user: CommandLine, made: Path, tmp_path: Path
) -> None:
    refused = await user.run("certs", "p12")
    assert refused.status == REFUSED
    assert "--password-file" in refused.err
    (tmp_path / "password").write_text("pässword\nnext line\n")
    words = ("certs", "p12", "--password-file")
    assert (await user.run(*words, str(tmp_path / "gone"))).status == USAGE
    outcome = await user.run(*words, str(tmp_path / "password"))
    assert (outcome.status, outcome.err) == (DONE, "")
    assert password_of(made / "client.p12", "pässword")


async def test_wrong_settings_do_not_matter_with_a_directory(tmp_path: Path) -> None:
    user = CommandLine(tmp_path / "home", {"AI_SERVER_URL": "no url"})
    assert (await user.run("certs", "new-ca")).status == USAGE
    outcome = await user.run("certs", "new-ca", "--dir", str(tmp_path / "c"))
    assert (outcome.status, outcome.err) == (DONE, "")


async def test_a_server_without_certificates_needs_a_directory(tmp_path: Path) -> None:
    user = CommandLine(tmp_path / "home", {"AI_SERVER_URL": "http://localhost:8080"})
    outcome = await user.run("certs", "new-ca")
    assert (outcome.status, "add --dir DIR" in outcome.err) == (USAGE, True)


async def test_the_built_in_servers_directory_is_not_made(tmp_path: Path) -> None:
    """A file in it would choose that server, which its user never named."""
    user = CommandLine(tmp_path / "home")
    assert (await user.run("certs", "new-ca")).status == USAGE
    assert not (tmp_path / "home" / ".pi").exists()


async def test_the_password_of_the_settings_opens_the_clients_key(
    user: CommandLine, made: Path
) -> None:
    key = made / "client-key.pem"
    secret = load_pem_private_key(key.read_bytes(), None)
    encryption = BestAvailableEncryption(b"secret")
    key.write_bytes(secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    refused = await user.run("certs", "renew")
    assert (refused.status, f"Password of {key} is needed" in refused.err) == (REFUSED, True)
    user.environment["AI_SERVER_CLIENT_KEY_PASSWORD"] = "secret"
    assert (await user.run("certs", "renew")).status == DONE
    assert (await user.run("certs", "p12", "--legacy")).status == DONE


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("client", "x", "--on", "h", "--read-only"), REFUSED, "is read-only"),
        (("client", "x", "--there"), USAGE, "add --on HOST"),
        (("server", "https://x"), USAGE, "is no host name"),
        (("client", "\x1b[2J"), USAGE, "can't be the name"),
        (("client", "x"), FAILED, "aitui certs new-ca"),
        (("renew",), FAILED, "nothing to renew"),
        (("p12", "--legacy"), FAILED, "There is no"),
        (("revoke", "x"), FAILED, "no certificate of x"),
        (("show",), FAILED, "no certificates"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
async def test_what_cant_be_done_says_why(
    user: CommandLine, tmp_path: Path, words: tuple[str, ...], status: int, said: str
) -> None:
    outcome = await user.run("certs", *words)
    assert outcome.status == status
    assert said in outcome.err
    assert "\x1b" not in outcome.err
    assert "Traceback" not in outcome.err
    assert not (tmp_path / "c").exists()
