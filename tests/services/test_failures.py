from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitui.domain.upstream_runs import last_run_lines
from aitui.services.failures import MOST_LINES, find_cause

MISSING_FILE = """\
0.00.003.475 E gguf_init_from_file: failed to open GGUF file 'models/none.gguf' (No such file or directory)
0.00.003.538 E llama_model_load: error loading model: llama_model_loader: failed to load model from models/none.gguf
0.00.003.543 E llama_model_load_from_file_impl: failed to load model
0.00.003.573 I srv    operator(): operator(): cleaning up before exit...
0.00.003.780 E srv  llama_server: exiting due to model loading error"""
DAMAGED = """\
0.00.003.635 I srv    load_model: loading model 'broken.gguf'
0.00.003.927 E llama_model_load: error loading model: tensor 'token_embd.weight' data is not within the file bounds, model is corrupted or incomplete
0.00.003.939 E llama_model_load_from_file_impl: failed to load model
0.00.004.332 E srv  llama_server: exiting due to model loading error"""
PORT_TAKEN = """\
0.00.000.839 I srv  llama_server: initializing ...
0.00.002.169 E srv         start: couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 9001
0.00.002.219 E srv  llama_server: exiting due to HTTP server error"""
CUDA_FULL = """\
build: 6789 (abcdef12) with gcc 12 for x86_64-linux-gnu
ggml_backend_cuda_buffer_type_alloc_buffer: allocating 48124.50 MiB on device 0: cudaMalloc failed: out of memory
llama_model_load: error loading model: unable to allocate CUDA0 buffer
srv    load_model: failed to load model"""
VULKAN_FULL = """\
ggml_vulkan: Device memory allocation of size 4697620480 failed.
ggml_vulkan: Requested buffer size exceeds device memory allocation limit: ErrorOutOfDeviceMemory
alloc_tensor_range: failed to allocate Vulkan0 buffer of size 4697620480
llama_model_load: error loading model: unable to allocate Vulkan0 buffer"""
GONE_BINARY = (
    "[WARN] group: starting no-binary failed: failed to start command "
    "'/nonexistent/llama-server --port 18305': "
    "fork/exec /nonexistent/llama-server: no such file or directory"
)
NO_LIBRARY = (
    "/opt/llama-server: error while loading shared libraries: libcublas.so.12: "
    "cannot open shared object file: No such file or directory"
)


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        (MISSING_FILE, "the file models/none.gguf does not exist"),
        (DAMAGED, "the model's file is damaged or incomplete"),
        (PORT_TAKEN, "port 9001 is taken"),
        (CUDA_FULL, "out of memory: 48124.50 MiB did not fit on device 0"),
        (VULKAN_FULL, "out of GPU memory"),
        (GONE_BINARY, "the program /nonexistent/llama-server does not exist"),
        (NO_LIBRARY, "the shared library libcublas.so.12 is missing"),
    ],
)
def test_the_reason_is_recognized_in_a_whole_log(log: str, reason: str) -> None:
    assert find_cause(log.splitlines())[0] == reason


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("ROCm error: out of memory", "out of GPU memory"),
        (
            (
                "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 100.0 MiB on device 1: "
                "hipMalloc failed: out of memory"
            ),
            "out of memory: 100.0 MiB did not fit on device 1",
        ),
        (
            "llama_model_load: error loading model: unable to allocate ROCm0 buffer",
            "out of GPU memory",
        ),
        (
            (
                "ggml_backend_metal_buffer_type_alloc_buffer: error: failed to allocate buffer, "
                "size = 9000.00 MiB"
            ),
            "out of GPU memory",
        ),
        (
            "ggml_backend_cpu_buffer_type_alloc_buffer: failed to allocate buffer of size 9",
            "out of memory on the host",
        ),
        (
            "terminate called after throwing an instance of 'std::bad_alloc'",
            "out of memory on the host",
        ),
        (
            (
                "llama_init_from_model: failed to initialize the context: "
                "failed to allocate buffer for kv cache"
            ),
            "out of memory: the context did not fit",
        ),
        (
            "error: invalid argument: --ctx-sice",
            "llama-server does not know the argument --ctx-sice",
        ),
        ("error: unknown argument: --foo", "llama-server does not know the argument --foo"),
        (
            'error while handling argument "--ctx-size": stoi',
            "the value of the argument --ctx-size is invalid",
        ),
        (
            (
                "llama_model_load: error loading model: error loading model architecture: "
                "unknown model architecture: 'qwen9'"
            ),
            "llama-server does not know the model's architecture qwen9",
        ),
        (
            "llama_model_load: error loading model vocabulary: unknown pre-tokenizer type: 'kimi'",
            "llama-server does not know the model's tokenizer kimi",
        ),
        (
            "gguf_init_from_file_impl: invalid magic characters: 'vers', expected 'GGUF'",
            "the model's file is damaged or incomplete",
        ),
        (
            "llama_model_load: error loading model: missing tensor 'blk.0.attn_q.weight'",
            "this llama-server can't use the model's file",
        ),
        (
            "gguf_init_from_file: failed to open GGUF file '/m/a.gguf' (Permission denied)",
            "no permission to read the file /m/a.gguf",
        ),
        (
            "failed to start command 'x': fork/exec /opt/x: permission denied",
            "the program /opt/x can't be run: permission denied",
        ),
        (
            'exec: "llama-server": executable file not found in $PATH',
            "the program llama-server does not exist",
        ),
        (
            "bash: line 1: llama-server: command not found",
            "the program llama-server does not exist",
        ),
        (
            "fork/exec /opt/x: exec format error",
            "the program was built for a different architecture",
        ),
        ("bind: Address already in use", "its port is taken"),
        (
            "[WARN] <slow-start> ExitError >> signal: killed, exit code: -1",
            "it was killed by the system, most often because the host ran out of memory",
        ),
        ("Segmentation fault (core dumped)", "it crashed"),
        ("ggml.c:1: GGML_ASSERT(n > 0) failed", "it crashed: GGML_ASSERT(n > 0) failed"),
        (
            "fatal: CUDA error: an illegal memory access was encountered",
            "the GPU driver failed: an illegal memory access was encountered",
        ),
        (
            "[WARN] group: starting never-healthy failed: health check timed out after 15s",
            "it was not ready within 15s",
        ),
        ("[WARN] group: starting slow-load failed: aborted", "the load was aborted"),
        ("[WARN] <broken> ExitError >> exit status 1, exit code: 1", "it exited with status 1"),
        (
            "[WARN] group: starting broken failed: upstream command exited prematurely",
            "it ended before it was ready",
        ),
        ("srv    load_model: failed to load model, 'x.gguf'", "the model could not be loaded"),
    ],
)
def test_the_reason_is_recognized_in_a_line(line: str, reason: str) -> None:
    assert find_cause(["srv  start", line]) == (reason, (line,))


