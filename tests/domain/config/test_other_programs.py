"""Commands that start something else, or start a llama-server through something else."""

import shlex

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aitui.domain.config.document import ConfigDocument
from aitui.domain.config.flag_edit import change_flag
from aitui.domain.config.locate import ValueSource
from aitui.domain.llama_server import split_words
from aitui.domain.programs import WRAPPERS
from aitui.errors import ConfigRefused
from domain.config.edits import current_value, flag_changed

# Each with the word that the refusal is to name.
FOREIGN = {
    "taskset -c 0-15 vllm serve /models/fox --max-model-len 32768": "vllm",
    "python3 -c 'import time; time.sleep(9)'": "python3",
    "python main.py -c wolf.yml": "main.py",
    "nix develop /opt/x -c vllm serve /models/fox": "vllm",
    "nix develop -c python3 -m sglang.launch_server --model-path /m": "sglang.launch_server",
    "toolbox run -c rocm-box koboldcpp --model /m/x.gguf": "koboldcpp",
    "distrobox enter -n box -- mlx_lm.server --model /m": "mlx_lm.server",
    "docker run --rm -c 512 vllm/vllm-openai:v0.10.0 --model /m": "vllm/vllm-openai:v0.10.0",
    "docker run --name llama-server -c 512 vllm/vllm-openai --model /m": "vllm/vllm-openai",
    "docker run --entrypoint vllm ghcr.io/ggml-org/llama.cpp:server serve -c 4096": "vllm",
    "docker run ghcr.io/ggml-org/llama.cpp:light -m /m/x.gguf -c 4096": (
        "ghcr.io/ggml-org/llama.cpp:light"
    ),
    "docker run ghcr.io/abetlen/llama-cpp-python:v0.3 -c 4096": (
        "ghcr.io/abetlen/llama-cpp-python:v0.3"
    ),
    "docker start -a llama-server": "docker start",
    "docker -c far compose -f x.yml up llama-server": "docker compose",
    "podman compose --profile batch up": "podman compose",
    "docker exec -it llama-server curl -c jar http://x": "curl",
    "systemctl --user start llama-server": "systemctl",
    "python -m llama_cpp.server --model /m/x.gguf": "llama_cpp.server",
    "python3 -m vllm.entrypoints.openai.api_server -c 4096": "vllm.entrypoints.openai.api_server",
    "env -u A CUDA_VISIBLE_DEVICES=0 nice -n 5 whisper-server -m /m/w.bin": "whisper-server",
    "numactl -C 0-7 sd-server -m /m/sd.safetensors": "sd-server",
    "ionice -c 2 -n 0 llama-cli -m x -c 4096": "llama-cli",
    "ssh -c aes128-ctr box vllm serve /m": "vllm",
    "/srv/bin/run-wolf.sh ${PORT}": "run-wolf.sh",
    "/srv/bin/llama-server.sh ${PORT}": "llama-server.sh",
    "/srv/bin/run-wolf.sh --backend llama-server -c wolf.yml -m x": "run-wolf.sh",
    "bash /srv/start.sh -c 4096": "start.sh",
    "sleep infinity": "sleep",
    "llama-swap -c config.yaml": "llama-swap",
    "vllm serve /models/llama-server": "vllm",
    "chrt -f 5": "chrt",
    "docker run --rm": "docker",
    "nix run github:ggml-org/llama.cpp -- -c 4096": "nix run",
    "/opt/llama-server/ -c 4096": "/opt/llama-server/",
    "'' -c 4096": "",
    "A=b": "A=b",
}
# Each with the word that is given the script.
SCRIPTS = {
    'su llm -c "llama-server -m /m/x.gguf -c 8192"': "su",
    'runuser -l llm -c "llama-server -c 8192"': "runuser",
    'sg video -c "llama-server -c 8192"': "sg",
    "fish -c 'llama-server -c 8192'": "fish",
    "bash -o pipefail -c 'llama-server -c 8192 | tee log'": "bash",
    'sudo -u llm sh -lc "llama-server -c 8192"': "sh",
    'ssh box "llama-server -c 8192 | tee log"': "ssh",
    "ssh box llama-server -m x -c 8192 '|' tee log": "ssh",
    'nix-shell --run "llama-server -c 8192"': "nix-shell",
    'script -qc "llama-server -c 8192" log': "script",
    "env -S 'llama-server -c 8192'": "env",
    "docker run x bash -c 'llama-server -c 8192'": "bash",
    "docker run --entrypoint bash ghcr.io/ggml-org/llama.cpp:server -c 'llama-server -c 1'": "bash",
}
# Each holds the 4096 that is the server's, and none that isn't.
WRAPPED = [
    "taskset -c 0-15 llama-server -m x -c 4096",
    "taskset --cpu-list 0-15 /opt/llama.cpp/llama-server -c 4096",
    "nice -n 5 ionice -c2 -n0 llama-server-cuda --ctx-size 4096",
    "nice -10 llama-server -c 4096",
    "env -u A -C /m B=c llama-server.exe --ctx-size=4096",
    "numactl -C 0-7 -m 0 --interleave all llama-server -c 4096",
    "chrt -f 50 stdbuf -oL time -f %e timeout -k 5 9h ik_llama-server -c 4096",
    "docker run --rm -it -c 512 --gpus all ghcr.io/ggml-org/llama.cpp:server-cuda -m x -c 4096",
    "podman run --replace --name llama-server -c 512 local/llama.cpp:server-b1@sha256:0 -c 4096",
    "docker -c far run --entrypoint /app/llama-server -c 512 image:1 -c 4096",
    "docker run --rm -c 512 image:1 taskset -c 0-7 /app/llama-server -c 4096",
    "docker run ghcr.io/ggml-org/llama.cpp:full-cuda --server -m x -c 4096",
    "docker exec -e A=b -w /m llama-server /app/llama-server -c 4096",
    "systemd-run --user --scope -p CPUQuota=50% --unit llama-server -- llama-server -c 4096",
    "nix develop /opt/x -c llama-server -c 4096",
    "nix shell nixpkgs#llama-cpp --command llama-server -c 4096",
    "nix run github:ggml-org/llama.cpp#llama-server -- -c 4096",
    "toolbox run -c rocm-box llama-server -c 4096",
    "distrobox enter box -- llama-server -c 4096",
    "distrobox-enter -n box -e llama-server -c 4096",
    "ssh -p 22 -c aes128-ctr llm@box llama-server -m x -c 4096",
    "sudo -u llm -E A=b llama-server -c 4096",
    "runuser -u llm -- llama-server -c 4096",
    "su llm -s /bin/sh -c 'exec \"$@\"' -- sh llama-server -m x -c 4096",
    "flock /run/gpu.lock llama-server -c 4096",
    "llama serve -m x -c 4096",
    "/srv/bin/gpu-lock.sh 1 /opt/llama-server -m x -c 4096",
    "/srv/bin/llama-server.sh -m x -c 4096",
    "${env.LLAMA_SERVER} -m x -c 4096",
]


