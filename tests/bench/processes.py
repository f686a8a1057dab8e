"""The processes of the benchmark: the server, and each run behind a terminal of 120×36."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.measured import Measured, read

COLUMNS, ROWS = 120, 36
KEY_EVERY = 0.1


class Bench:
    """The server runs while the context is open."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._certificates = Path(self._folder.name, "certificates")
        self._environment = {
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parents[1]),
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
            "COLUMNS": str(COLUMNS),
            "LINES": str(ROWS),
        }
        self._kept: dict[tuple[str, str], Measured] = {}

    def __enter__(self) -> Self:
        self._source = subprocess.Popen(
            [sys.executable, "-m", "bench.source", str(self._certificates)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self._environment,
        )
        assert self._source.stdout is not None
        self._port = self._source.stdout.readline().decode().strip()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._source.terminate()
        self._source.wait()
        self._folder.cleanup()

    def least(self, what: str, model: str, times: int = 2) -> Measured:
        """The cheapest of several runs; it is kept, so that sections share it."""
        if (what, model) not in self._kept:
            runs = [self.run(what, model) for _ in range(times)]
            best = min(runs, key=lambda run: run.cpu)
            self._kept[what, model] = best
        return self._kept[what, model]

    def _last_sent(self) -> float:
        """When the server had sent the last of the newest answer, read by then from its output."""
        assert self._source.stdout is not None
        return float(self._source.stdout.readline())

    def run(self, what: str, model: str, limit: float = 300.0) -> Measured:
        """One run in a process of its own. Raises TimeoutError after `limit` seconds."""
        result = Path(self._folder.name, "measured.json")
        begun = Path(f"{result}.begun")
        for path in (result, begun):
            path.unlink(missing_ok=True)
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "bench.run", what, model),
                *(self._port, str(self._certificates), str(result)),
            ],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=self._environment,
            start_new_session=True,
        )
        os.close(slave)
        try:
            output, pressed = _driven(process, master, begun, time.monotonic() + limit)
        finally:
            process.kill()
            process.wait()
            os.close(master)
        if not result.exists():
            raise RuntimeError(
                f"{what} {model} ended early:\n{output[-3000:].decode(errors='replace')}"
            )
        measured = read(result)
        if what not in {"table", "merging", "lines"}:
            measured.late = max(0.0, measured.painted - self._last_sent())
        measured.sent_bytes = len(output)
        measured.key_waits = [
            handled - at for at, handled in zip(pressed, measured.keys, strict=False)
        ]
        return measured


def _driven(
    process: subprocess.Popen[bytes], master: int, begun: Path, deadline: float
) -> tuple[bytes, list[float]]:
    """Read what the process draws and from its beginning press keys, until it ends."""
    output = bytearray()
    pressed: list[float] = []
    next_key = 0.0
    while process.poll() is None:
        now = time.monotonic()
        if now > deadline:
            raise TimeoutError("a run of the benchmark took too long")
        if now >= next_key and begun.exists():
            next_key = now + KEY_EVERY
            pressed.append(time.monotonic())
            os.write(master, b"x")
        if select.select([master], [], [], 0.02)[0]:
            try:
                output += os.read(master, 65536)
            except OSError:
                break  # the other end of the terminal is closed
    process.wait()
    return bytes(output), pressed
