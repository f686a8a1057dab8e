"""What llama-server writes while it starts, fails and stops. Wording taken from real ones."""

from __future__ import annotations

import string
import time
from collections.abc import Mapping

from aitui.demo.fake_flags import FakeFlags
from aitui.demo.log_ring import LogRing

_MEBIBYTE = 1 << 20


class UpstreamLog:
    """One process's own voice: each line begins with the time since it was started."""

    def __init__(self, ring: LogRing) -> None:
        self._ring = ring
        self._started = time.monotonic()

    def restart(self) -> None:
        """A new process: its clock begins at nought."""
        self._started = time.monotonic()

    def say(self, level: str, text: str) -> None:
        """Write one line at level I, W or E."""
        micros = round((time.monotonic() - self._started) * 1e6)
        minutes, rest = divmod(micros, 60_000_000)
        seconds, rest = divmod(rest, 1_000_000)
        millis, micros = divmod(rest, 1000)
        self._ring.write(f"{minutes}.{seconds:02d}.{millis:03d}.{micros:03d} {level} {text}\n")

    def begins(self, flags: FakeFlags) -> None:
        """The first lines of every start."""
        self.say("I", "srv  llama_server: initializing ...")
        self.say(
            "I",
            "cmn  common_param: common_params_print_info: build 9001 (0c1e570) with GNU 12.2.0 "
            "for Linux x86_64",
        )
        self.say("I", f"srv    load_model: loading model '{flags.model_file}'")

    def allocates(self, flags: FakeFlags, devices: Mapping[str, float]) -> None:
        """The memory that the model takes, as newer builds print it at -lv 4.

        `devices` are the shares of the cards by llama.cpp's names; without one it is the machine's.
        """
        shares = devices or {"CPU": 1.0}
        self.say("I", "print_info: n_ctx_train           = 262144")
        self.say(
            "I", "load_tensors: loading model tensors, this can take a while... (load_mode = mmap)"
        )
        for name, share in shares.items():
            size = flags.weights * share
            self.say("I", f"load_tensors: {name:>12} model buffer size = {size:8.2f} MiB")
        self.say("I", f"llama_context: n_ctx                 = {flags.context_size}")
        for name, share in shares.items():
            size = flags.cache * share
            self.say("I", f"llama_kv_cache: {name:>10} KV buffer size = {size:8.2f} MiB")
        self.say(
            "I",
            f"llama_kv_cache: size = {flags.cache:7.2f} MiB ({flags.context_size:6d} cells,  "
            f"48 layers,  {flags.slots}/1 seqs), K (f16): {flags.cache / 2:7.2f} MiB, "
            f"V (f16): {flags.cache / 2:7.2f} MiB",
        )
        for name, share in shares.items():
            size = flags.compute * share
            self.say("I", f"sched_reserve: {name:>10} compute buffer size = {size:8.2f} MiB")

    def listens(self, flags: FakeFlags, port: int) -> None:
        """The model is loaded."""
        self.say(
            "I",
            f"srv    load_model: initializing, n_slots = {flags.slots}, "
            f"n_ctx_slot = {flags.context_size}, kv_unified = 'true'",
        )
        self.say("I", "srv  llama_server: model loaded")
        self.say("I", f"srv  llama_server: listening on http://127.0.0.1:{port}")

    def asked(self, method: str, path: str) -> None:
        """A request has come in."""
        self.say("I", f"srv  log_server_r: request: {method} {path} 127.0.0.1")

    def runs_out_of_memory(self, flags: FakeFlags, device: str, size_mib: float) -> None:
        """The card refuses, and the server gives up."""
        self._refuses(device, size_mib)
        self._gives_up(flags, f"unable to allocate {device} buffer")

    def finds_no_room_for_context(self, flags: FakeFlags, device: str, size_mib: float) -> None:
        """The weights fit, the cache for so many tokens doesn't."""
        self.say("I", f"llama_context: n_ctx                 = {flags.context_size}")
        self._refuses(device, size_mib)
        self.say(
            "E",
            "llama_init_from_model: failed to initialize the context: "
            "failed to allocate buffer for kv cache",
        )
        self.say(
            "E", f"cmn  common_init_: failed to create context with model '{flags.model_file}'"
        )
        self.say("E", f"srv    load_model: failed to load model, '{flags.model_file}'")
        self._ends()

    def refuses_argument(self, name: str) -> None:
        """The value of a flag is no number: llama-server prints this before it logs anything."""
        self._ring.write(f'error while handling argument "{name}": stoi\n\n')

    def misses_file(self, flags: FakeFlags) -> None:
        """The model file isn't there."""
        self.say(
            "E",
            f"gguf_init_from_file: failed to open GGUF file '{flags.model_file}' "
            "(No such file or directory)",
        )
        self._gives_up(flags, f"llama_model_loader: failed to load model from {flags.model_file}")

    def _refuses(self, device: str, size_mib: float) -> None:
        number = device.lstrip(string.ascii_letters) or "0"
        self.say(
            "E",
            "ggml_backend_cuda_buffer_type_alloc_buffer: "
            f"allocating {size_mib:.2f} MiB on device {number}: cudaMalloc failed: out of memory",
        )
        self.say(
            "E",
            f"alloc_tensor_range: failed to allocate {device} buffer of size "
            f"{round(size_mib * _MEBIBYTE)}",
        )

    def _gives_up(self, flags: FakeFlags, reason: str) -> None:
        self.say("E", f"llama_model_load: error loading model: {reason}")
        self.say("E", "llama_model_load_from_file_impl: failed to load model")
        self.say("E", f"cmn  common_init_: failed to load model '{flags.model_file}'")
        self.say("E", f"srv    load_model: failed to load model, '{flags.model_file}'")
        self._ends()

    def _ends(self) -> None:
        self.say("I", "srv    operator(): operator(): cleaning up before exit...")
        self.say("E", "srv  llama_server: exiting due to model loading error")
