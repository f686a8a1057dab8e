"""The state and the activity of a server in Prometheus' text format."""

from collections.abc import Iterable, Mapping

from aitui.domain.activity import ActivitySums
from aitui.domain.models import RunState
from aitui.domain.snapshot import ConnectionPhase, Snapshot

_Samples = Iterable[tuple[Mapping[str, str], float]]


def prometheus_text(
    server: str, snapshot: Snapshot, counters: Mapping[str, tuple[ActivitySums, float]]
) -> str:
    """Format what is known of a server; what isn't is left out.

    `counters` are sums and joules by model (https://prometheus.io/docs/instrumenting/exposition_formats/).
    """
    is_up = snapshot.connection.phase is ConnectionPhase.LIVE
    lines = _metric("up", "gauge", "Whether the server answers.", [({}, float(is_up))], server)
    if is_up:
        lines += _state_lines(server, snapshot)
    for name, words, field in (
        ("requests", "Requests that ended.", "requests"),
        ("requests_failed", "Requests that ended with an error.", "failed"),
        ("prompt_tokens", "Prompt tokens, cached ones included.", "prompt"),
        ("cached_prompt_tokens", "Prompt tokens that were cached.", "cached"),
        ("generated_tokens", "Generated tokens.", "tokens"),
        ("request_seconds", "Seconds that requests took.", "seconds"),
    ):
        samples = [
            ({"model": model}, float(getattr(sums, field))) for model, (sums, _) in counters.items()
        ]
        lines += _metric(f"{name}_total", "counter", words, samples, server)
    energy = [({"model": model}, joules) for model, (_, joules) in counters.items() if joules]
    words = "Energy of the graphics cards, shared among the models that ran: an estimate."
    lines += _metric("estimated_energy_joules_total", "counter", words, energy, server)
    return "\n".join(lines) + "\n"


def _state_lines(server: str, snapshot: Snapshot) -> list[str]:
    states = [
        ({"model": model.id, "state": state.value}, float(model.state is state))
        for model in snapshot.models
        if model.loadable
        for state in (RunState.STOPPED, RunState.STARTING, RunState.READY, RunState.STOPPING)
    ]
    lines = _metric("model_state", "gauge", "1 for the state that a model is in.", states, server)
    if snapshot.requests.total is not None:
        total = float(snapshot.requests.total)
        lines += _metric("requests_running", "gauge", "Requests under way.", [({}, total)], server)
    gpus = [card.gpu for card in snapshot.hardware.usage.cards]
    for name, words, field in (
        ("gpu_memory_used_bytes", "Used memory of a graphics card.", "used_bytes"),
        ("gpu_memory_total_bytes", "Memory of a graphics card.", "total_bytes"),
        ("gpu_power_watts", "Power of a graphics card.", "power"),
        ("gpu_temperature_celsius", "Temperature of a graphics card.", "temperature"),
    ):
        samples = [
            ({"gpu": str(gpu.index), "name": gpu.name}, float(value))
            for gpu in gpus
            if (value := getattr(gpu, field)) is not None
        ]
        lines += _metric(name, "gauge", words, samples, server)
    return lines


def _metric(name: str, kind: str, words: str, samples: _Samples, server: str) -> list[str]:
    found = [
        f"aitui_{name}{{{_labels({'server': server, **labels})}}} {value!r}"
        for labels, value in samples
    ]
    head = [f"# HELP aitui_{name} {words}", f"# TYPE aitui_{name} {kind}"]
    return [*head, *found] if found else []


def _labels(labels: Mapping[str, str]) -> str:
    return ",".join(f'{name}="{_escape(value)}"' for name, value in labels.items())


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
