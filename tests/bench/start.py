"""What a start costs, and what an idle dashboard does, each figure beside a reference of the same run."""

import compileall
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import aitui
from bench.processes import Bench
from bench.report import Line
from bench.twenty_models import CONFIG

COLUMNS, ROWS = 120, 40
RUNS = 7
OPENINGS = 3
IDLE_SECONDS = 30.0
SETTLE_SECONDS = 6.0
LIMIT = 30.0
HELLO = """
from textual.app import App
from textual.widgets import Static

class Hello(App):
    def compose(self):
        yield Static("hello")

    def on_key(self, event):
        self.query_one(Static).update(f"key {event.character}")

Hello().run()
"""
"""The ten-line app that every first frame, and every key after a rest, is compared with."""
WAKING = HELLO.replace(
    "    def on_key",
    "    def on_mount(self):\n        self.set_interval(SECONDS, lambda: None)\n\n    def on_key",
)
"""That app with a timer that does nothing, again and again."""

VIEWS = (
    ("chat", "\r", "Chat"),
    ("hardware", "4", "Hardware"),
    ("config", "5", "--ctx-size"),
    ("doctor", "D", "Checking"),
)
"""Each view with the key that opens it and a text that only it shows.

The checks of the doctor follow one by one, each when it has ended.
"""
PROMPT = "sends, / commands"
"""What an empty prompt says; the chat has it after its first paint."""

_ESCAPES = re.compile(
    rb"\x1b(?:\[[0-9;:?<>=]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()][A-Z0-9]|[=>78])"
)
_ALTERNATE_SCREEN = b"\x1b[?1049h"