def in_a_file(command: str) -> str:
    """A file with the command in the model `a`, on lines 3 and 4."""
    return f"models:\n  a:\n    cmd: |\n      {command}\n    ttl: 5\n"


@pytest.mark.parametrize("command", FOREIGN)
@pytest.mark.parametrize("flag", ["-c", "ctx-size", "-ngl"])
def test_a_program_that_is_not_a_llama_server_is_named(command: str, flag: str) -> None:
    with pytest.raises(ConfigRefused) as refused:
        flag_changed(in_a_file(command), "a", flag, "16384")
    assert f"“{FOREIGN[command]}”" in refused.value.what
    assert refused.value.line == 3
    assert refused.value.why
    assert refused.value.remedy


@pytest.mark.parametrize("command", SCRIPTS)
def test_what_stands_inside_a_quoted_word_is_refused(command: str) -> None:
    with pytest.raises(ConfigRefused) as refused:
        flag_changed(in_a_file(command), "a", "-c", "16384")
    assert f"“{SCRIPTS[command]}”" in refused.value.why
    assert refused.value.line == 3


@pytest.mark.parametrize("command", [*FOREIGN, *SCRIPTS])
def test_nothing_is_added_for_one_model_alone_either(command: str) -> None:
    body = f"      {command}\n"
    text = f"b: &b\n  cmd: |\n{body}models:\n  a: {{<<: *b}}\n  c: {{<<: *b}}\n"
    with pytest.raises(ConfigRefused):
        flag_changed(text, "a", "-c", "16384", only_this_model=True)


