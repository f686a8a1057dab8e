"""What the machine behind the server adds, asked directly and over a real sshd."""

import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from aitui.domain.hardware.sample import SampleSource
from aitui.domain.memory.footprint import FootprintOrigin
from aitui.domain.snapshot import Server
from aitui.host.base import Host
from aitui.host.local import LocalHost
from aitui.host.open import open_host
from domain.memory.files import BIG
from stand_in import StandIn
from ui.memory.feeding import fed, until_memory

MIB = 1 << 20


def config(model: Path) -> str:
    return f"""\
performance: {{disabled: true}}
models:
  big:
    cmd: /opt/llama.cpp/llama-server --port ${{PORT}} --model {model} -c 32768 -ngl 0 -np 1
"""


async def test_a_model_that_never_ran_is_estimated_from_the_header_of_its_file(
    host: Host, tmp_path: Path
) -> None:
    file = tmp_path / "big.gguf"
    file.write_bytes(BIG + bytes(4 * MIB))
    async with StandIn(config(file)) as stand_in:
        server = Server(url=stand_in.url, identity="plain")
        async with fed(server, tmp_path) as watch:
            watch.session.hardware.set_host(host)
            await watch.session.monitor.update_config({"big": 32_768})
            command = config(file).split("cmd: ")[1]
            watch.session.hardware.update_commands({"big": command})
            snapshot = await watch.until(
                lambda now: (model := now.model("big")) is not None and model.memory is not None
            )
            model = snapshot.model("big")
            assert model is not None
            assert model.memory is not None
            assert model.memory.origin is FootprintOrigin.ESTIMATED
            assert model.memory.weights == pytest.approx(393 * MIB, rel=0.02)
            assert model.memory.cache == 2048 * MIB
            assert snapshot.hardware.usage.source is SampleSource.HOST
            assert snapshot.hardware.longest_context("big") is not None


async def test_the_header_of_a_file_is_read_once(host: Host, tmp_path: Path) -> None:
    file = tmp_path / "big.gguf"
    file.write_bytes(BIG)
    async with StandIn(config(file)) as stand_in:
        server = Server(url=stand_in.url, identity="plain")
        async with fed(server, tmp_path) as watch:
            hardware = watch.session.hardware
            hardware.set_host(host)
            await watch.session.monitor.update_config({"big": 32_768})
            hardware.update_commands({"big": f"llama-server -m {file} -c 32768"})
            await until_memory(watch, lambda memory: "big" in memory.models)
            file.unlink()
            hardware.update_commands({"big": f"llama-server -m {file} -c 65536"})
            await hardware.sample_once()
            assert hardware.hardware.models["big"].header is not None


async def test_a_machine_that_cannot_be_reached_becomes_words_and_no_figure(
    tmp_path: Path,
) -> None:
    async with StandIn(config(tmp_path / "none.gguf")) as stand_in:
        server = Server(url=stand_in.url, identity="plain")
        host = open_host(replace(server, ssh_host="nobody@127.0.0.1:9"))
        assert host is not None
        async with host, fed(server, tmp_path) as watch:
            watch.session.hardware.set_host(host)
            snapshot = await until_memory(watch, lambda memory: "127.0.0.1" in memory.error)
            assert snapshot.hardware.usage.source is None
            assert snapshot.hardware.usage.total_bytes is None


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("exec sleep 60", "nvidia-smi does not answer"),
        ("echo 'Keine Geräte gefunden'", "nvidia-smi printed something that aitui can't read"),
        ("echo 'NVIDIA-SMI has failed'; exit 9", "nvidia-smi: NVIDIA-SMI has failed"),
    ],
)
async def test_a_tool_that_does_not_work_is_named_beside_what_the_server_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    tool = tmp_path / "bin" / "nvidia-smi"
    tool.parent.mkdir()
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")
    text = config(tmp_path / "none.gguf").partition("\n")[2]
    async with StandIn(text) as stand_in:
        server = Server(url=stand_in.url, identity="plain")
        async with LocalHost() as here, fed(server, tmp_path) as watch:
            watch.session.hardware.set_host(here)
            snapshot = await until_memory(watch, lambda memory: memory.usage.errors)
            picture = snapshot.hardware.usage
            assert picture.errors[0].startswith(said)
            assert picture.source is SampleSource.SERVER
            assert picture.total_bytes == 96 * 1024 * MIB
            assert picture.machine is not None
