"""The commands that install llama-swap, run by a real shell against a release on disk."""

import hashlib
import subprocess
import tarfile
from pathlib import Path

import pytest

from aitui.domain.setup.programs import llama_server_commands, llama_swap_commands


def release(folder: Path, *, tampered: bool = False) -> str:
    """A release with a program in it, and with the checksums that are published with it."""
    place = folder / "download" / "v263"
    place.mkdir(parents=True)
    archive = place / "llama-swap_263_linux_arm64.tar.gz"
    (folder / "llama-swap").write_text("#!/bin/sh\n")
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(folder / "llama-swap", "llama-swap")
    own = f"{hashlib.sha256(archive.read_bytes()).hexdigest()}  {archive.name}\n"
    other = f"{'0' * 64}  llama-swap_263_linux_amd64.tar.gz\n"
    (place / "llama-swap_263_checksums.txt").write_text(other + own)
    if tampered:
        with tarfile.open(archive, "w:gz") as packed:
            packed.add(folder / "llama-swap", "llama-swap")
            packed.add(folder / "llama-swap", "more")
    return folder.as_uri()


def install(commands: str, home: Path) -> int:
    home.mkdir()
    environment = {"HOME": str(home), "PATH": "/usr/bin:/bin", "TMPDIR": str(home)}
    done = subprocess.run(["sh", "-c", commands], env=environment, capture_output=True, check=False)
    return done.returncode


@pytest.mark.real_server("curl")
@pytest.mark.parametrize("machine", ["aarch64", "arm64"])
def test_the_program_of_the_release_is_installed(tmp_path: Path, machine: str) -> None:
    releases = release(tmp_path)
    commands = llama_swap_commands("Linux", machine, release=263, releases=releases)
    assert install(commands, tmp_path / "home") == 0
    program = tmp_path / "home" / "bin" / "llama-swap"
    assert program.stat().st_mode & 0o777 == 0o755


@pytest.mark.real_server("curl")
def test_a_program_with_another_checksum_is_not_installed(tmp_path: Path) -> None:
    releases = release(tmp_path, tampered=True)
    commands = llama_swap_commands("Linux", "aarch64", release=263, releases=releases)
    assert install(commands, tmp_path / "home") != 0
    assert not (tmp_path / "home" / "bin").exists()


def test_a_machine_without_a_release_gets_no_commands() -> None:
    assert llama_swap_commands("Linux", "riscv64") == ""
    assert llama_swap_commands("Darwin", "arm64") == ""


@pytest.mark.parametrize(
    ("vendor", "flag"), [("NVIDIA", "GGML_CUDA"), ("AMD", "GGML_HIP"), ("Intel", "GGML_VULKAN")]
)
def test_llama_server_is_built_for_the_card(vendor: str, flag: str) -> None:
    assert f"-D{flag}=ON" in llama_server_commands(vendor)
    assert "GGML" not in llama_server_commands("")
