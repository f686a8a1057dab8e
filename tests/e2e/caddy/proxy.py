"""Debian's Caddy with the set-up guide's block, on a free port of this machine."""

import asyncio
import os
import socket
from pathlib import Path
from typing import Self

from e2e.caddy.openssl import Pair

STARTS_WITHIN = 20.0
"""Seconds after which a Caddy that doesn't listen counts as broken."""

_CADDYFILE = """\
{{
    admin off
    auto_https off
    servers {{
        protocols h1 h2
    }}
}}

https://localhost:{port} {{
    bind 127.0.0.1
    tls {certificate} {key} {{
        client_auth {{
            mode require_and_verify
            trusted_ca_cert_file {root}
        }}
    }}
    {more}
    reverse_proxy {upstream}
}}
"""


class Caddy:
    """One Caddy process in front of a plain http server; asks nothing of the network."""

    def __init__(
        self, folder: Path, upstream: str, served: Pair, root: Path, *, more: str = ""
    ) -> None:
        self._folder = folder
        self._port = _free_port()
        self._text = _CADDYFILE.format(
            port=self._port,
            certificate=served.certificate,
            key=served.key,
            root=root,
            more=more,
            upstream=upstream.removeprefix("http://"),
        )
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Where it is, under the name that it serves."""
        return f"https://localhost:{self._port}"

    @property
    def url_by_address(self) -> str:
        """The same port, under a name that its certificate may hold and its site doesn't."""
        return f"https://127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "Caddyfile").write_text(self._text)
        home = str(self._folder)
        log = (self._folder / "log").open("wb")
        with log:
            self._process = await asyncio.create_subprocess_exec(
                *("caddy", "run", "--config", "Caddyfile", "--adapter", "caddyfile"),
                cwd=self._folder,
                env={**os.environ, "HOME": home, "XDG_DATA_HOME": home, "XDG_CONFIG_HOME": home},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            async with asyncio.timeout(STARTS_WITHIN):
                await self._until_it_listens()
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._end()

    async def _until_it_listens(self) -> None:
        assert self._process is not None
        while True:
            assert self._process.returncode is None, (self._folder / "log").read_text()
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self._port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                await writer.wait_closed()
                return

    async def _end(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