@pytest.mark.parametrize("command", WRAPPED)
def test_a_wrapped_server_is_changed_behind_its_own_word(command: str) -> None:
    change = flag_changed(in_a_file(command), "a", "-c", "16384")
    assert change.after == in_a_file(command.replace("4096", "16384"))
    assert change.old == "4096"


@pytest.mark.parametrize("command", WRAPPED)
def test_a_wrapped_server_gets_a_flag_that_it_has_not(command: str) -> None:
    change = flag_changed(in_a_file(command), "a", "--top-k", "4")
    assert change.after == in_a_file(f"{command} --top-k 4")


@pytest.mark.parametrize(
    ("command", "own"),
    [
        ("vllm serve /m --max-model-len 8192", "--max-model-len"),
        ("docker run vllm/vllm-openai --model /m --max-model-len=8192", "--max-model-len"),
        ("python3 -m sglang.launch_server --context-length 8192", "--context-length"),
        ("python koboldcpp.py --model x --contextsize 8192", "--contextsize"),
        ("python -m llama_cpp.server --n_ctx 8192", "--n_ctx"),
    ],
)
def test_the_flag_that_a_program_has_instead_is_named_and_can_be_set(
    command: str, own: str
) -> None:
    with pytest.raises(ConfigRefused) as refused:
        flag_changed(in_a_file(command), "a", "ctx-size", "16384")
    assert own in refused.value.why
    assert refused.value.remedy == f"aitui flag a {own[2:]} 16384 changes it."
    change = flag_changed(in_a_file(command), "a", own[2:], "16384")
    assert change.after == in_a_file(command.replace("8192", "16384"))


def test_a_flag_that_would_have_to_be_added_is_not_promised() -> None:
    with pytest.raises(ConfigRefused) as refused:
        flag_changed(in_a_file("vllm serve /m"), "a", "ctx-size", "16384")
    assert "--max-model-len" in refused.value.why
    assert "editor" in refused.value.remedy


@pytest.mark.parametrize(
    ("command", "flag"),
    [
        ("docker run --memory 64g vllm/vllm-openai --model m", "memory"),
        ("taskset --cpu-list 0-7 vllm serve m", "cpu-list"),
        ("vllm serve m -tp 2", "-tp"),
        ("run-wolf.sh -m fox", "model"),
        ("run-wolf.sh --ctx-size 4096", "ctx-size"),
    ],
)
def test_only_an_own_long_flag_of_another_program_can_be_set(command: str, flag: str) -> None:
    with pytest.raises(ConfigRefused):
        flag_changed(in_a_file(command), "a", flag, "5")


@pytest.mark.parametrize("command", [*FOREIGN, "docker run -c 512 x /opt/llama-server -m q"])
def test_the_flags_of_others_are_no_context_size(command: str) -> None:
    document = ConfigDocument.read(in_a_file(command))
    assert document.context_size("a") is None
    assert current_value(document, "a", "-c") is None


def test_the_variable_of_a_script_is_llama_servers_and_can_be_set() -> None:
    text = in_a_file("run-wolf.sh -c 5").replace("ttl: 5", "env: [LLAMA_ARG_CTX_SIZE=4096]")
    change = flag_changed(text, "a", "-c", "16384")
    assert change.after == text.replace("4096", "16384")
    assert change.where is ValueSource.ENVIRONMENT


def test_a_macro_may_hold_the_server_and_what_stands_before_it() -> None:
    text = (
        "macros:\n  pinned: taskset -c 0-7\n  server: ${pinned} /opt/llama-server --port 1\n"
        "models:\n  a:\n    cmd: ${server} -c 4096\n  b:\n    cmd: ${pinned} vllm serve m -c 4096\n"
    )
    change = flag_changed(text, "a", "-c", "16384")
    assert change.after == text.replace("-c 4096\n  b", "-c 16384\n  b")
    with pytest.raises(ConfigRefused, match="vllm"):
        flag_changed(text, "b", "-c", "16384")


