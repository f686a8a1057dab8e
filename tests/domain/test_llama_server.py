import itertools
import shlex
import string

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from aitui.domain.llama_server import CommandLine, split_words

plain = st.text(string.ascii_letters + string.digits + "._/:", min_size=1, max_size=8)
awkward = st.text(" \t\n'\"\\#=-cx1é", max_size=30)
sizes = st.integers(min_value=1, max_value=10_000_000)
separators = st.sampled_from(
    [" ", "  ", "\t", "\n", " \\\n", "\\\n  ", "\n# -c 7\n", "\n  #--x '\n", "\r\n"]
)


@st.composite
def commands(draw: st.DrawFn) -> tuple[str, int | None]:
    """A command in a random style, and the context size that it sets."""
    parts = ["/opt/llama-server"]
    expected: int | None = None
    for _ in range(draw(st.integers(0, 4))):
        parts += draw(
            st.sampled_from([["--jinja"], ["-m", draw(plain)], ["-ngl", "99"], ["--temp=0.7"]])
        )
        if draw(st.booleans()):
            size = draw(sizes)
            expected = size
            name = draw(st.sampled_from(["-c", "--ctx-size", "--ctx_size", "'--ctx-size'", '"-c"']))
            text = draw(st.sampled_from([f"{size}", f"'{size}'", f'"{size}"', f"'{size}'\"\""]))
            parts += [f"{name}={text}"] if draw(st.booleans()) else [name, text]
    command = parts[0]
    for part in parts[1:]:
        command += draw(separators) + part
    return command + draw(st.sampled_from(["", "\n", " ", "\\\n", "\n# end"])), expected


@given(commands())
def test_the_last_context_size_is_read_back_in_any_style(case: tuple[str, int | None]) -> None:
    command, expected = case
    assert CommandLine.read(command).context_size == expected


@given(st.lists(st.text(max_size=12)))
def test_quoted_words_are_read_back(texts: list[str]) -> None:
    assume(not any("\n" in text for text in texts))
    assert [word.text for word in split_words(shlex.join(texts))] == texts


@given(awkward)
def test_words_are_what_a_shell_makes_of_them(text: str) -> None:
    assume("#" not in text and "\\\n" not in text.replace(" ", "").replace("\t", "") + "\n")
    try:
        expected = shlex.split(text)
    except ValueError:
        assume(False)
    assert [word.text for word in split_words(text)] == expected


@given(awkward)
def test_no_command_raises(text: str) -> None:
    command = CommandLine.read(text)
    assert command.context_size is None or command.context_size > 0
    assert command.model is None or command.model
    assert command.reasoning in {True, False, None}


@given(awkward)
def test_a_word_knows_its_place(text: str) -> None:
    found = split_words(text)
    assert all(word.start < word.end for word in found)
    assert all(left.end < right.start for left, right in itertools.pairwise(found))


def test_the_place_of_a_word_includes_its_quotes() -> None:
    command = "# -c 1\nllama-server -c '4096' -m x"
    value = next(word for word in split_words(command) if word.text == "4096")
    assert command[value.start : value.end] == "'4096'"


@pytest.mark.parametrize(
    ("command", "size"),
    [
        ("llama-server --ctx-size 262144", 262144),
        ("llama-server --ctx-size=262144", 262144),
        ("llama-server -c 262144", 262144),
        ('llama-server "-c" "262144"', 262144),
        ("llama-server -c 4096 --ctx-size 8192", 8192),
        ("llama-server --ctx-size 8192 -c 4096", 4096),
        ("llama-server \\\n  -c \\\n 4096", 4096),
        ("llama-server\n  # -c 1\n  -c 4096\n# -c 2\n", 4096),
        ("llama-server --port 1\n--ctx-size 4096 --alias qwen3-8b\n--model /m/Q.gguf\n", 4096),
    ],
)
def test_the_context_size_is_found(command: str, size: int) -> None:
    assert CommandLine.read(command).context_size == size


@pytest.mark.parametrize(
    "command",
    [
        "",
        "llama-server",
        "llama-server -c",
        "llama-server -c many",
        "llama-server -c -1",
        "llama-server -c 4096.5",
        "llama-server -c ٤٠٩٦",
        "llama-server -c " + "9" * 5000,
        "llama-server --cache-type-k q8_0 -cb --ctx-size-draft 512",
        "llama-server -c 4096 -c nonsense",
        "llama-server --alias '-c 4096'",
    ],
)
def test_no_or_a_nonsensical_context_size_is_none(command: str) -> None:
    assert CommandLine.read(command).context_size is None


