"""What happened in the hour before the demo starts: loads, requests, samples and log lines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from random import Random

from msgspec import Struct

from aitui.demo.activity import CLIENT_LEFT, NO_TOKENS, TokenCounts
from aitui.demo.captures import invent_exchange
from aitui.demo.catalogue import CODER, DEEPSEEK, DEVSTRAL, EMBEDDING, GLM, GPT_OSS, QWEN, SMOL
from aitui.demo.graphics_cards import GraphicsCards, Warmth
from aitui.demo.llama_swap import LlamaSwap
from aitui.demo.performance import PastSample, card_load, gpu_row, system_row
from aitui.demo.upstream_log import UpstreamLog
from aitui.demo.upstream_process import UpstreamProcess
from aitui.domain.activity import IDLE_TIMEOUT, ActivityKind, ActivityRow

HOUR = 3600.0


class Client(Struct, frozen=True):
    """A program on another machine."""

    address: str
    user_agent: str


LAPTOP = Client("10.0.0.12", "pi/0.31.2")
PHONE = Client("10.0.0.20", "Open WebUI/0.6.36")
DESK = Client("10.0.0.31", "Zed/0.212.4")
CLIENT_NAMES = {LAPTOP.address: "laptop", PHONE.address: "phone", DESK.address: "desk"}


class Residency(Struct, frozen=True):
    """A model in memory. Times are seconds before the start; one that is still there ended at 0."""

    model: str
    load_began: float
    ready: float
    ended: float = 0.0
    failed: bool = False


RESIDENCIES = (
    Residency(EMBEDDING, 3841, 3840),
    Residency(QWEN, 3700, 3691, 2975),
    Residency(GLM, 2970, 2932, 2210),
    Residency(DEVSTRAL, 2205, 2193, 1565),
    Residency(SMOL, 2102, 2100, 18),
    Residency(DEEPSEEK, 1560, 1538, 790),
    Residency(QWEN, 729, 720),
    Residency(GPT_OSS, 126, 95, 95, failed=True),
    Residency(CODER, 12, 0),
)
"""The swaps of the last hour; CODER loads."""


class PastRequest(Struct, frozen=True):
    """A finished request. `began` is in seconds before the start, `prompt` includes `cached`."""

    began: float
    client: Client
    model: str
    seconds: float
    cached: int = 0
    prompt: int = 0
    reply: int = 0
    prompt_rate: float = 0.0
    rate: float = 0.0
    status: int = 200
    path: str = "/v1/chat/completions"

    @property
    def ended(self) -> float:
        """Seconds before the start."""
        return self.began - self.seconds

    @property
    def tokens(self) -> TokenCounts:
        """The tokens as llama-swap counts them."""
        if self.status != 200:
            return NO_TOKENS
        read = self.prompt - self.cached
        counts = self.cached, read, self.reply, self.prompt_rate, self.rate
        if self.model not in _ACCEPTED:
            return TokenCounts(*counts)
        # Of three drafted tokens so many are accepted, and each step writes one more.
        share = _ACCEPTED[self.model]
        drafted = round(3 * self.reply / (1 + 3 * share))
        return TokenCounts(*counts, drafted, round(drafted * share))


_ACCEPTED = {QWEN: 0.71, GLM: 0.58}
"""The models with speculative decoding, and the share of drafted tokens that they accept."""
_EMBEDDINGS = "/v1/embeddings"
_LAST = (
    PastRequest(45, LAPTOP, QWEN, 21.4, 102_310, 104_020, 812, 1884, 47.9),
    PastRequest(84, DESK, EMBEDDING, 0.2, 0, 5_120, 0, 24_310, path=_EMBEDDINGS),
    PastRequest(96, LAPTOP, QWEN, 26.8, 99_204, 102_300, 1_104, 1902, 48.6),
    PastRequest(126, DESK, GPT_OSS, 31.0, status=500),
    PastRequest(149, PHONE, QWEN, 28.0, 0, 812, 1_402, 1433, 51.2),
    PastRequest(194, LAPTOP, QWEN, 12.1, 97_460, 99_190, 402, 1921, 48.8),
    PastRequest(236, PHONE, QWEN, 2.1, status=CLIENT_LEFT),
    PastRequest(258, LAPTOP, QWEN, 50.9, 94_310, 97_440, 2_210, 1897, 47.1),
    PastRequest(336, DESK, EMBEDDING, 0.1, 0, 3_840, 0, 22_904, path=_EMBEDDINGS),
    PastRequest(364, LAPTOP, QWEN, 17.2, 92_980, 94_300, 640, 1910, 49.0),
    PastRequest(392, LAPTOP, QWEN, 6.0, 0, 92_960, 95, 1893, 50.3),
    PastRequest(437, PHONE, QWEN, 15.0, 0, 1_210, 730, 1502, 51.6),
    PastRequest(476, DESK, QWEN, 0.0, status=429),
    PastRequest(515, DESK, QWEN, 40.3, 2_080, 6_420, 1_904, 1744, 50.8),
    PastRequest(601, PHONE, QWEN, 8.9, 730, 2_004, 411, 1688, 51.3),
    PastRequest(674, DESK, QWEN, 8.8, 0, 2_112, 377, 1590, 51.5),
    PastRequest(706, PHONE, QWEN, 22.6, 0, 744, 690, 1211, 52.1),
    PastRequest(808, LAPTOP, DEEPSEEK, 71.4, 8_810, 9_120, 1_204, 611, 17.2),
    PastRequest(896, LAPTOP, DEEPSEEK, 46.1, 0, 8_800, 540, 604, 17.4),
)
"""The last quarter of an hour, the newest first."""

_WAITED = (
    PastRequest(2968, PHONE, GLM, 52.0, 0, 1_902, 412, 838, 31.0),
    PastRequest(2951, LAPTOP, GLM, 47.5, 0, 8_210, 540, 841, 31.4),
    PastRequest(2204, DESK, DEVSTRAL, 19.6, 0, 2_310, 208, 1342, 39.1),
    PastRequest(1559, PHONE, DEEPSEEK, 49.0, 0, 1_120, 402, 604, 17.3),
    PastRequest(1556, LAPTOP, DEEPSEEK, 61.3, 0, 9_004, 430, 611, 17.2),
    PastRequest(1548, LAPTOP, DEEPSEEK, 88.2, 9_004, 9_440, 1_010, 598, 17.1),
    PastRequest(728, PHONE, QWEN, 21.0, 0, 744, 590, 1211, 51.8),
)
"""Requests that waited for the load of their model."""
_USE = (
    # model, from and until in seconds before the start, the clients, the rates of prompt and reply
    (QWEN, 3590, 2985, (LAPTOP, LAPTOP, PHONE), 1900, 48.5, 9.0),
    (GLM, 2930, 2230, (LAPTOP, LAPTOP, DESK), 840, 31.2, 10.0),
    (DEVSTRAL, 2190, 1590, (LAPTOP, DESK), 1350, 39.4, 11.0),
    (SMOL, 2095, 1820, (PHONE,), 5200, 182.0, 8.0),
    (DEEPSEEK, 1536, 960, (LAPTOP,), 608, 17.3, 14.0),
)
_FAILED = ((3122, CLIENT_LEFT), (2471, 429), (1705, CLIENT_LEFT))


def past_requests(random: Random) -> list[PastRequest]:
    """Return the requests of the last hour, the first to end first."""
    found = [*_LAST, *_WAITED]
    for model, since, until, clients, prompt_rate, rate, pause in _USE:
        began, context = float(since), 4_000
        while began > until:
            client = random.choice(clients)
            cached = context if client is LAPTOP else 0
            read = random.randint(300, 2_600)
            reply = (
                round(random.lognormvariate(5.6, 0.7)) if model != SMOL else random.randint(8, 40)
            )
            speeds = prompt_rate * random.gauss(1, 0.04), rate * random.gauss(1, 0.02)
            seconds = read / speeds[0] + reply / speeds[1]
            context += read + reply if client is LAPTOP else 0
            tokens = (cached, cached + read, reply)
            found.append(
                PastRequest(
                    began,
                    client,
                    model,
                    round(seconds, 1),
                    *tokens,
                    round(speeds[0], 1),
                    round(speeds[1], 2),
                )
            )
            began -= seconds + random.expovariate(1 / pause)
    began = 3580.0
    while began > 900:
        read = random.randint(180, 6_200)
        rate = round(random.gauss(23_900, 900), 1)
        found.append(PastRequest(began, DESK, EMBEDDING, 0.2, 0, read, 0, rate, path=_EMBEDDINGS))
        began -= random.uniform(20, 62)
    found += [PastRequest(float(at), PHONE, QWEN, 1.4, status=status) for at, status in _FAILED]
    return sorted(found, key=lambda one: -one.ended)


def restore(swap: LlamaSwap, random: Random) -> None:
    """Let a llama-swap that was just started have this past."""
    requests = past_requests(random)
    for one in requests:
        swap.activity.record(
            model=one.model,
            path=one.path,
            content_type="" if one.status == CLIENT_LEFT else "application/json",
            status=one.status,
            tokens=one.tokens,
            seconds=one.seconds,
            error=ERRORS.get(one.status, ""),
            client=one.client.address,
            ago=one.ended,
            exchange=invent_exchange(one.model, one.path, one.client.user_agent, one.ended),
        )
    for stay in RESIDENCIES:
        if stay.ended == 0 and stay.ready > 0:
            used = min((one.ended for one in requests if one.model == stay.model), default=0.0)
            swap.swapping.restore(stay.model, stay.ready, used)
    swap.past_samples = tuple(_samples(swap, requests))
    _write_logs(swap, requests)


ERRORS = {
    CLIENT_LEFT: "client disconnected before response",
    429: "Too many requests",
    500: "unspecific error: upstream command exited prematurely",
}


def _samples(swap: LlamaSwap, requests: Iterable[PastRequest]) -> Iterator[PastSample]:
    """Yield a sample for each step of the hour, and leave the cards as warm as they are then."""
    cards, now = swap.cards, swap.change.wall()
    shares = {stay.model: _shares(cards, swap.processes[stay.model]) for stay in RESIDENCIES}
    active = [(one.began, one.ended, one.model) for one in requests if one.reply]
    step = swap.configuration.performance_step
    warmth = {card.index: Warmth(now - HOUR - step, 0, 30) for card in cards.cards}
    for number in range(int(HOUR / step), 0, -1):
        ago = number * step
        at = now - ago
        stays = [stay for stay in RESIDENCIES if stay.load_began >= ago > stay.ended]
        loading = sum(ago > stay.ready for stay in stays)
        busy = {model for began, ended, model in active if began >= ago > ended}
        rows = []
        for card in cards.cards:
            used = card.others_mib + sum(
                shares[stay.model].get(card.index, 0.0) * _filled(stay, ago) for stay in stays
            )
            works = any(card.index in shares[model] for model in busy)
            warmth[card.index] = warmth[card.index].later(card_load(card, at, busy=works), at)
            rows.append(gpu_row(card, min(used, card.memory_mib - 140), warmth[card.index]))
        resident = sum(swap.processes[stay.model].flags.resident_mib for stay in stays)
        yield PastSample(at, tuple(rows), system_row(resident, len(busy), loading, at))
    cards.warmth.update(warmth)


def _shares(cards: GraphicsCards, process: UpstreamProcess) -> Mapping[int, float]:
    """Return the MiB of a model on each card: those it has, else evenly on the cards that it may use."""
    if held := cards.allocation(process):
        return held
    empty = GraphicsCards(cards.cards)
    parts = empty.split(process.flags, process.configuration.environment)
    return {index: process.flags.memory_mib * part for index, part in parts.items()}


def _filled(stay: Residency, ago: float) -> float:
    """Return how much of the model was in memory so many seconds before the start."""
    if ago <= stay.ready:
        return 1.0
    return (stay.load_began - ago) / max(stay.load_began - stay.ready, 1.0)


def past_activity(server: str, now: float) -> Iterator[ActivityRow]:
    """Yield what an aitui that was open in that hour would have recorded of models; `now` is Unix time."""
    began = {stay.load_began: stay.model for stay in RESIDENCIES}
    for stay in RESIDENCIES:
        if not stay.ready:
            continue  # Its load goes on, and is seen.
        add = partial(ActivityRow, server, model=stay.model)
        yield add(at=now - stay.load_began, kind=ActivityKind.START)
        if stay.failed:
            reason = "out of memory"
            yield add(at=now - stay.ended, kind=ActivityKind.FAILED, error=reason)
            continue
        seconds = stay.load_began - stay.ready
        yield add(at=now - stay.ready, kind=ActivityKind.READY, seconds=seconds)
        by = next((one for at, one in began.items() if 0 < stay.ended - at < _EVICTED_WITHIN), "")
        if by and stay.model != SMOL:
            yield add(at=now - stay.ended, kind=ActivityKind.EVICTION, by=by)
        elif stay.ended:
            yield add(at=now - stay.ended, kind=ActivityKind.STOP, by=IDLE_TIMEOUT)


_EVICTED_WITHIN = 15.0
"""Seconds before the load of the model that took its place."""


def past_energy(now: float) -> dict[tuple[int, str], float]:
    """Return the joules of each minute (of Unix time) and model of that hour."""
    joules: dict[tuple[int, str], float] = {}
    for ago in range(0, int(HOUR), 60):
        present = [one.model for one in RESIDENCIES if one.load_began >= ago > one.ended]
        weights = {model: _WORK.get(model, 1.0) for model in present}
        for model, weight in weights.items():
            share = weight / sum(weights.values())
            joules[int((now - ago) // 60), model] = _WATTS * 60 * share
    return joules


_WATTS = 410.0
"""What two cards take on average while they have work now and then."""
_WORK = {EMBEDDING: 0.02, SMOL: 0.01}
"""The share of the work of models that are small; of others it is 1."""


def _write_logs(swap: LlamaSwap, requests: Iterable[PastRequest]) -> None:
    """Write what llama-swap and its models would have logged, the oldest first."""
    lines: list[tuple[float, Callable[[], None]]] = []

    def log(ago: float, text: str) -> None:
        lines.append((ago, partial(swap.proxy_log.write, f"{text}\n")))

    for stay in RESIDENCIES:
        model, proxy = stay.model, swap.processes[stay.model].configuration.proxy
        if stay.failed:
            reason = "upstream command exited prematurely"
            log(stay.ended, f"[WARN] group: starting {model} failed: {reason}")
            lines.append((stay.ended, partial(_write_failure, swap, stay)))
        elif stay.ready:
            log(stay.ready, f"[INFO] <{model}> Health check passed on {proxy}/health")
        if model == SMOL:
            log(stay.ended, f"[INFO] <{model}> Unloading model, TTL of 1800s reached")
    for number, one in enumerate(requests):
        line = request_line(one.client, one.path, one.status, one.reply, one.seconds)
        lines.append((one.ended, partial(swap.request_log.write, line)))
        process = swap.processes[one.model]
        if one.reply and one.ended < process.uptime:
            figures = one.prompt, one.reply, one.rate
            task = 4000 + 7 * number
            lines.append(
                (one.ended, partial(write_slot_lines, process.log, task, *figures, ago=one.ended))
            )
    for _, write in sorted(lines, key=lambda line: -line[0]):
        write()


def _write_failure(swap: LlamaSwap, stay: Residency) -> None:
    process = swap.processes[stay.model]
    process.log.restart(stay.load_began)
    process.log.log_start(process.flags)
    device = swap.cards.device_name(swap.cards.cards[-1])
    process.log.log_out_of_memory(process.flags, device, 30194.45)


def request_line(client: Client, path: str, status: int, reply: int, seconds: float) -> str:
    """Return llama-swap's line about a request that has ended."""
    size = reply * 212 + 640 if status == 200 else 0
    words = f'"POST {path} HTTP/1.1" {status} {size} "{client.user_agent}" {seconds:.1f}s'
    return f"[INFO] Request {client.address} {words}\n"


def write_slot_lines(
    log: UpstreamLog, task: int, prompt: int, reply: int, rate: float, *, ago: float = 0.0
) -> None:
    """Write what llama-server logs of a request."""
    slot = f"id  0 | task {task} |"
    took = reply / rate
    begin, end = f"processing task, n_prompt = {prompt:,}", f"n_past = {prompt + reply:,}"
    log.write_line("I", f"slot launch_slot_: {slot} {begin}", ago + took)
    speed = f"n_decoded = {reply}, {rate:.2f} tokens per second"
    log.write_line("I", f"slot print_timing: {slot} {speed}", ago)
    log.write_line("I", f"slot      release: {slot} stop processing, {end}", ago)
