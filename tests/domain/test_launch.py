"""Where llama-server's own arguments begin, and what runs instead."""

import shlex
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitui.domain.launch import context_flag_of, find_launch
from aitui.domain.llama_server import CommandLine


def own_arguments(command: str) -> list[str] | None:
    """The words that are llama-server's own, None where there is none."""
    split = shlex.split(command)
    begin = find_launch(split).begin
    return None if begin is None else split[begin:]


@pytest.mark.parametrize(
    "program",
    [
        "llama-server",
        "/opt/llama.cpp/build/bin/llama-server",
        "llama-server.exe",
        "llama-server-cuda",
        "llama-server-b6123",
        "llama_server",
        "/usr/bin/ik_llama-server",
        "ik-llama-server",
        "llama-cpp-server",
        "'/opt/my llama/llama-server'",
        "'C:\\llama\\llama-server.exe'",
        "C:llamallama-server.exe",
        "${env.BIN}/llama-server",
        "llama serve",
    ],
)
def test_a_llama_server_is_known_by_its_name(program: str) -> None:
    assert own_arguments(f"{program} -c 1") == ["-c", "1"]
    assert own_arguments(program) == []


@pytest.mark.parametrize(
    "program",
    ["llama-cli", "llama-swap", "llama-bench", "llama", "ollama serve", "my-llama-server",
     "/opt/llama-server/run", "llama-server.gguf", "/m/llama-server.py", "llama_cpp.server",
     "'exec /opt/llama-server -c 5'", "llama-serve", "lama-server"],
)  # fmt: skip
def test_what_is_only_called_alike_is_none(program: str) -> None:
    assert own_arguments(f"{program} -c 1") is None


@pytest.mark.parametrize(
    ("image", "begins"),
    [
        ("ghcr.io/ggml-org/llama.cpp:server", True),
        ("ghcr.io/ggml-org/llama.cpp:server-vulkan-b6123", True),
        ("localhost:5000/x/llama-server", True),
        ("llama-cpp-cuda:server", True),
        ("ghcr.io/ggml-org/llama.cpp:full -s", True),
        ("llama.cpp:mine -m x", True),
        ("llama.cpp:mine", False),
        ("ghcr.io/ggml-org/llama.cpp:full", False),
        ("ghcr.io/ggml-org/llama.cpp:light-cuda -m x", False),
        ("ghcr.io/mostlygeek/llama-swap:cuda", False),
        ("vllm/vllm-openai:latest", False),
        ("ghcr.io/ggml-org/llama.cpp:server bash", False),
        ("ghcr.io/ggml-org/llama.cpp:server bash -c 'llama-server -c 1'", False),
    ],
)
def test_an_image_that_starts_a_llama_server(image: str, begins: bool) -> None:
    for tool in ("docker run --rm -it", "podman run -d -c 5 --name llama-server", "docker.exe run"):
        assert (own_arguments(f"{tool} {image} -c 1") or [])[-2:] == (["-c", "1"] * begins)


@pytest.mark.parametrize(
    ("command", "size"),
    [
        ('su llm -c "llama-server -m x -c 4096"', 4096),
        ("ssh box 'cd /m; A=b exec llama-server -c 4096 2>&1 | tee -c 5'", 4096),
        ("bash -c 'taskset -c 0-7 llama-server -c 4096 && head -c 5'", 4096),
        ("""bash -c 'exec "$@"' name llama-server -c 4096""", 4096),
        ("sh -c 'sleep 5; fish -c \"llama-server -c 4096\"'", 4096),
        ("bash -c 'taskset -c 4096 vllm serve x'", None),
        ("bash -c 'head -c 4096 llama-server'", None),
        ("bash -c './llama.sh -c 4096'", None),
        ("python main.py -c 4096", None),
        ("taskset -c 4096 vllm serve x", None),
        ("docker run -c 4096 image", None),
        ("-c 4096", None),
    ],
)
def test_the_context_size_of_a_script_is_that_of_its_llama_server(
    command: str, size: int | None
) -> None:
    assert CommandLine.read(command).context_size == size


def test_nothing_of_another_program_is_read() -> None:
    line = CommandLine.read("python3 serve.py -m x.gguf -np 4 --reasoning-budget 0 -c 5")
    assert (line.arguments, line.model, line.parallel_slots, line.reasoning) == (
        (),
        None,
        None,
        None,
    )


@pytest.mark.parametrize(
    ("program", "flag"),
    [
        ("/opt/venv/bin/vllm", "--max-model-len"),
        ("vllm/vllm-openai:v0.10.0", "--max-model-len"),
        ("sglang.launch_server", "--context-length"),
        ("lmsysorg/sglang", "--context-length"),
        ("koboldcpp-linux-x64", "--contextsize"),
        ("koboldcpp.py", "--contextsize"),
        ("llama_cpp.server", "--n_ctx"),
        ("whisper-server", ""),
        ("run-wolf.sh", None),
        ("llama-server", None),
    ],
)
def test_the_context_flag_of_other_servers(program: str, flag: str | None) -> None:
    assert context_flag_of(program) == flag


@given(st.lists(st.sampled_from(
    ["llama-server", "taskset", "-c", "docker", "run", "exec", "--", "nix", "bash", "-m", "ssh",
     "env", "A=b", "python3", "a b", "llama.cpp:server", "--entrypoint", "x llama-server -c 1", ""]
)))  # fmt: skip
def test_no_words_raise_and_every_place_is_one_of_them(command: list[str]) -> None:
    found = find_launch(command)
    assert found.begin is None or 0 < found.begin <= len(command)
    assert 0 <= found.behind <= len(command)
    assert found.script is None or found.script < len(command)
    assert found.begin is not None or found.program or "" in command or not command


@pytest.mark.parametrize(
    "command",
    [["nice"] * 20_000, ["x", *["llama-server"] * 8_000, "-m="], ["A=b"] * 20_000,
     ["x", "llama-server" * 5_000 + "="], ["x llama-server." * 4_000], ["-" * 60_000, "-m"]],
)  # fmt: skip
def test_a_hostile_command_is_read_quickly(command: list[str]) -> None:
    began = time.process_time()
    find_launch(command)
    assert time.process_time() - began < 2
