"""A whole deployment: llama-swap as a unit of systemd behind SSH, and somebody at a terminal."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import aiohttp

from aitui.demo.dialect import Dialect
from e2e.pseudo_terminal.terminal import PATIENCE, Terminal, surroundings, terminal
from e2e.service.user_manager import ACCOUNT, UNIT_TEXT, UserManager

READING = 0.4
"""Seconds that somebody takes to read a question; before that it takes no yes."""
READING_UNPROMPTED = 1.1
"""The same for a question that came by itself, and covers what somebody is doing."""
CONFIG = """\
# What the machine serves.
macros:
  server: /opt/llama.cpp/llama-server --port ${PORT}
models:
  small:
    cmd: |
      ${server}
      --model /models/small.gguf
      # as many as the card holds
      --ctx-size 65536
      --start-delay 0.4 --memory-mib 8000 --fail-oom-above 131072
  frail:
    cmd: ${server} --model /models/frail.gguf --chunks 40 --die-after 20
  napping:
    ttl: 60
    cmd: ${server} --model /models/napping.gguf --start-delay 10
  talking:
    cmd: ${server} --model /models/talking.gguf --chunks 4000 --tokens-per-second 20 --parallel 1
  broken:
    cmd: ${server} --model /models/broken.gguf --fail-oom 0.1
"""


class Line:
    """A TCP connection to a port of this machine that may be slow, or cut for a while."""

    def __init__(self, port: int) -> None:
        self._there = port
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self.port = 0
        self.delay = 0.0
        """Seconds until a piece arrives."""

    async def open(self) -> None:
        """Accept connections, on the same port each time."""
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Refuse connections, and end those that are open."""
        if self._server is not None:
            self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        back: asyncio.StreamWriter | None = None
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._there)
            await asyncio.gather(self._pass(reader, back), self._pass(there, writer))
        except (OSError, asyncio.CancelledError):
            pass  # an end or the test has cut it
        finally:
            self._connections.discard(task)
            for end in (writer, back):
                if end is not None:
                    end.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(1 << 16):
            await asyncio.sleep(self.delay)
            writer.write(piece)
            await writer.drain()
        writer.close()


class Deployment:
    """One build of llama-swap on a machine, and the home of somebody who uses it from elsewhere."""

    def __init__(self, machine: UserManager, dialect: Dialect, home: Path) -> None:
        self.machine = machine
        self.dialect = dialect
        self.home = home
        self.http = Line(machine.port)
        self.ssh = Line(machine.ssh_port)
        self.environment: dict[str, str] = {}

    async def install(self) -> None:
        """Let the service run afresh, and open the ways to it."""
        unit = UNIT_TEXT.replace("-listen", f"-dialect {self.dialect.value} -listen")
        await asyncio.to_thread(self.machine.reset, unit, CONFIG)
        await self.http.open()
        await self.ssh.open()
        folder = self.home / ".ssh"
        folder.mkdir(parents=True, mode=0o700)
        key = self.machine.known_hosts.read_text().partition(" ")[2]
        (folder / "known_hosts").write_text(f"[127.0.0.1]:{self.ssh.port} {key}")
        (folder / "config").write_text(
            f"Host box\n  HostName 127.0.0.1\n  Port {self.ssh.port}\n  User {ACCOUNT}\n"
            f"  IdentityFile {self.machine.identity}\n  IdentityAgent none\n"
        )
        url = f"http://127.0.0.1:{self.http.port}"
        self.environment = surroundings(
            self.home, AI_SERVER_URL=url, AI_SERVER_SSH_HOST="box", TMPDIR=str(self.home)
        )

    async def aclose(self) -> None:
        """Close the ways to the machine."""
        await self.http.cut()
        await self.ssh.cut()

    @property
    def config(self) -> str:
        """What stands in the config file."""
        return self.machine.config.read_text()

    def write_config(self, old: str, new: str) -> None:
        """Change the config file by hand."""
        assert old in self.config
        self.machine.write_config(self.config.replace(old, new))

    def open(self, *arguments: str, **variables: str) -> AbstractAsyncContextManager[Terminal]:
        """Run aitui in a terminal."""
        return terminal(arguments, self.environment | variables, size=(120, 36))

    @asynccontextmanager
    async def table(self, model: str, **variables: str) -> AsyncIterator[Terminal]:
        """Run the dashboard, the cursor on a model."""
        async with self.open(**variables) as shown:
            await shown.see("? help", model)
            shown.press("/")
            await shown.see("keep the filter")
            shown.press(f"{model}\r")
            await shown.see(f"▌○ {model}", "l load")
            yield shown

    async def shell(self, *arguments: str) -> tuple[int, str]:
        """Run a command of aitui's to its end; its exit status, and what it showed."""
        async with self.open(*arguments) as shown:
            return await shown.ends(), shown.words

    async def running(self) -> dict[str, str]:
        """The state of each model that runs, as another client is told."""
        async with (
            aiohttp.ClientSession() as client,
            client.get(f"{self.machine.url}/running") as response,
        ):
            return {one["model"]: one["state"] for one in (await response.json())["running"]}

    @asynccontextmanager
    async def chatting(self, model: str) -> AsyncIterator[None]:
        """Let another client receive a reply during the block."""
        question = {"model": model, "messages": [{"role": "user", "content": "hi"}], "stream": True}
        async with (
            aiohttp.ClientSession() as client,
            client.post(f"{self.machine.url}/v1/chat/completions", json=question) as response,
        ):
            await response.content.readline()
            yield


async def paste(shown: Terminal, text: str) -> None:
    """Paste a text of any length, as fast as it is taken."""
    rest = f"\x1b[200~{text}\x1b[201~"
    while rest:
        shown.press(rest[:1024])
        rest = rest[1024:]
        await asyncio.sleep(0.01)


async def answer(shown: Terminal, question: str, key: str = "y") -> None:
    """Read a question and answer it; read on if it takes no answer yet, or its facts change."""
    await shown.see(question)
    reading = READING
    async with asyncio.timeout(PATIENCE):
        while shown.is_running and question in shown.text:
            await asyncio.sleep(reading)
            shown.press(key)
            await asyncio.sleep(0.1)
            reading = READING_UNPROMPTED


async def read_messages(shown: Terminal, *texts: str) -> None:
    """Open the last messages, of which the line above the keys shows the beginning of one."""
    shown.press("m")
    await shown.see("newest first")

    def said() -> str:
        return " ".join(re.sub("[│╭╮╰╯─]", " ", shown.text).split())

    await shown.until(lambda: all(text in said() for text in texts), f"in the messages: {texts}")
    shown.press("q")
    await shown.unsee("newest first")


async def find_detail(shown: Terminal, *texts: str) -> str:
    """Wait until the pane of the model under the cursor says that; everything that it says."""

    def detail() -> str:
        lines = (re.split("[│╯╮]│", line, maxsplit=1)[1:] for line in shown.screen.display)
        return " ".join(" ".join(text.rstrip(" │") for pane in lines for text in pane).split())

    await shown.until(lambda: all(text in detail() for text in texts), f"in detail: {texts}")
    return detail()
