"""What the check-up says to type works when it is pasted into a shell."""

import os
import subprocess
from pathlib import Path

import pytest
from msgspec.structs import replace

from aitui.domain.checks import CheckStatus
from aitui.domain.snapshot import Server
from aitui.host.ssh.address import SshConfigPaths
from host.sshd import Sshd
from services.doctor.examined import examined, nowhere
from services.doctor.machine_examined import machine_of

pytestmark = pytest.mark.real_server("openssh-server")


def paste(command: str, folder: Path, ssh: str) -> str:
    """Run a command in a shell in which ssh and scp take these options first: their home is root's."""
    tools = folder / "tools"
    tools.mkdir(exist_ok=True)
    for name in ("ssh", "scp"):
        (tools / name).write_text(f'#!/bin/sh\nexec /usr/bin/{name} {ssh} "$@"\n')
        (tools / name).chmod(0o755)
    environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}
    shell = ("sh", "-ec", command)
    done = subprocess.run(shell, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (command, done.stderr)
    return done.stdout


async def test_the_command_for_an_unknown_host_key_makes_it_known(
    box: Server, sshd: Sshd, user: SshConfigPaths, tmp_path: Path
) -> None:
    known = user.home / ".ssh" / "known_hosts"
    known.write_text("")
    address = replace(box, ssh_host=f"127.0.0.1:{sshd.port}")
    refused = (await machine_of(address))["SSH host key"]
    command = refused.remedy.partition("then ")[2].removesuffix(" adds it")
    assert command == f"ssh -p {sshd.port} 127.0.0.1"
    yes = f"-o StrictHostKeyChecking=accept-new -o UserKnownHostsFile={known} -i {sshd.key}"
    paste(f"{command} true", tmp_path, yes)
    assert (await machine_of(address)).status("SSH host key") is CheckStatus.PASSED


async def test_the_command_for_a_missing_certificate_file_copies_it(
    sshd: Sshd, user: SshConfigPaths, tmp_path: Path
) -> None:
    there = tmp_path / "proxy" / "certs"
    there.mkdir(parents=True)
    (there / "client.crt").write_text("made there")
    here = tmp_path / "new" / "client.pem"
    server = nowhere(
        client_cert=here,
        proxy_ssh_host=f"127.0.0.1:{sshd.port}",
        proxy_dir=str(there.parent),
    )
    check = (await examined(server))["client certificate"]
    assert check.seen == f"The client certificate {here} does not exist"
    ssh = f"-i {sshd.key} -o UserKnownHostsFile={user.home}/.ssh/known_hosts"
    paste(check.remedy.partition(": ")[2], tmp_path, ssh)
    assert here.read_text() == "made there"
