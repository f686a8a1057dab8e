"""The parts of a model's command that decide how much memory it uses."""

import hashlib
from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct, field

from aitui.domain.hardware.gpu.vendors import VISIBILITY_VARIABLES
from aitui.domain.launch import NO_NAMES, NamedServers
from aitui.domain.llama_server import (
    MODEL,
    MODEL_REPOSITORY,
    PARALLEL,
    UNIFIED_CACHE,
    CommandLine,
    environment_arguments,
)
from aitui.domain.memory.placement import (
    DEVICES,
    MAIN_GPU,
    SPLIT_MODE,
    TENSOR_SPLIT,
    Placement,
    parse_placement,
)

CACHE_TYPE_K = ("-ctk", "--cache-type-k")
CACHE_TYPE_V = ("-ctv", "--cache-type-v")
GPU_LAYERS = ("-ngl", "--gpu-layers", "--n-gpu-layers")
FLASH_ATTENTION = ("-fa", "--flash-attn")
MICRO_BATCH = ("-ub", "--ubatch-size")
_MOVED_TENSORS = (("-ot", "--override-tensor"), ("-cmoe", "--cpu-moe"), ("-ncmoe", "--n-cpu-moe"))
_DRAFTS = (
    ("-md", "--model-draft", "--spec-draft-model"),
    ("-hfd", "-hfrd", "--hf-repo-draft"),
    ("--spec-type",),
)
_COMPANIONS = (
    *_DRAFTS,
    ("-mm", "--mmproj"),
    ("-mmu", "--mmproj-url"),
    ("--lora", "--lora-scaled"),
    ("--control-vector",),
)
_OTHERS = (
    MODEL, MODEL_REPOSITORY, ("-hff", "--hf-file"), PARALLEL, CACHE_TYPE_K, CACHE_TYPE_V, GPU_LAYERS,
    MICRO_BATCH, ("-b", "--batch-size"), FLASH_ATTENTION, SPLIT_MODE, TENSOR_SPLIT, MAIN_GPU, DEVICES,
    ("-fit", "--fit"),
)  # fmt: skip
_SWITCHES = (
    UNIFIED_CACHE,
    ("-no-kvu", "--no-kv-unified"),
    ("-nkvo", "--no-kv-offload"),
    ("--swa-full",),
    ("--no-mmap",),
    ("--no-repack", "-nr"),
)
_EVERY_LAYER = 10_000
_NO_ENVIRONMENT: Mapping[str, str] = MappingProxyType({})
_USUAL_MICRO_BATCH = 512


class LaunchProfile(Struct, frozen=True):
    """Everything in a command that decides how much memory a model takes.

    `cache_k` and `cache_v` are types of llama-server's. `context_size` is None if the command
    leaves it to llama-server. `gpu_layers` is how many layers go to the graphics cards, None if
    llama-server decides. `streams` is how many slots have a cache of their own. `moved` is set if
    single tensors are put elsewhere, `companions` if a second model, or a part of one, is loaded as
    well; one that `drafts` has a cache of its own. `placement` says which cards count.
    """

    context_size: int | None = None
    cache_k: str = "f16"
    cache_v: str = "f16"
    gpu_layers: int | None = None
    streams: int = 1
    micro_batch: int = _USUAL_MICRO_BATCH
    cache_on_gpu: bool = True
    flash_attention: bool = True
    moved: bool = False
    companions: bool = False
    drafts: bool = False
    fingerprint: str = ""
    placement: Placement = field(default_factory=Placement)

    @property
    def on_gpu(self) -> bool:
        """Whether anything may be put on a graphics card."""
        return self.gpu_layers != 0 and self.placement.devices != ()


def launch_profile(
    command: str,
    environment: Mapping[str, str] = _NO_ENVIRONMENT,
    named: NamedServers = NO_NAMES,
) -> LaunchProfile:
    """Read a command and the environment that it runs in, as far as that is known.

    Two commands have the same fingerprint if they differ only in context size and in what takes no
    memory.
    """
    own = CommandLine.read(command, named)
    line = CommandLine((*environment_arguments(environment), *own.arguments))
    layers = line.value(GPU_LAYERS)
    return LaunchProfile(
        context_size=line.context_size or None,
        cache_k=(line.value(CACHE_TYPE_K) or "f16").lower(),
        cache_v=(line.value(CACHE_TYPE_V) or "f16").lower(),
        gpu_layers=_EVERY_LAYER if layers in {"all", "-1"} else _natural(layers),
        streams=line.context_parts,
        micro_batch=_natural(line.value(MICRO_BATCH)) or _USUAL_MICRO_BATCH,
        cache_on_gpu=not line.has(("-nkvo", "--no-kv-offload")),
        flash_attention=line.value(FLASH_ATTENTION) not in {"off", "0", "disabled", "false"},
        moved=any(line.has(names) for names in _MOVED_TENSORS),
        companions=any(line.has(names) for names in _COMPANIONS),
        drafts=any(line.has(names) for names in _DRAFTS),
        fingerprint=_compute_fingerprint(line, environment),
        placement=parse_placement(line, environment),
    )


def _compute_fingerprint(line: CommandLine, environment: Mapping[str, str]) -> str:
    values = [line.value(names) for names in (*_OTHERS, *_MOVED_TENSORS, *_COMPANIONS)]
    switches = [line.has(names) for names in (*_SWITCHES, *_MOVED_TENSORS)]
    seen = [(name, environment[name]) for name in VISIBILITY_VARIABLES if name in environment]
    said = repr((values, switches, *seen)).encode("utf-8", "backslashreplace")
    return hashlib.blake2b(said, digest_size=8).hexdigest()


def _natural(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 10 else None