NAMED = frozenset({"run-wolf.sh", "/opt/fox", "my/vllm-fox:1", "fox.serve"})
"""What the user's settings name as llama-servers."""


@pytest.mark.parametrize(
    "command",
    [
        "/srv/bin/run-wolf.sh -c 4096",
        "taskset -c 0-7 bash -x /srv/run-wolf.sh --ctx-size 4096",
        "/opt/fox --ctx-size=4096",
        "docker run --rm -c 512 my/vllm-fox:1 -c 4096",
        "python3 -u -m fox.serve -c 4096",
        "python3 /srv/run-wolf.sh -c 4096",
    ],
)
def test_the_settings_name_more_programs_with_llama_servers_flags(command: str) -> None:
    document = ConfigDocument.read(in_a_file(command), NAMED)
    change = change_flag(document, "a", "ctx-size", "16384")
    assert change.after == in_a_file(command.replace("4096", "16384"))
    assert document.context_size("a") == 4096
    assert ConfigDocument.read(document.text).context_size("a") is None


@pytest.mark.parametrize(
    "command",
    ["/srv/fox -c 4096", "other.sh run-wolf.sh -c 4096", "bash -c 'run-wolf.sh -c 4096'",
     "docker run my/vllm-fox:2 -c 4096", "docker run my/vllm-fox:1 python main.py -c 4096",
     "python3 -c run-wolf.sh -c 4096"],
)  # fmt: skip
def test_other_programs_stay_foreign_beside_those_that_the_settings_name(command: str) -> None:
    document = ConfigDocument.read(in_a_file(command), NAMED)
    with pytest.raises(ConfigRefused):
        change_flag(document, "a", "ctx-size", "16384")


@pytest.mark.parametrize("value", ["a b", "$(reboot)", "x;y", "~/m.jinja", "a'b"])
def test_a_value_that_the_other_shell_would_read_is_refused(value: str) -> None:
    for command in ("ssh box llama-server -m x", "ssh box llama-server --alias far -m x"):
        with pytest.raises(ConfigRefused, match="ssh"):
            flag_changed(in_a_file(command), "a", "--alias", value)
    local = flag_changed(in_a_file("llama-server -m x"), "a", "--alias", value)
    document = ConfigDocument.read(local.after)
    assert split_words(document.command("a"))[-1].text == value


plain = st.from_regex(r"[a-z0-9][a-z0-9./:-]{0,7}", fullmatch=True)


BEFORE = {
    "docker": [
        "docker run --rm -c 512 -v /m:/m --name {} image:1",
        "docker --context {} run --entrypoint '' --gpus all -m 9g image:1",
        "docker exec -it -w /m {}",
    ],
    "podman": ["podman run --replace --cpus 5 -e {} x/y", "podman exec {}"],
    "nix": ["nix develop {} -c", "nix shell {} --command"],
    "A=b": ["A={} B=llama-server"],
}


@st.composite
def wrappers(draw: st.DrawFn) -> str:
    """Any wrapper of the table with some of its options, or a container, a nix shell, variables."""
    name = draw(st.sampled_from([*WRAPPERS, *BEFORE]))
    if name not in WRAPPERS:
        return draw(st.sampled_from(BEFORE[name]))
    wrapper = WRAPPERS[name]
    replaced = bool(wrapper.instead) and draw(st.booleans())
    options = [draw(st.sampled_from(sorted(wrapper.instead)))] if replaced else []
    if wrapper.valued:
        options += draw(
            st.lists(st.sampled_from(sorted(wrapper.valued - wrapper.instead)), max_size=3)
        )
    words = [name, *([wrapper.subcommand] if wrapper.subcommand else [])]
    words += [f"{option} {{}}" for option in options]
    words += ["{}"] * (wrapper.operands - replaced)
    if name != "gdb" and not wrapper.operands and draw(st.booleans()):
        words.append("--")
    return " ".join([*words, *(["--args"] if name == "gdb" else [])])


