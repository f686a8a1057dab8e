"""The situation in which each recording was made, by the recording's name."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable

from demo.lab import Lab

Situation = Callable[[Lab], Awaitable[None]]

GEMMA = "author/gemma-3:27b-q4"


async def idle(lab: Lab) -> None:
    """Nothing is loaded."""


def ready(*models: str) -> Situation:
    """These models are loaded."""

    async def arrange(lab: Lab) -> None:
        await lab.load(*models)

    return arrange


async def preloaded(lab: Lab) -> None:
    """What the configuration wants loaded at the start has been loaded."""
    await lab.until_state("hidden-embed", "ready")


def starting(model: str) -> Situation:
    """The model is being loaded for somebody."""

    async def arrange(lab: Lab) -> None:
        lab.beside(lab.load(model))
        await lab.until_state(model, "starting")

    return arrange


async def stopping(lab: Lab) -> None:
    """The model that is slow to stop has just been unloaded."""
    await lab.load(GEMMA)
    lab.beside(lab.post(f"/api/models/unload/{GEMMA}"))
    await asyncio.sleep(0.03)


async def swapped_out(lab: Lab) -> None:
    """The model that is slow to stop has to make room."""
    await lab.load(GEMMA)
    lab.beside(lab.load("slow-start"))
    await lab.until_state(GEMMA, "stopping")


async def other_unloaded_soon(lab: Lab) -> None:
    """One model stops; another, which is about to be asked for, will be unloaded."""
    await stopping(lab)
    lab.beside(_later(0.05, lab.post("/api/models/unload/qwen3-8b")))


def unloaded_soon(model: str, seconds: float) -> Situation:
    """Somebody unloads the model while the request runs."""

    async def arrange(lab: Lab) -> None:
        lab.beside(_later(seconds, lab.post(f"/api/models/unload/{model}")))

    return arrange


async def chat_cut_off(lab: Lab) -> None:
    """The chat's model is unloaded in the middle of the answer."""
    await lab.load("slow-start")
    lab.beside(_later(0.05, lab.post("/api/models/unload/slow-start")))


async def chat_cancelled(lab: Lab) -> None:
    """The chat is cancelled over the API in the middle of the answer."""
    await lab.load("slow-start")
    lab.beside(_later(0.05, lab.post("/api/inflight/1/cancel")))


async def second_request_runs(lab: Lab) -> None:
    """One request has been answered, another one runs."""
    await lab.chat("slow-start")
    lab.beside(_occupy(lab, 2.0))
    await lab.until_state("one-at-a-time", "ready")


async def busy(lab: Lab) -> None:
    """The model that takes one request at a time has one."""
    lab.beside(_occupy(lab, 2.0))
    await lab.until_state("one-at-a-time", "ready")


async def busy_for_a_moment(lab: Lab) -> None:
    """A model that has to make room answers somebody for a little longer."""
    lab.beside(_occupy(lab, 0.1))
    await lab.until_state("one-at-a-time", "ready")


async def busy_and_awaited(lab: Lab) -> None:
    """Another model waits until the busy one may go."""
    await busy(lab)
    lab.beside(lab.load("slow-start"))
    await asyncio.sleep(0.03)


async def profile_active(lab: Lab) -> None:
    """The profile `coding` is active, where there are profiles."""
    await lab.send("PUT", "/api/profiles/active", {"name": "coding"})


async def chatted(lab: Lab) -> None:
    """Chats have been held, and some have failed."""
    await lab.chat("slow-start")
    await lab.chat("no-such-model")
    await lab.chat("broken")


async def chatted_with_a_selector(lab: Lab) -> None:
    """As before, and one chat named a selector."""
    await chatted(lab)
    await lab.chat("warm-any")


async def chatted_badly(lab: Lab) -> None:
    """Most chats have failed, some of them at once."""
    for _ in range(4):
        await lab.chat("no-such-model")
    await lab.chat("broken")
    await lab.chat("slow-start")


async def chatted_well(lab: Lab) -> None:
    """Chats have been held, and none has failed."""
    for model in ("slow-start", "slow-load", "ttl-short", "qwen3-8b", "dies-midstream"):
        await lab.chat(model, stream=False)


async def chatted_once(lab: Lab) -> None:
    """One chat has been held."""
    await lab.chat("qwen3-8b", stream=False)


async def client_left(lab: Lab) -> None:
    """A client has left before the model that it waited for was loaded."""
    waiting = lab.beside(lab.chat("slow-load"))
    await lab.until_state("slow-load", "starting")
    waiting.cancel()
    await lab.until_state("slow-load", "ready")


def failed(model: str) -> Situation:
    """The model could not be loaded."""

    async def arrange(lab: Lab) -> None:
        await lab.load(model)

    return arrange