def test_the_lines_that_say_so_come_with_the_reason() -> None:
    lines = MISSING_FILE.splitlines()
    assert find_cause(lines)[1] == (lines[0],)


def test_a_line_that_repeats_is_told_once() -> None:
    assert find_cause(["std::bad_alloc"] * 3)[1] == ("std::bad_alloc",)


def test_of_many_lines_the_last_are_told() -> None:
    lines = [f"std::bad_alloc {n}" for n in range(20)]
    assert find_cause(lines)[1] == tuple(lines[-MOST_LINES:])


def test_without_a_known_reason_the_last_lines_are_told() -> None:
    lines = [f"line {n}" for n in range(20)] + ["", "  "]
    assert find_cause(lines) == ("", tuple(f"line {n}" for n in range(15, 20)))


def test_an_empty_log_tells_nothing() -> None:
    assert find_cause([]) == ("", ())


def test_braces_in_a_log_are_text() -> None:
    assert find_cause(["error: unknown argument: --{what}"])[0].endswith("--{what}")


def test_a_hostile_detail_is_made_harmless() -> None:
    assert find_cause(["error: unknown argument: --\x1b[31mx"])[0].endswith("--x")


RUNS_10605 = Path(__file__).parents[1] / "recordings" / "llama-server-b10605"
RUNS = {
    "out-of-memory-host": "out of memory on the host",
    "missing-file": "the file nothere.gguf does not exist",
    "truncated": "the model's file is damaged or incomplete",
    "unknown-flag": "llama-server does not know the argument --no-such-flag",
}


@pytest.mark.parametrize(("earlier", "last"), permutations(RUNS, 2))
def test_only_the_last_run_gives_the_reason(earlier: str, last: str) -> None:
    log = "".join((RUNS_10605 / f"{name}.txt").read_text() for name in (earlier, last))
    run = last_run_lines(log.replace("exit 1\n", "").splitlines())
    words, found = find_cause(run)
    assert words == RUNS[last]
    assert len(found) == 1  # build 10605 logs it twice, at two times


def test_a_warning_is_no_reason_if_an_error_gives_one() -> None:
    warning = "0.00.001.000 W failed to allocate 64.00 MiB of pinned memory: out of memory"
    error = "0.00.002.000 E llama_model_load: tensor data is not within the file bounds"
    assert find_cause([warning, error]) == ("the model's file is damaged or incomplete", (error,))


def test_a_context_that_fails_for_another_reason_is_not_out_of_memory() -> None:
    line = "llama_init_from_model: failed to initialize the context: V cache needs flash_attn"
    assert find_cause([line])[0] == "its context could not be created: V cache needs flash_attn"


@given(st.lists(st.text()))
def test_no_log_raises(lines: list[str]) -> None:
    _reason, evidence = find_cause(lines)
    assert len(evidence) <= MOST_LINES