class Run:
    """One program behind a terminal of 120×40; times count from its start."""

    def __init__(self, argv: Sequence[str], environment: dict[str, str]) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.output = bytearray()
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            argv, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
        )
        os.close(slave)

    def until(self, condition: Callable[[bytes], bool], begin: int = 0) -> float:
        """Seconds since the start at which the text after `begin` bytes met the condition."""
        deadline = time.monotonic() + LIMIT
        while time.monotonic() < deadline:
            if self.read(0.5) and condition(bytes(self.output[begin:])):
                return time.monotonic() - self.began
        raise TimeoutError(f"never seen; the output ends with {bytes(self.output[-2000:])!r}")

    def read(self, seconds: float) -> bool:
        """Take what comes within so many seconds; whether anything came."""
        if not select.select([self._master], [], [], seconds)[0]:
            return False
        try:
            self.output += os.read(self._master, 1 << 16)
        except OSError:
            return False
        return True

    def rest(self, seconds: float) -> None:
        """Take whatever comes for so long."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.read(left)

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self._master, keys.encode())

    @property
    def cpu(self) -> float:
        """Seconds of CPU time that the program has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def wake_ups(self) -> int:
        """How often any of its threads has waited and gone on."""
        found = 0
        for status in Path(f"/proc/{self.process.pid}/task").glob("*/status"):
            found += int(
                re.findall(r"^voluntary_ctxt_switches:\s+(\d+)", status.read_text(), re.MULTILINE)[
                    0
                ]
            )
        return found

    @property
    def resident(self) -> int:
        """Bytes of resident memory."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def close(self) -> None:
        """End the program."""
        self.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 5
        while self.process.poll() is None and time.monotonic() < deadline:
            self.read(0.1)
        self.process.kill()
        self.process.wait()
        os.close(self._master)


def start(_bench: Bench) -> list[Line]:
    """The first frame, the live table, memory, idle CPU, `aitui status`, and the first use of each view."""
    # As an installer does it: a start that compiles modules itself takes 0.4 MiB more.
    compileall.compile_dir(Path(aitui.__file__).parent, quiet=1)
    with (
        tempfile.TemporaryDirectory() as folder,
        _server(Path(folder)) as (url, certificates),
        _awake(),
    ):
        return _lines(url, certificates, _environment(Path(folder), url, certificates))


def _lines(url: str, certificates: Path, environment: dict[str, str]) -> list[Line]:
    hello, first, live = _first_frames(environment)
    rest = _at_rest(environment)
    hardware = _hardware_bytes(environment)
    key = _key_wait(environment)
    waits, prompt = _first_uses(environment)
    status, reference = _status(url, certificates, environment)
    mebibytes = rest.resident / 2**20
    return [
        Line("ten-line Textual app, first frame", f"{hello * 1000:.0f} ms"),
        Line("aitui, first frame", f"{first * 1000:.0f} ms"),
        _ratio("… to that app", first / hello, 1.3),
        Line("live table over mTLS", f"{live * 1000:.0f} ms"),
        _ratio("… to that app", live / hello, 2.0),
        Line(
            "resident memory, connected, 20 models",
            f"{mebibytes:.1f} MiB",
            "≤ 50 MiB",
            mebibytes <= 50,
        ),
        Line("idle CPU over 30 s", f"{rest.idle:.2%} of a core", "≤ 0.5 %", rest.idle <= 0.005),
        Line(f"the ten-line app, woken {rest.wake_ups:.0f} times a second", f"{rest.bare:.2%}"),
        _bytes("… bytes to the terminal", rest.sent, 200),
        _bytes("hardware of the busy demo, bytes to the terminal", hardware, 2000),
        Line("curl, and python -c 'import httpx'", f"{reference * 1000:.0f} ms"),
        Line("aitui status", f"{status * 1000:.0f} ms"),
        _ratio("… to these", status / reference, 1.5),
        Line("ten-line app, key to paint after a rest", f"{key * 1000:.0f} ms"),
        *(
            Line(f"{name}, key to first paint", f"{wait * 1000:.0f} ms", "≤ 150 ms", wait <= 0.15)
            for name, wait in waits.items()
        ),
        Line("chat, key to prompt", f"{prompt * 1000:.0f} ms"),
    ]


def _ratio(words: str, ratio: float, most: float) -> Line:
    return Line(words, f"{ratio:.2f} ×", f"≤ {most:g} ×", ratio <= most)


def _bytes(words: str, rate: float, most: int) -> Line:
    return Line(words, f"{rate:.0f} a second", f"≤ {most:,}", rate <= most)


def _text(output: bytes) -> str:
    return _ESCAPES.sub(b"", output).decode(errors="replace")


def _has_frame(output: bytes) -> bool:
    """Whether something was drawn: text after the switch to the alternate screen."""
    return bool(_text(output.partition(_ALTERNATE_SCREEN)[2]).strip())


def _shows(text: str, output: bytes) -> bool:
    return text in _text(output)


def _has_models(output: bytes) -> bool:
    return "model-01" in _text(output)


def _first_frames(environment: dict[str, str]) -> tuple[float, float, float]:
    """Medians of the ten-line app's first frame, of aitui's, and of its table; the runs alternate."""
    hello, first, live = [], [], []
    for number in range(RUNS + 1):
        run = Run([sys.executable, "-c", HELLO], environment)
        seconds = run.until(_has_frame)
        run.close()
        ours = Run([sys.executable, "-m", "aitui"], environment)
        frame, table = ours.until(_has_frame), ours.until(_has_models)
        ours.close()
        if number:  # the first run warms the disk
            hello.append(seconds)
            first.append(frame)
            live.append(table)
    return median(hello), median(first), median(live)


@dataclass(frozen=True, slots=True)
class Rest:
    """A connected dashboard that nobody touches: CPU as a share of a core, the rest a second.

    `bare` is the CPU of the ten-line app that woke as often in the same seconds.
    """

    resident: int
    idle: float
    bare: float
    wake_ups: float
    sent: float


def _at_rest(environment: dict[str, str]) -> Rest:
    run = Run([sys.executable, "-m", "aitui"], environment)
    run.until(_has_models)
    run.rest(SETTLE_SECONDS)
    wakes = run.wake_ups
    run.rest(SETTLE_SECONDS)
    seconds = SETTLE_SECONDS / max(1, run.wake_ups - wakes)
    bare = Run([sys.executable, "-c", WAKING.replace("SECONDS", str(seconds))], environment)
    bare.until(_has_frame)
    bare.rest(2.0)
    run.rest(0.1)
    runs, began = (run, bare), time.monotonic()
    cpu = [one.cpu for one in runs]
    resident, sent, wakes = run.resident, len(run.output), run.wake_ups
    while (left := IDLE_SECONDS - (time.monotonic() - began)) > 0:
        run.rest(min(left, 1.0))
        bare.read(0)
    elapsed = time.monotonic() - began
    idle, reference = ((one.cpu - before) / elapsed for one, before in zip(runs, cpu, strict=True))
    rates = (run.wake_ups - wakes) / elapsed, (len(run.output) - sent) / elapsed
    for one in runs:
        one.close()
    return Rest(resident, idle, reference, *rates)


def _hardware_bytes(environment: dict[str, str]) -> float:
    """Bytes a second of the view of the hardware, for so long that its plots move."""
    run = Run([sys.executable, "-m", "aitui", "--demo"], environment)
    run.until(partial(_shows, "Qwen"))
    run.press("4")
    run.until(partial(_shows, "utilization"))
    run.rest(SETTLE_SECONDS)
    before = len(run.output)
    run.rest(2 * IDLE_SECONDS)
    run.close()
    return (len(run.output) - before) / (2 * IDLE_SECONDS)


def _key_wait(environment: dict[str, str]) -> float:
    """Median of the seconds from a key to the paint in the ten-line app, after a rest each time."""
    run = Run([sys.executable, "-c", HELLO], environment)
    run.until(_has_frame)
    run.rest(SETTLE_SECONDS)
    waits = []
    for key in "abcde":
        begin, pressed = len(run.output), time.monotonic() - run.began
        run.press(key)
        waits.append(run.until(partial(_shows, f"key {key}"), begin) - pressed)
        run.rest(2.0)
    run.close()
    return median(waits)


def _first_uses(environment: dict[str, str]) -> tuple[dict[str, float], float]:
    """Medians of the seconds from the key to the first paint of each view, and to the chat's prompt.

    Each of them is opened for the first time.
    """
    config = Path(environment["HOME"], "config.yaml")
    config.write_text(CONFIG)
    local = {"AI_SERVER_SSH_HOST": "local", "AI_SERVER_PRESET_PATH": str(config)}
    waits: dict[str, list[float]] = {name: [] for name, _, _ in VIEWS}
    prompts: list[float] = []
    for _ in range(OPENINGS):
        run = Run([sys.executable, "-m", "aitui"], {**environment, **local})
        run.until(_has_models)
        run.rest(SETTLE_SECONDS)
        for name, key, text in VIEWS:
            begin, pressed = len(run.output), time.monotonic() - run.began
            run.press(key)
            waits[name].append(run.until(partial(_shows, text), begin) - pressed)
            if name == "chat":
                prompts.append(run.until(partial(_shows, PROMPT), begin) - pressed)
            run.rest(1.0)
            run.press("\x1b")
            run.rest(1.0)
            if name == "chat":  # the first Esc leaves the prompt, the second the chat
                run.press("\x1b")
                run.rest(1.0)
        run.close()
    return {name: median(seconds) for name, seconds in waits.items()}, median(prompts)


def _status(url: str, certificates: Path, environment: dict[str, str]) -> tuple[float, float]:
    """Medians of `aitui status` and of what any client needs: one request, and httpx imported."""
    curl = [
        *("curl", "--silent", "--fail", "--cacert", str(certificates / "root-ca.pem")),
        *("--cert", str(certificates / "client.pem")),
        *("--key", str(certificates / "client-key.pem"), f"{url}/running"),
    ]
    ours, reference = [], []
    for number in range(RUNS + 1):
        seconds = _timed(curl, environment)
        seconds += _timed([sys.executable, "-c", "import httpx"], environment)
        status = _timed([sys.executable, "-m", "aitui", "status"], environment)
        if number:
            reference.append(seconds)
            ours.append(status)
    return median(ours), median(reference)


def _timed(argv: Sequence[str], environment: dict[str, str]) -> float:
    began = time.monotonic()
    subprocess.run(argv, env=environment, stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - began


@contextmanager
def _awake() -> Iterator[None]:
    """Touch new memory on each core, by programs that run only where no other wants to.

    In a virtual machine that is otherwise quiet, page faults can take many times as long: a key took
    the ten-line app 120 ms, 24 ms beside such a program, and 100 ms beside one that only counted.
    One commit was idle at 0.2 and at 9.8 % of a core within a day.
    """
    touch = (
        "import mmap, os\n"
        "os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))\n"
        "while os.getppid() == %d:\n"
        "    with mmap.mmap(-1, 1 << 24) as pages:\n"
        "        for at in range(0, 1 << 24, mmap.PAGESIZE): pages[at] = 1"
    )
    programs = [
        subprocess.Popen([sys.executable, "-c", touch % os.getpid()])
        for _ in os.sched_getaffinity(0)
    ]
    try:
        yield
    finally:
        for program in programs:
            program.kill()
            program.wait()


@contextmanager
def _server(folder: Path) -> Iterator[tuple[str, Path]]:
    """A stand-in with twenty models in a process of its own; its URL and certificates."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.twenty_models", str(folder / "made")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().decode().strip()
        yield url, folder / "made"
    finally:
        process.terminate()
        process.wait()


def _environment(folder: Path, url: str, certificates: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "TERM": "xterm-256color",
        "COLORTERM": "truecolor",
        "AI_SERVER_URL": url,
        "AI_SERVER_SSH_HOST": "",
        "AI_SERVER_CERTS_DIR": str(certificates),
    }