async def requests_come(lab: Lab) -> None:
    """Others send requests, so that the log moves."""

    async def keep_asking() -> None:
        while True:
            await lab.get("/health")
            await asyncio.sleep(0.02)

    lab.beside(keep_asking())


SITUATIONS: dict[str, Situation] = {
    "api_events_logs_http|logs_stream_http": requests_come,
    "api_events_while_loading": starting("slow-load"),
    "api_metrics_activity_client_left": client_left,
    "api_events_full": idle,
    "api_inflight_cancel_ok": second_request_runs,
    "api_metrics(_activity)?_after_events|api_metrics": chatted,
    "api_metrics_activity": chatted_with_a_selector,
    "api_metrics_activity_params": chatted_badly,
    "api_metrics_activity_(min_id|model|time)": chatted_well,
    "api_metrics_stats(_model)?": chatted_well,
    "api_profiles_when_active": profile_active,
    "api_unload_other_while_stopping": stopping,
    "chat_(bad_json|form_content_type|no_content_type|stream_warm.*)": ready("slow-start"),
    "chat_concurrency_limit_429": busy,
    "chat_.*_cancelled_by_api": chat_cancelled,
    "chat_other_model_waits_for_busy": busy_for_a_moment,
    "chat_profile_pin_(active|null)": profile_active,
    "chat_stream_unloaded_midway": chat_cut_off,
    "keys_ok_.*": preloaded,
    "loading_queue_position_2": starting("slow-start"),
    "loading_running_6s_after_client_left": ready("slow-load"),
    "loading_running_after_client_left": starting("slow-load"),
    "loading_unload_while_loading_chat": unloaded_soon("slow-load", 0.05),
    "logs_stream_model(_alias)?": ready("qwen3-8b"),
    "logs_stream_model_not_running": failed("broken"),
    "logs_stream_model_slash_id": ready(GEMMA),
    "logs_stream_no_history": requests_come,
    "logs_stream_upstream": ready("qwen3-8b"),
    "logs_stream_unlisted": ready("hidden-embed"),
    "noperf_api_metrics(_activity)?_nocapture": chatted_once,
    "running_5s_after_client_gave_up": ready("slow-start"),
    "running_after_client_disconnect": ready("dies-midstream", "qwen3-8b"),
    "running_after_stopping": ready(GEMMA),
    "running_after_swap": ready("qwen3-8b", "slow-load"),
    "running_never_healthy_at_8s": starting("never-healthy"),
    "running_one_ready": ready("slow-start"),
    "running_one_starting": starting("slow-start"),
    "running_preload_just_after_start": starting("hidden-embed"),
    "running_preload_ready": ready("hidden-embed"),
    "running_right_after_client_gave_up": starting("slow-start"),
    "running_stopping": stopping,
    "running_swap_now_starting": starting("slow-start"),
    "running_swap_slow_load_starting": starting("slow-load"),
    "running_swap_stopping_then_starting": swapped_out,
    "running_ttl_just_used": ready("ttl-short"),
    "running_two": ready("qwen3-8b", "hidden-embed"),
    "running_while_other_waits": busy_and_awaited,
    "swap_done_running": ready("slow-start"),
    "unload_by_alias": ready("qwen3-8b"),
    "unload_running": ready("qwen3-8b"),
    "unload_slash_id_raw_slow_stop": ready(GEMMA),
    "unload_while_starting": starting("slow-start"),
    "upstream_health_already_ready": ready("slow-start"),
    "upstream_health_other_model_while_stopping": other_unloaded_soon,
    "upstream_health_second_waiter": starting("slow-start"),
    "upstream_health_unloaded_while_starting": unloaded_soon("slow-start", 0.05),
    "upstream_health_while_stopping": stopping,
    "v1_models_profile_active": profile_active,
    "v1_models_while_ready": ready("slow-start"),
    "v1_models_while_starting": starting("slow-start"),
    "v1_models_while_stopping": stopping,
}

SITUATIONS_OF_V217: dict[str, Situation] = {
    # Its metrics had not been cleared when this was recorded.
    "api_events_idle_initial": chatted,
    # It had refused the request that made the others load the model again.
    "running_after_stopping": idle,
}


def situation_of(name: str, dialect: str) -> Situation:
    """How to arrange what a recording's name tells."""
    own = SITUATIONS_OF_V217 if dialect == "v217" else {}
    for table in (own, SITUATIONS):
        for pattern, situation in table.items():
            if re.fullmatch(pattern, name):
                return situation
    return idle


async def _later(seconds: float, work: Awaitable[object]) -> None:
    await asyncio.sleep(seconds)
    await work


async def _occupy(lab: Lab, seconds: float) -> None:
    async with lab.server.busy("one-at-a-time"):
        await asyncio.sleep(seconds)
