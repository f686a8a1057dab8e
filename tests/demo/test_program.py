"""The stand-in as a program: llama-swap's flags, signals, words and exit statuses."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

import llama_swap_program
from certificates import make_certificates

CONFIG = """\
models:
  small:
    cmd: llama-server --port ${PORT} --ctx-size 4096 --memory-mib 1000 --fail-oom-above 8192
  by-environment:
    env: ["LLAMA_ARG_CTX_SIZE=12288"]
    cmd: llama-server --port ${PORT}
  talker:
    cmd: llama-server --port ${PORT} --chunks 20 --tokens-per-second 40
"""


@dataclass
class Program:
    """One running program and a client of it."""

    url: str
    config: Path
    process: asyncio.subprocess.Process
    client: aiohttp.ClientSession

    async def get(self, path: str) -> tuple[int, str]:
        async with self.client.get(f"{self.url}{path}") as response:
            return response.status, await response.text()

    async def until_log(self, words: str, path: str = "/logs", times: int = 1) -> str:
        async with asyncio.timeout(10):
            while (text := (await self.get(path))[1]).count(words) < times:
                await asyncio.sleep(0.01)
        return text

    async def command(self, model: str) -> str:
        await self.get(f"/upstream/{model}/health")
        async with self.client.get(f"{self.url}/running") as response:
            running = (await response.json(content_type=None))["running"]
        return next((str(entry["cmd"]) for entry in running if entry["model"] == model), "")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def start(*words: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *(llama_swap_program.__file__, *words),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


@asynccontextmanager
async def running(folder: Path, *words: str) -> AsyncIterator[Program]:
    config = folder / "config.yaml"
    config.write_text(CONFIG)
    address = f"127.0.0.1:{free_port()}"
    process = await start("-listen", address, "-config", str(config), *words)
    try:
        async with aiohttp.ClientSession() as client:
            program = Program(f"http://{address}", config, process, client)
            async with asyncio.timeout(20):
                while True:
                    try:
                        await program.get("/health")
                    except aiohttp.ClientConnectionError:
                        assert process.returncode is None
                        await asyncio.sleep(0.01)
                    else:
                        break
            yield program
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.fixture
async def program(tmp_path: Path) -> AsyncIterator[Program]:
    async with running(tmp_path) as there:
        yield there


async def test_sighup_reads_the_file_again(program: Program) -> None:
    assert "--ctx-size 4096" in await program.command("small")
    for times, new in enumerate(("--ctx-size 8192", "--ctx-size=6144", "-c 2048"), 1):
        program.config.write_text(CONFIG.replace("--ctx-size 4096", new))
        program.process.send_signal(signal.SIGHUP)
        log = await program.until_log("configuration reloaded", times=times)
        assert log.count("received SIGHUP, reloading config") == times
        assert new in await program.command("small")
        tokens = re.split("[ =]", new)[1]
        assert f'"n_ctx": {tokens}' in (await program.get("/upstream/small/props"))[1]


async def test_a_file_that_is_no_configuration_keeps_the_old_one(program: Program) -> None:
    texts = (
        "models:\n  small: [",
        "globalTTL: soon\n",
        "models: {a: {cmd: 'x ${PORT}', ttl: [1]}}\n",
        "- a\n",
    )
    for times, text in enumerate(texts, 1):
        program.config.write_text(text)
        program.process.send_signal(signal.SIGHUP)
        log = await program.until_log("failed to reload config", times=times)
        assert log.count("[WARN] failed to reload config: yaml: ") == times
        assert "--ctx-size 4096" in await program.command("small")


async def test_a_file_that_has_gone_keeps_the_old_one(program: Program) -> None:
    program.config.unlink()
    program.process.send_signal(signal.SIGHUP)
    assert "no such file or directory" in await program.until_log("failed to reload config")
    assert "--ctx-size 4096" in await program.command("small")


async def test_a_changed_file_does_nothing_without_watching(program: Program) -> None:
    program.config.write_text(CONFIG.replace("4096", "8192"))
    await asyncio.sleep(0.6)
    assert "--ctx-size 4096" in await program.command("small")


@pytest.mark.parametrize("replaces", [False, True])
async def test_a_watched_file_is_read_again_when_it_changes(
    tmp_path: Path, *, replaces: bool
) -> None:
    async with running(tmp_path, "-watch-config") as program:
        new = CONFIG.replace("4096", "8192")
        if replaces:
            other = program.config.with_name("new")
            other.write_text(new)
            other.rename(program.config)
        else:
            program.config.write_text(new)
        log = await program.until_log("configuration reloaded")
        assert "SIGHUP" not in log
        assert "--ctx-size 8192" in await program.command("small")


async def test_sigterm_refuses_new_connections_and_lets_a_chat_end(program: Program) -> None:
    body = {"model": "talker", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    url = f"{program.url}/v1/chat/completions"
    async with (
        program.client.get(f"{program.url}/api/events") as events,
        program.client.post(url, json=body) as chat,
    ):
        await chat.content.readline()
        program.process.terminate()
        async with asyncio.timeout(10):
            await events.read()
            assert program.process.returncode is None
            async with aiohttp.ClientSession() as other:
                with pytest.raises(aiohttp.ClientConnectionError):
                    await other.get(f"{program.url}/running")
            assert (await chat.read()).endswith(b"data: [DONE]\n\n")
            assert await program.process.wait() == 0


async def test_the_oldest_build_cuts_its_chats(tmp_path: Path) -> None:
    async with running(tmp_path, "-dialect", "v217") as program:
        body = {"model": "talker", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
        async with program.client.post(f"{program.url}/v1/chat/completions", json=body) as chat:
            await chat.content.readline()
            program.process.terminate()
            async with asyncio.timeout(10):
                assert b"[DONE]" not in await chat.read()
                assert await program.process.wait() == 0


async def test_a_context_above_the_limit_ends_out_of_memory(program: Program) -> None:
    program.config.write_text(CONFIG.replace("4096", "16384"))
    program.process.send_signal(signal.SIGHUP)
    await program.until_log("configuration reloaded")
    status, _ = await program.get("/upstream/small/health")
    assert status == 500
    assert await program.command("small") == ""
    log = (await program.get("/logs"))[1]
    assert "upstream command exited prematurely" in log
    async with program.client.get(f"{program.url}/logs/stream/small") as stream:
        text = (await stream.content.read(4096)).decode()
    assert "allocating 400.00 MiB on device 0: cudaMalloc failed: out of memory" in text
    assert "failed to allocate buffer for kv cache" in text


async def test_a_context_at_the_limit_fits(program: Program) -> None:
    program.config.write_text(CONFIG.replace("4096", "8192"))
    program.process.send_signal(signal.SIGHUP)
    await program.until_log("configuration reloaded")
    assert (await program.get("/upstream/small/health"))[0] == 200


async def test_a_context_that_is_no_number_ends_the_model(program: Program) -> None:
    program.config.write_text(CONFIG.replace("4096", "a-lot"))
    program.process.send_signal(signal.SIGHUP)
    await program.until_log("configuration reloaded")
    assert (await program.get("/upstream/small/health"))[0] == 500
    async with program.client.get(f"{program.url}/logs/stream/small") as stream:
        assert b'handling argument "--ctx-size"' in await stream.content.read(4096)


async def test_the_props_tell_the_context_of_the_environment(program: Program) -> None:
    assert '"n_ctx": 12288' in (await program.get("/upstream/by-environment/props"))[1]


@pytest.mark.parametrize(
    ("text", "words", "status", "said"),
    [
        ("models: [", (), 1, "[ERROR] Error loading config: yaml: line "),
        (None, (), 1, "[ERROR] Error loading config: open "),
        (CONFIG, ("--host", "0.0.0.0"), 2, "flag provided but not defined: -host"),
        (CONFIG, ("-dialect",), 2, "flag needs an argument: -dialect"),
        (CONFIG, ("-version",), 0, "version: "),
    ],
)
async def test_what_keeps_it_from_starting_ends_it(
    tmp_path: Path, text: str | None, words: tuple[str, ...], status: int, said: str
) -> None:
    config = tmp_path / "config.yaml"
    if text is not None:
        config.write_text(text)
    listen = f"127.0.0.1:{free_port()}"
    process = await start("-listen", listen, "-config", str(config), *words)
    async with asyncio.timeout(20):
        output, _ = await process.communicate()
    assert said in output.decode()
    assert process.returncode == status


async def test_a_port_that_is_taken_ends_it(program: Program) -> None:
    listen = program.url.removeprefix("http://")
    process = await start("-listen", listen, "-config", str(program.config))
    async with asyncio.timeout(20):
        output, _ = await process.communicate()
    assert "bind: address already in use" in output.decode()
    assert process.returncode == 1


async def test_with_a_certificate_it_speaks_tls(tmp_path: Path) -> None:
    made = make_certificates(tmp_path / "certificates")
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG)
    address = f"127.0.0.1:{free_port()}"
    pair = ("-tls-cert-file", str(made.server_cert), "-tls-key-file", str(made.server_key))
    process = await start("-listen", address, "-config", str(config), *pair)
    context = ssl.create_default_context(cafile=made.root_ca)
    connector = aiohttp.TCPConnector(ssl=context)
    try:
        async with aiohttp.ClientSession(connector=connector) as client, asyncio.timeout(20):
            while True:
                try:
                    async with client.get(f"https://{address}/health") as response:
                        assert await response.text() == "OK"
                        break
                except aiohttp.ClientConnectionError:
                    assert process.returncode is None
                    await asyncio.sleep(0.01)
    finally:
        process.kill()
        await process.communicate()


@pytest.mark.parametrize(
    ("text", "status", "words"),
    [
        (CONFIG, 0, "config is valid: 3 model(s), 0 peer(s)\n"),
        ("models: {a: {cmd: 'x ${PORT}', ttl: [1]}}\n", 1, "config validation failed: yaml: "),
        ("models: [\n", 1, "config validation failed: yaml: "),
    ],
)
async def test_it_checks_a_config_file_and_ends(
    tmp_path: Path, text: str, status: int, words: str
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(text)
    process = await start("-dialect", "v263", "-validate", "-config", str(config))
    said, _ = await process.communicate()
    assert process.returncode == status
    assert said.decode().startswith(words)


async def test_older_builds_know_no_such_check(tmp_path: Path) -> None:
    process = await start("-validate", "-config", str(tmp_path / "config.yaml"))
    said, _ = await process.communicate()
    assert process.returncode == 2
    assert b"flag provided but not defined: -validate" in said
