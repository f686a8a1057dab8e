"""Models in every state that the table knows."""

from aitui.domain.memory.footprint import Footprint, FootprintOrigin
from aitui.domain.models import (
    ActiveRequest,
    ActiveRequests,
    ContextSize,
    ContextSource,
    LoadFailure,
    Model,
    ModelKind,
    RunState,
)
from ui.hand_made import NOW, WALL

GIB = 1 << 30
COMMAND = "/opt/llama.cpp/llama-server --port 5801 --ctx-size 262144 --flash-attn on -ngl 99"


def context(tokens: int, source: ContextSource = ContextSource.RUNNING_COMMAND) -> ContextSize:
    """A context size and where it was found."""
    return ContextSize(tokens, source)


READY = Model(
    "Qwen_Qwen3.6-35B-A3B-Q8_0",
    name="Qwen 3.6 35B",
    description="thinks before it answers",
    aliases=("gpt-4o", "default"),
    state=RunState.READY,
    since=NOW - 3720,
    context=context(262_144),
    command=COMMAND,
    proxy="http://127.0.0.1:5801",
    ttl=1800,
    last_used=NOW - 372,
    requests=2,
    reasoning=True,
    memory=Footprint(
        262_144,
        round(41.2 * GIB),
        weights=round(34.4 * GIB),
        cache=round(5.6 * GIB),
        compute=round(1.2 * GIB),
        origin=FootprintOrigin.MEASURED,
    ),
)
LOADING = Model(
    "gpt-oss-120b-mxfp4",
    state=RunState.STARTING,
    since=NOW - 18,
    requested=NOW - 18,
    context=context(131_072),
    expected_load=29,
    memory=Footprint(131_072, 63 * GIB),
)
WAITING = Model(
    "MiniMax-M2.7-IQ3_XXS",
    requested=NOW - 7,
    context=context(131_072, ContextSource.SERVER_METADATA),
    expected_load=41,
    memory=Footprint(131_072, 52 * GIB, origin=FootprintOrigin.SCALED),
)
STOPPING = Model(
    "gemma-3-27b-it-Q4_K_M",
    state=RunState.STOPPING,
    since=NOW - 2,
    context=context(8192),
)
FAILED = Model(
    "too-big-405b-Q8_0",
    failed=LoadFailure(
        WALL - 300,
        "out of memory: 48211.00 MiB did not fit on device 0",
        ("E alloc_tensor_range: failed to allocate CUDA0 buffer of size 50552897536",),
    ),
    context=context(4096),
    expected_load=12,
)
IDLE = Model("embed-small", description="for search", expected_load=3)
PEER = Model("peer1/remote-llama", kind=ModelKind.PEER, peer="peer1")
SELECTOR = Model("best", kind=ModelKind.SELECTOR, targets=("a-7b", "b-13b"))
HIDDEN = Model("hidden-embed", unlisted=True, context=context(512, ContextSource.CONFIG_FILE))

MIXTURE = (READY, WAITING, LOADING, STOPPING, FAILED, IDLE, PEER, SELECTOR, HIDDEN)
REQUESTS = ActiveRequests(
    total=2,
    running=(
        ActiveRequest(
            "1", READY.id, client="192.168.2.20", user_agent="OpenWebUI/0.6", started=NOW - 35
        ),
        ActiveRequest("2", READY.id, client="192.168.2.31", started=NOW - 3),
    ),
)
