"""What llama-server logs while it starts, fails and stops, worded as in real logs."""

from __future__ import annotations

import string
import time
from collections.abc import Mapping

from aitui.demo.fake_flags import FakeFlags
from aitui.demo.log_ring import ServerLog

_MEBIBYTE = 1 << 20


class UpstreamLog:
    """One process's log: each line begins with the time since the start."""

    def __init__(self, ring: ServerLog) -> None:
        self._ring = ring
        self._started = time.monotonic()

    def restart(self, ago: float = 0.0) -> None:
        """Restart the clock for a new process, started so many seconds ago."""
        self._started = time.monotonic() - ago

    def write_line(self, level: str, text: str, ago: float = 0.0) -> None:
        """Write one line at level I, W or E, as of so many seconds ago."""
        micros = round((time.monotonic() - ago - self._started) * 1e6)
        minutes, rest = divmod(micros, 60_000_000)
        seconds, rest = divmod(rest, 1_000_000)
        millis, micros = divmod(rest, 1000)
        self._ring.write(f"{minutes}.{seconds:02d}.{millis:03d}.{micros:03d} {level} {text}\n")

    def log_start(self, flags: FakeFlags) -> None:
        """Log the first lines of every start, as build 10605 does at -lv 4."""
        info = "cmn  common_param: common_params_print_info:"
        self.write_line("I", f"{info} build 10605 (unknown) with GNU 12.2.0 for Linux x86_64")
        self.write_line("I", f"{info} verbosity = 4 (adjust with the `-lv N` CLI arg)")
        cors = "CORS is set to allow all origins ('*') and no API key is set"
        self.write_line("W", f"srv  llama_server: {cors}")
        self.write_line("I", f"srv    load_model: loading model '{flags.model_file}'")

    def log_allocation(self, flags: FakeFlags, devices: Mapping[str, float]) -> None:
        """Log the memory that the model takes, as newer builds do at -lv 4.

        `devices` are the shares of the cards by llama.cpp's names; without any it is the CPU's.
        """
        shares = devices or {"CPU": 1.0}
        self.write_line("I", "print_info: n_ctx_train           = 262144")
        self.write_line(
            "I", "load_tensors: loading model tensors, this can take a while... (load_mode = mmap)"
        )
        for name, share in shares.items():
            size = flags.weights * share
            self.write_line("I", f"load_tensors: {name:>12} model buffer size = {size:8.2f} MiB")
        self.write_line("I", f"llama_context: n_ctx                 = {flags.context_size}")
        for name, share in shares.items():
            size = flags.cache * share
            self.write_line("I", f"llama_kv_cache: {name:>10} KV buffer size = {size:8.2f} MiB")
        self.write_line(
            "I",
            f"llama_kv_cache: size = {flags.cache:7.2f} MiB ({flags.context_size:6d} cells,  "
            f"48 layers,  {flags.slots}/1 seqs), K (f16): {flags.cache / 2:7.2f} MiB, "
            f"V (f16): {flags.cache / 2:7.2f} MiB",
        )
        for name, share in shares.items():
            size = flags.compute * share
            self.write_line("I", f"sched_reserve: {name:>10} compute buffer size = {size:8.2f} MiB")

    def log_listening(self, flags: FakeFlags, port: int) -> None:
        """Log that the model is loaded."""
        self.write_line(
            "I",
            f"srv    load_model: initializing, n_slots = {flags.slots}, "
            f"n_ctx_slot = {flags.slot_size}, kv_unified = '{str(flags.shares_cache).lower()}'",
        )
        self.write_line("I", "srv  llama_server: model loaded")
        self.write_line("I", f"srv  llama_server: listening on http://127.0.0.1:{port}")

    def log_request(self, method: str, path: str) -> None:
        """Log a request."""
        self.write_line("I", f"srv  log_server_r: request: {method} {path} 127.0.0.1")

    def log_out_of_memory(self, flags: FakeFlags, device: str, size_mib: float) -> None:
        """Log that the card has no room for the weights."""
        self._log_allocation_failure(device, size_mib)
        self._log_load_failure(flags, f"unable to allocate {device} buffer")

    def log_context_too_large(self, flags: FakeFlags, device: str, size_mib: float) -> None:
        """Log that the weights fit, but not the cache for the context."""
        self.write_line("I", f"llama_context: n_ctx                 = {flags.context_size}")
        self._log_allocation_failure(device, size_mib)
        self.write_line(
            "E",
            "llama_init_from_model: failed to initialize the context: "
            "failed to allocate buffer for kv cache",
        )
        self.write_line(
            "E", f"cmn  common_init_: failed to create context with model '{flags.model_file}'"
        )
        self.write_line("E", f"srv    load_model: failed to load model, '{flags.model_file}'")
        self._log_exit()

    def log_bad_argument(self, name: str) -> None:
        """Write what llama-server prints for a flag with an invalid number."""
        self._ring.write(f'error while handling argument "{name}": stoi\n\n')

    def log_missing_file(self, flags: FakeFlags) -> None:
        """Log that the model's file is missing."""
        self.write_line(
            "E",
            f"gguf_init_from_file: failed to open GGUF file '{flags.model_file}' "
            "(No such file or directory)",
        )
        self._log_load_failure(
            flags, f"llama_model_loader: failed to load model from {flags.model_file}"
        )

    def _log_allocation_failure(self, device: str, size_mib: float) -> None:
        number = device.lstrip(string.ascii_letters) or "0"
        self.write_line(
            "E",
            "ggml_backend_cuda_buffer_type_alloc_buffer: "
            f"allocating {size_mib:.2f} MiB on device {number}: cudaMalloc failed: out of memory",
        )
        self.write_line(
            "E",
            f"alloc_tensor_range: failed to allocate {device} buffer of size "
            f"{round(size_mib * _MEBIBYTE)}",
        )

    def _log_load_failure(self, flags: FakeFlags, reason: str) -> None:
        self.write_line("E", f"llama_model_load: error loading model: {reason}")
        self.write_line("E", "llama_model_load_from_file_impl: failed to load model")
        self.write_line("E", f"cmn  common_init_: failed to load model '{flags.model_file}'")
        self.write_line("E", f"srv    load_model: failed to load model, '{flags.model_file}'")
        self._log_exit()

    def _log_exit(self) -> None:
        self.write_line("I", "srv    operator(): operator(): cleaning up before exit...")
        self.write_line("E", "srv  llama_server: exiting due to model loading error")
