"""The flags of the fake llama-server: a model's command line decides how it behaves."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import PurePosixPath

from msgspec import Struct

from aitui.demo.catalogue import KNOWN_FILES, UNKNOWN_FILE
from aitui.demo.configuration import ModelConfiguration

_DEFAULT_CONTEXT = 4096
_DEFAULT_MODEL_FILE = "/models/fake.gguf"
_MISSING_FOLDER = "/nonexistent"
_KIB_PER_HEAD = 24
_CONTEXT_PADDING = 256
_BITS = {"f32": 32.0, "f16": 16.0, "bf16": 16.0, "q8_0": 8.5, "q5_1": 6.0, "q4_0": 4.5}


class FakeFlags(Struct, frozen=True):
    """How one model behaves. Delays in seconds, memory in MiB, rates in tokens a second.

    Without `chunks` a reply is as long as its text is, and begins when the prompt was read. With
    `kv_heads` its cache grows with the context: 24 KiB a token for each head, in f16. Without,
    `memory_mib` is what it takes whatever the context.
    """

    binary: str
    alias: str
    model_file: str = _DEFAULT_MODEL_FILE
    context_size: int = _DEFAULT_CONTEXT
    slots: int = 4
    shares_cache: bool = True
    start_delay: float = 0.0
    load_delay: float = 0.0
    stop_delay: float = 0.0
    exits_now: bool = False
    out_of_memory_after: float | None = None
    most_context: int | None = None
    missing_file: bool = False
    wrong_argument: str = ""
    die_after: int | None = None
    progress_reports: int = 0
    uses_tools: bool = False
    takes_images: bool = False
    chunks: int | None = 16
    keeps_pace: bool = False
    reasons: bool = True
    tokens_per_second: float = 10.0
    prompt_tokens_per_second: float = 1000 / 2.125
    whole_mib: int = 4096
    weights_mib: int | None = None
    resident_mib: int = 900
    kv_heads: int = 0
    cache_bits: float = 16.0
    devices: tuple[str, ...] | None = None
    gpu_layers: int | None = None
    one_card: bool = False
    main_gpu: int = 0
    tensor_split: tuple[float, ...] = ()

    @property
    def slot_size(self) -> int:
        """Tokens that one slot may hold: all, or a part rounded up as llama.cpp rounds it."""
        if self.shares_cache:
            return self.context_size
        return -(-self.context_size // self.slots // _CONTEXT_PADDING) * _CONTEXT_PADDING

    @property
    def memory_mib(self) -> int:
        """MiB of everything."""
        return round(self.weights + self.cache + self.compute)

    @property
    def weights(self) -> float:
        """MiB of the model's file."""
        return self.whole_mib * 0.75 if self.weights_mib is None else float(self.weights_mib)

    @property
    def cache(self) -> float:
        """MiB of keys and values."""
        if self.weights_mib is None:
            return self.whole_mib * 0.2
        kib = self.context_size * self.kv_heads * _KIB_PER_HEAD * self.cache_bits / 16
        return kib / 1024

    @property
    def compute(self) -> float:
        """MiB of working buffers."""
        if self.weights_mib is None:
            return self.whole_mib * 0.05
        return 240.0 + self.context_size / 1024

    @property
    def binary_is_missing(self) -> bool:
        """Whether the binary doesn't exist."""
        return PurePosixPath(self.binary).is_relative_to(_MISSING_FOLDER)

    @property
    def context_is_too_large(self) -> bool:
        """Whether the cache doesn't fit next to the weights."""
        return self.most_context is not None and self.context_size > self.most_context


def read_flags(model: ModelConfiguration) -> FakeFlags:
    """Read the flags of the fake llama-server from a model's command; ignore unknown ones."""
    words = _split_command(model.command)
    values: dict[str, str] = {}
    flag = ""
    for word in words[1:]:
        if word.startswith("-") and not _is_number(word):
            flag, _, value = word.partition("=")
            values[flag] = value
        elif flag:
            values[flag] = word
    # A wrapper that starts llama-server with a context of its own, whatever its command says.
    context = values.get("--pinned-context", values.get("--ctx-size", values.get("-c")))
    if context is None:
        context = model.environment.get("LLAMA_ARG_CTX_SIZE", str(_DEFAULT_CONTEXT))
    slots = values.get("--parallel", values.get("-np"))
    unified = not {"--kv-unified", "-kvu"}.isdisjoint(values)
    unified = unified or model.environment.get("LLAMA_ARG_KV_UNIFIED") == "1"
    memory = values.get("--fail-oom")
    limit = values.get("--fail-oom-above")
    death = values.get("--die-after")
    place = values.get("--model", values.get("-m", values.get("-hf", _DEFAULT_MODEL_FILE)))
    known = KNOWN_FILES.get(PurePosixPath(place).name.removesuffix(".gguf"), UNKNOWN_FILE)
    weights = values.get("--weights-mib", known.weights_mib)
    devices = values.get("--device")
    return FakeFlags(
        binary=words[0] if words else "",
        alias=values.get("--alias", values.get("-a", model.id)),
        model_file=place,
        context_size=int(context) if _is_count(context) else 0,
        slots=int(slots or 4),
        shares_cache=unified or slots is None,
        start_delay=float(values.get("--start-delay", known.start_delay)),
        load_delay=float(values.get("--load-delay", known.load_delay)),
        stop_delay=float(values.get("--stop-delay", 0)),
        exits_now="--exit-now" in values,
        out_of_memory_after=None if memory is None else float(memory or 0),
        most_context=None if limit is None else int(limit),
        wrong_argument="" if _is_count(context) else "--ctx-size",
        missing_file="--fail-missing-file" in values,
        progress_reports=int(values.get("--progress-reports", known.progress_reports)),
        uses_tools="--jinja" in values,
        takes_images="--mmproj" in values,
        die_after=None if death is None else int(death),
        chunks=None if known is not UNKNOWN_FILE else int(values.get("--chunks", 16)),
        keeps_pace=known is not UNKNOWN_FILE or "--keep-pace" in values,
        reasons=known is UNKNOWN_FILE or known.reasons,
        tokens_per_second=float(values.get("--tokens-per-second", known.rate)),
        prompt_tokens_per_second=known.prompt_rate,
        whole_mib=int(values.get("--memory-mib", 4096)),
        weights_mib=None if weights is None else int(weights),
        resident_mib=known.resident_mib,
        kv_heads=int(values.get("--kv-heads", known.kv_heads)),
        cache_bits=_cache_bits(values),
        devices=None if devices is None else tuple(devices.split(",")),
        gpu_layers=0 if values.get("--n-gpu-layers", values.get("-ngl")) == "0" else None,
        one_card=values.get("--split-mode", values.get("-sm")) == "none",
        main_gpu=int(values.get("--main-gpu", values.get("-mg", 0))),
        tensor_split=_parse_shares(values.get("--tensor-split", values.get("-ts", ""))),
    )


def _cache_bits(values: Mapping[str, str]) -> float:
    """Return the bits of a value, averaged over keys and values."""
    keys = values.get("--cache-type-k", values.get("-ctk", "f16"))
    rest = values.get("--cache-type-v", values.get("-ctv", "f16"))
    return (_BITS.get(keys, 16.0) + _BITS.get(rest, 16.0)) / 2


def _parse_shares(text: str) -> tuple[float, ...]:
    return tuple(float(item) for item in text.split(",") if _is_number(item))


def _split_command(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:
        return command.split()


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 10


def _is_number(word: str) -> bool:
    return word.lstrip("-").replace(".", "", 1).isdigit()
