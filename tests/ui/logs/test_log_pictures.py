"""How the logs look."""

from pathlib import Path
from typing import Any

from aitui.domain.logs import LogLine, parse_log_line
from aitui.domain.models import LoadFailure, Model, RunState
from aitui.domain.snapshot import Clock, ConnectionPhase, ConnectionStatus, Server, Snapshot
from aitui.errors import Unreachable
from aitui.services.logs import FeedPhase, FeedState, LogUpdate
from aitui.ui.screens import models
from aitui.ui.screens.logs import LogsScreen
from ui.driven import Driven
from ui.themed import Themed

FROZEN = Clock(lambda: 100.0, lambda: 1_800_000_000.0)
MODEL = "Qwen_Qwen3.6-35B-A3B-Q8_0"
SNAPSHOT = Snapshot(
    ConnectionStatus(ConnectionPhase.LIVE, 100.0, 0.014),
    (Model(MODEL, state=RunState.READY), Model("embed-small")),
    version="v218",
)
GREEN, YELLOW, RED, OFF = "\x1b[32m", "\x1b[33m", "\x1b[1;31m", "\x1b[0m"
OWN = '[INFO] Request 192.168.2.7 "GET /running HTTP/1.1" 200 265 "aitui/0.1 (me@desk)" 175µs'
PROXY_LOG = (
    "[INFO] llama-swap listening on http://127.0.0.1:8080",
    OWN,
    f"[DEBUG] <{MODEL}> Executing start command: /opt/llama-server --port 5801 --ctx-size 262144",
    f"{GREEN}0.00.418.101 I{OFF} srv  llama_server: model loaded",
    f"{YELLOW}0.00.418.322 W{OFF} srv  init: the template is not in the file, \x1b[38;5;208mguessed{OFF}",
    '[INFO] Request 192.168.2.20 "POST /v1/chat/completions HTTP/1.1" 200 4595 "OpenWebUI/0.6" 1.6s',
    "[WARN] metrics: invalid JSON in response body, recording minimal metrics",
    f"{RED}0.09.100.007 E{OFF} CUDA error: an illegal memory access was encountered",
    "hostile \x1b]0;title\x07 [@click=app.quit]x[/] 你好世界 ☃ größer",
)
FAILED_LOG = (
    "0.00.000.088 I srv  llama_server: initializing ...",
    f"0.00.000.122 I srv    load_model: loading model '/models/{MODEL}.gguf'",
    "0.00.050.752 E ggml_backend_cuda_buffer_type_alloc_buffer: allocating 63488 MiB failed: no memory",
    "0.00.050.944 E llama_model_load: error loading model: unable to allocate CUDA0 buffer",
    "0.00.051.079 E srv  llama_server: exiting due to model loading error",
)
FAILED = LoadFailure(
    0.0, "out of memory: 63488.00 MiB did not fit on device 0", (FAILED_LOG[2], FAILED_LOG[3])
)


class Bench(Themed):
    """Nothing but the screen, with the styles that the app has from its first one."""

    CSS_PATH = Path(models.__file__).with_suffix(".tcss")
    server = Server("https://ai.example.org", "home", "home")
    snapshot = SNAPSHOT

    def __init__(self, name: str, lines: tuple[LogLine, ...], **more: Any) -> None:
        super().__init__()
        self.animation_level = "none"
        self._state = more.pop("state", FeedState(FeedPhase.FOLLOWING))
        self._name, self._lines = name, lines
        self.logs = LogsScreen(FROZEN, log=name, model_id=MODEL, **more)

    def on_mount(self) -> None:
        self.push_screen(self.logs)
        self.call_after_refresh(
            self.logs.show_update, self._name, LogUpdate(self._lines, None, self._state)
        )


def read(lines: tuple[str, ...]) -> tuple[LogLine, ...]:
    return tuple(parse_log_line(line) for line in lines)


def test_colors_and_found_words(snap_compare: Any) -> None:
    async def find(pilot: Any) -> None:
        await Driven(pilot.app, pilot).see("hostile")
        await pilot.press("w", "slash", *"error", "enter")
        await Driven(pilot.app, pilot).see("1 of 1")

    bench = Bench("", read(PROXY_LOG))
    assert snap_compare(bench, terminal_size=(120, 36), run_before=find)


def test_a_failed_load(snap_compare: Any) -> None:
    async def until_found(pilot: Any) -> None:
        await Driven(pilot.app, pilot).see("✘ 0.00.050.944")

    bench = Bench(MODEL, read(FAILED_LOG), failed=FAILED)
    assert snap_compare(bench, terminal_size=(80, 24), run_before=until_found)


def test_a_lost_log_that_was_lost_before(snap_compare: Any) -> None:
    async def until_lost(pilot: Any) -> None:
        await Driven(pilot.app, pilot).see("lost, retry in 3 s", "lines may be missing")

    mark = LogLine("── 12:41:07 back after 4 s: lines may be missing here ──", mark=True)
    error = Unreachable("ai.example.org refuses connections", why="nothing listens on that port")
    bench = Bench(
        "proxy",
        (*read(PROXY_LOG[:3]), mark, *read(PROXY_LOG[3:])),
        state=FeedState(FeedPhase.LOST, error, 103.0),
    )
    assert snap_compare(bench, terminal_size=(80, 24), run_before=until_lost)