servers = st.sampled_from(
    ["llama-server", "/opt/llama.cpp/llama-server", "'llama-server'", "llama-server-vulkan",
     "docker run -c 5 --name {} ghcr.io/ggml-org/llama.cpp:server-cuda"]
)  # fmt: skip
foreign = st.sampled_from(
    ["vllm serve {}", "python3 -c 'print({})'", "python main.py -c {}", "whisper-server -m {}",
     "/srv/run.sh {} -c 7", "sleep {}", "docker compose -f {} up", "docker start -a {}",
     "koboldcpp -c {}", "systemctl start llama-server", "tail -c 5 -f llama-server"]
)  # fmt: skip
arguments = st.lists(
    st.sampled_from(["-m {}", "--temp 0.7", "--jinja", "-fa on", "--alias 'a -c 5'", "-c 77"]),
    max_size=4,
)


@st.composite
def commands(draw: st.DrawFn, programs: st.SearchStrategy[str]) -> tuple[str, str]:
    """Wrappers with their program, and the arguments behind it."""
    before = [*draw(st.lists(wrappers(), max_size=3)), draw(programs)]
    return (
        " ".join(part.replace("{}", draw(plain)) for part in before),
        " ".join(part.replace("{}", draw(plain)) for part in draw(arguments)),
    )


@settings(max_examples=60)
@given(commands(servers), st.integers(1, 10**6))
def test_no_word_but_the_servers_own_value_changes(command: tuple[str, str], size: int) -> None:
    before, behind = command
    change = flag_changed(in_a_file(f"{before} {behind}"), "a", "-c", str(size))
    after = [word.text for word in split_words(ConfigDocument.read(change.after).command("a"))]
    own = shlex.split(behind)
    assert after[: len(shlex.split(before))] == shlex.split(before)
    if "-c" in own:
        own[len(own) - own[::-1].index("-c")] = str(size)
    else:
        own += ["-c", str(size)]
    assert after[len(shlex.split(before)) :] == own


@settings(max_examples=60)
@given(commands(foreign), st.sampled_from(["-c", "ctx-size", "-ngl"]))
def test_no_word_of_another_program_changes(command: tuple[str, str], flag: str) -> None:
    text = in_a_file(" ".join(command))
    with pytest.raises(ConfigRefused, match="“"):
        flag_changed(text, "a", flag, "16384")


@settings(max_examples=150)
@given(
    st.lists(
        st.sampled_from(
            ["llama-server", "/opt/llama-server", "ghcr.io/ggml-org/llama.cpp:server", "vllm",
             "docker", "run", "ssh", "bash", "-c", "-m", "--ctx-size", "--", "5", "x.gguf", "su",
             "taskset", "0-7", "env", "A=b", "python3", "main.py", "-lc", "'llama-server -c 5'",
             "'cat x | llama-server'", "--ctx-size=5", "compose", "up", "|", "nix", "develop"]
        ),
        min_size=1,
        max_size=9,
    )
)  # fmt: skip
def test_whatever_the_words_are_one_behind_a_server_changes_or_none(words: list[str]) -> None:
    try:
        change = flag_changed(in_a_file(" ".join(words)), "a", "-c", "16384")
    except ConfigRefused:
        return
    before = [word.text for word in split_words(ConfigDocument.read(change.before).command("a"))]
    after = [word.text for word in split_words(ConfigDocument.read(change.after).command("a"))]
    at = len(before)
    if change.added:
        assert after == [*before, "-c", "16384"]
    elif before[-1] in {"-c", "--ctx-size"}:
        assert after == [*before, "16384"]
    else:
        (at,) = (
            at for at, pair in enumerate(zip(before, after, strict=True)) if len(set(pair)) > 1
        )
        assert after[at] in {"16384", "--ctx-size=16384"}
        assert "--ctx-size=5" in before[at] or before[at - 1] in {"-c", "--ctx-size"}
    assert any("llama" in word and "server" in word for word in before[:at])
    # Only a shell, as on the other side of ssh, ends the command there.
    assert before[0] != "ssh" or "|" not in before