def test_a_context_size_of_zero_is_left_to_the_model() -> None:
    assert CommandLine.read("llama-server -c 4096 -c 0").context_size is None


@pytest.mark.parametrize(
    "command",
    [
        "docker run --rm -v /m:/m ghcr.io/ggml-org/llama.cpp:server-cuda -m /m/q.gguf -c 4096",
        'bash -c "llama-server -m q.gguf -c 4096"',
        "/bin/sh -lc 'exec /opt/llama-server --ctx-size=4096'",
        "bash -e -c 'cd /m && llama-server -c 4096 -m q.gguf'",
        "docker run image bash -c 'sh -c \"llama-server -c 4096\"'",
        "env GGML_CUDA=1 nice -n 5 llama-server -c 4096",
    ],
)
def test_a_wrapped_command_is_read(command: str) -> None:
    assert CommandLine.read(command).context_size == 4096


@pytest.mark.parametrize("wrapper", ["taskset -c 0-7", "ionice -c 2", "docker run -c 512 x"])
def test_flags_of_the_wrapper_are_not_the_servers(wrapper: str) -> None:
    assert CommandLine.read(f"{wrapper} /opt/llama-server -m q.gguf").context_size is None


@pytest.mark.parametrize("command", ["llama-server -c 4096 'open", 'llama-server -c 4096 "open \\'])
def test_a_quote_that_is_never_closed_reaches_to_the_end(command: str) -> None:
    assert CommandLine.read(command).context_size == 4096


def test_a_flag_value_is_the_last_one() -> None:
    assert CommandLine.read("llama-server --alias a --alias=b").value(["--alias"]) == "b"


def test_a_missing_flag_has_no_value() -> None:
    assert CommandLine.read("llama-server --alias a").value(["--port"]) is None


def test_a_flag_at_the_end_has_an_empty_value() -> None:
    assert CommandLine.read("llama-server --alias").value(["--alias"]) == ""


def test_a_flag_is_there_with_or_without_a_value() -> None:
    assert CommandLine.read("llama-server --jinja").has(["--jinja"])
    assert CommandLine.read("llama-server --flash-attn=on").has(["--flash-attn"])
    assert not CommandLine.read("llama-server --jinja").has(["-j"])


@pytest.mark.parametrize(
    ("command", "slots", "parts"),
    [
        ("llama-server -np 4", 4, 4),
        ("llama-server --parallel=2", 2, 2),
        ("llama-server --parallel=2 -kvu", 2, 1),
        ("llama-server -np -1", None, 1),
        ("llama-server", None, 1),
    ],
)
def test_parallel_slots(command: str, slots: int | None, parts: int) -> None:
    assert CommandLine.read(command).parallel_slots == slots
    assert CommandLine.read(command).context_parts == parts


@pytest.mark.parametrize(
    ("command", "model"),
    [
        ("llama-server -m '/m/with blank.gguf'", "/m/with blank.gguf"),
        ("llama-server --model=/m/q.gguf", "/m/q.gguf"),
        ("llama-server -hf ggml-org/gpt-oss-20b-GGUF", "ggml-org/gpt-oss-20b-GGUF"),
        ("llama-server", None),
    ],
)
def test_model_path(command: str, model: str | None) -> None:
    assert CommandLine.read(command).model == model


@pytest.mark.parametrize(
    ("flags", "verdict"),
    [
        ("--reasoning-budget 0", False),
        ("--reasoning-budget 512", True),
        ("--reasoning-budget -1", None),
        ("--reasoning off", False),
        ("--reasoning on", True),
        ("--reasoning auto", None),
        ("--reasoning-format deepseek", True),
        ("--reasoning-format none", None),
        ("--reasoning-format auto", None),
        ("--jinja", None),
        ("""--chat-template-kwargs '{"enable_thinking":false}'""", False),
        ("""--chat-template-kwargs "{\\"enable_thinking\\": true}" """, True),
        ("""--chat-template-kwargs '{"thinking":false}'""", False),
        ("""--chat-template-kwargs '{"reasoning_effort":"high"}'""", True),
        ("""--chat-template-kwargs '{"reasoning_effort":"none"}'""", False),
        ("--chat-template-kwargs '{broken'", None),
        ("--chat-template-kwargs '[1]'", None),
        ("--chat-template-kwargs " + "[" * 100_000, None),
        (
            """--reasoning-format deepseek --chat-template-kwargs '{"enable_thinking":false}'""",
            False,
        ),
    ],
)
def test_flags_that_switch_reasoning(flags: str, verdict: bool | None) -> None:
    assert CommandLine.read(f"llama-server {flags}").reasoning is verdict
