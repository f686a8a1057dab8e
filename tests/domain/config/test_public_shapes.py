"""A file of 400 models as people write them: each command in public use, in every style of YAML."""

import re
from dataclasses import dataclass
from itertools import cycle

import pytest

from aitui.domain.config.document import ConfigDocument
from aitui.domain.config.flag_edit import change_flag
from aitui.domain.config.verify import command_words, find_changed_models
from aitui.domain.llama_server import CONTEXT_SIZE
from aitui.errors import ConfigRefused

SIZE = "16384"
# `§` is the value that counts. Without one, the flag is added.
SERVERS = """
llama-server -m /m/fox.gguf --ctx-size § --port ${PORT}
/opt/llama.cpp/build/bin/llama-server --ctx-size=§ -m /m/fox.gguf -ctk q8_0
llama-server -c 2048 -m /m/fox.gguf -c § --jinja
llama-server --ctx_size § --alias "fox -c 9" --chat-template-kwargs '{"a":"-c 5"}'
llama-server -m /m/fox.gguf -fa on --port ${PORT}
llama-server -hf wolf/fox-GGUF:Q4_K_M -c § -ot "blk\\.[0-9]+=CPU" --fit off
/srv/ik_llama.cpp/build/bin/llama-server --fit --ctx-size § -m x --context-shift on
ik_llama-server -m x -fmoe -c § -rtr
taskset -c 0-15 llama-server -m x -c §
taskset 0xff nice -n -5 llama-server -m x --ctx-size §
numactl --cpunodebind=0 --membind 0 llama-server -m x -c §
numactl -N 0 -m 0 -C 0-7 /usr/bin/llama-server -m x -c §
env CUDA_VISIBLE_DEVICES=0 LLAMA_ARG_FLASH_ATTN=1 llama-server -m x -c §
env -i -u A HOME=/ llama-server -m x
CUDA_VISIBLE_DEVICES=1 llama-server -m x -c §
nice -n 10 ionice -c 3 chrt --rr 20 llama-server -m x -c §
systemd-run --user --scope -p MemoryMax=60G -p CPUQuota=90% llama-server -m x -c §
systemd-run --user --pipe --wait --unit=fox --setenv A=b --collect llama-server -m x -c §
docker run --rm --init --name fox -p ${PORT}:8080 -c 512 --gpus '"device=2,3"' -v /m:/m:ro ghcr.io/ggml-org/llama.cpp:server-cuda -m /m/x.gguf -c § --host 0.0.0.0
docker run --rm --device /dev/kfd --group-add video --security-opt seccomp=unconfined --shm-size 16g --ulimit memlock=-1 --entrypoint /app/llama-server rocm/llama:7 -m /m/x.gguf -c §
docker run -it --rm -e A=b -m 64g --memory-swap 64g --cpuset-cpus 0-7 ghcr.io/x/ik_llama.cpp:full-cuda --server -m x -c §
podman run --rm --replace --userns=keep-id --device nvidia.com/gpu=all --pull newer quay.io/x/llama-cpp:server-b1 -m x -c §
podman run --rm --security-opt label=disable -w /m image:1 llama-server -m x -c §
docker exec -i -e A=b fox /app/llama-server -m x -c §
docker --context far run --rm ghcr.io/ggml-org/llama.cpp:server -m x
nix develop /opt/x --impure --command llama-server -m x -c §
nix shell github:ggml-org/llama.cpp#cuda -c llama-server -m x -c §
nix run nixpkgs#llama-server -- -m x -c §
toolbox run -c rocm-box llama-server -m x -c §
toolbox run --container rocm-box env A=b llama-server -m x -c §
distrobox enter box -- llama-server -m x -c §
distrobox enter -n box -T -- llama-server -m x -c §
ssh -o BatchMode=yes -p 22 llm@box llama-server -m x -c § --port 9000
ssh -tt -i /k -c aes128-ctr box exec taskset -c 0-7 llama-server -m x -c §
sudo -u llm -E llama-server -m x -c §
su -s /bin/sh llm -c 'exec "$0" "$@"' llama-server -m x -c §
setpriv --reuid 1000 --clear-groups llama-server -m x -c §
prlimit --memlock=unlimited llama-server -m x -c §
choom -n -500 -- llama-server -m x -c §
flatpak-spawn --host --env=A=b llama-server -m x -c §
apptainer exec --nv -B /m llama.sif llama-server -m x -c §
bwrap --ro-bind / / --dev /dev llama-server -m x -c §
firejail --noprofile llama-server -m x -c §
prime-run llama-server -m x -c §
caffeinate -i llama-server -m x -c §
cmd.exe /c llama-server.exe -m x -c §
kubectl exec fox-0 -c main -- llama-server -m x -c §
gdb -ex run --args llama-server -m x -c §
mpirun -np 2 -c 3 llama-server -m x -c §
conda run -n llm --no-capture-output llama-server -m x -c §
/srv/bin/with-lock 1 llama-server -m x -c §
llama serve -m x -c §
""".strip().splitlines()
# Each with the program that is named, and its own flag if it has one.
FOREIGN = {
    "vllm serve /m/fox --port ${PORT} --max-model-len 32768": ("vllm", "--max-model-len"),
    "taskset -c 0-15 vllm serve /m --port ${PORT}": ("vllm", "--max-model-len"),
    "python3 -m vllm.entrypoints.openai.api_server --model /m": ("vllm.", "--max-model-len"),
    "docker run --rm --runtime=nvidia --gpus '\"device=2,3\"' --shm-size=16g -p ${PORT}:8000 -v "
    "/m:/m vllm/vllm-openai:v0.10.0 --model /m --max-model-len 65536": (
        "vllm/vllm-openai:v0.10.0",
        "--max-model-len",
    ),
    "docker run --rm -c 512 --ipc=host lmsysorg/sglang:latest python3 -m sglang.launch_server "
    "--model-path /m --context-length 8192": ("sglang", "--context-length"),
    "uv run --with sglang -m sglang.launch_server --model-path /m": ("sglang", "--context-length"),
    "uvx --from sglang sglang serve --model-path /m": ("sglang", "--context-length"),
    "nix develop /opt/x -c vllm serve /m": ("vllm", "--max-model-len"),
    "koboldcpp --model /m/x.gguf --contextsize 8192": ("koboldcpp", "--contextsize"),
    "/opt/koboldcpp-linux-x64 /m/x.gguf --quiet": ("koboldcpp-linux-x64", "--contextsize"),
    "python3 /opt/koboldcpp.py --model /m/x.gguf": ("koboldcpp.py", "--contextsize"),
    "python -m llama_cpp.server --model /m/x.gguf --n_ctx 8192": ("llama_cpp.server", "--n_ctx"),
    "python3 -u -m llama_cpp.server --model /m/x.gguf -c 9": ("llama_cpp.server", "--n_ctx"),
    "mistralrs-server --port ${PORT} plain -m wolf/fox -c 5": ("mistralrs", "--max-seq-len"),
    "mistralrs serve -m wolf/fox --max-seq-len 4096": ("mistralrs", "--max-seq-len"),
    "docker run --gpus all ghcr.io/ericlbuehler/mistral.rs:cuda-90 serve -m x": (
        "mistral.rs:cuda-90",
        "--max-seq-len",
    ),
    "ds4-server -m /m/x.gguf --ctx 32768": ("ds4-server", "--ctx"),
    "lmdeploy serve api_server /m --session-len 8192": ("lmdeploy", "--session-len"),
    "aphrodite run /m --max-model-len 8192": ("aphrodite", "--max-model-len"),
    "text-generation-launcher --model-id /m": ("text-generation-launcher", "--max-total-tokens"),
    "trtllm-serve /m --max_seq_len 4096": ("trtllm-serve", "--max_seq_len"),
    "whisper-server --port ${PORT} -m /m/w.bin --inference-path ''": ("whisper-server", None),
    "sd-server -m /m/sd.safetensors --listen-port ${PORT}": ("sd-server", None),
    "mlx_lm.server --model /m --port ${PORT}": ("mlx_lm.server", None),
    "python -m mlx_lm server --model /m": ("mlx_lm", None),
    "python -m mlx_vlm.server --model /m": ("mlx_vlm.server", None),
    "ollama serve": ("ollama", None),
    "docker compose -f /srv/x/compose.yml --profile batch up": ("docker compose", ""),
    "podman compose -f /srv/llama-server.yml up llama-server": ("podman compose", ""),
    "docker-compose -f x.yml run --rm llama-server": ("docker-compose", ""),
    "docker start -a fox": ("docker start", ""),
    "podman logs -f llama-server": ("podman logs", ""),
    "docker run --rm -c 512 image:1 python main.py -c wolf.yml": ("main.py", ""),
    "python main.py -c wolf.yml": ("main.py", ""),
    "/opt/tabbyAPI/venv/bin/python /opt/tabbyAPI/main.py --config /m/c.yml": ("main.py", ""),
    "python3 -c 'import time; time.sleep(10**9)'": ("python3", ""),
    "sleep infinity": ("sleep", ""),
    "tail -c 5 -f /dev/null": ("tail", ""),
    "/srv/bin/run-wolf.sh ${PORT}": ("run-wolf.sh", ""),
    "bash /srv/bin/run-wolf.sh -c 4096": ("run-wolf.sh", ""),
    "systemctl --user start --wait llama-server@fox": ("systemctl", ""),
    "toolbox run -c rocm-box whisper-server -m x": ("whisper-server", None),
    "distrobox enter box -- python main.py -c 5": ("main.py", ""),
    "socat TCP-LISTEN:${PORT},fork TCP:box:8080": ("socat", ""),
}
# Each with the program that is given a script.
SCRIPTS = {
    'su llm -c "llama-server -m /m/x.gguf -c 8192 --port 9003"': "su",
    'su - llm --command="llama-server -m x -c 8192"': "su",
    "bash -c 'llama-server -m x -c 8192'": "bash",
    "bash -lc 'source /opt/x && exec llama-server -m x -c 8192'": "bash",
    "sh -c 'llama-server -m x -c 8192 2>&1 | tee /m/log'": "sh",
    "fish -c 'llama-server -m x -c 8192'": "fish",
    "ssh box 'cd /m && llama-server -m x -c 8192'": "ssh",
    "ssh box 'llama-server -m x | tee log'": "ssh",
    "nix-shell -p llama-cpp --run 'llama-server -m x -c 8192'": "nix-shell",
    "distrobox enter box -- bash -lc 'llama-server -m x -c 8192'": "bash",
    "toolbox run -c box sh -c 'llama-server -m x -c 8192'": "sh",
    "docker run --rm x sh -c 'llama-server -m x -c 8192'": "sh",
    "cmd.exe /c 'llama-server.exe -m x -c 8192'": "cmd.exe",
    "script -qfc 'llama-server -m x -c 8192' /dev/null": "script",
}
HEAD = """macros:
  size: 9216
  pinned: taskset -c 0-7
  fox-server: >-
    ${pinned} /opt/llama-server
    --ctx-size 10240
.shared: &shared
  cmd: llama-server -m /m/shared.gguf -c 11264
models:
"""
SHARING = {
    "macro-1": "    cmd: ${fox-server} -m a\n",
    "macro-2": "    cmd: ${fox-server} -m b\n",
    "size-1": "    cmd: numactl -C 0-7 llama-server -m a -c ${size}\n",
    "size-2": "    cmd: ${pinned} llama-server -m b --ctx-size=${size}\n",
    "anchor-1": "    <<: *shared\n",
    "anchor-2": "    <<: *shared\n    ttl: 5\n",
    "alias-1": "    cmd: &cmd nice llama-server -m a -c 12288\n",
    "alias-2": "    cmd: *cmd\n",
}
EXTRA = (
    "",
    "    ttl: 300 # s\n",
    "    aliases: [x, é]\n",
    "    env: [A=-c 5]\n",
    "    # -c 4096: |\n",
)


@dataclass(frozen=True)
class Entry:
    """A model with its text; `§` is where the new size is to stand."""

    name: str
    command: str
    text: str

    def written(self, size: str = "") -> str:
        """Its text with the size that it has before, or another one."""
        return self.text.replace("§", size or str(4097 + int(self.name[1:])))


def literal(words: str) -> str:
    return f"|\n      {words}\n"


def literal_lines(words: str) -> str:
    return (
        "|-\n      "
        + words.replace(" -", "\n      # -c 7\n      -").replace("\n      # -c 7", "", 1)
        + "\n"
    )


def continued(words: str) -> str:
    return "|\n      " + words.replace(" --", " \\\n        --") + "\n"


def folded(words: str) -> str:
    return ">-\n      " + words.replace(" -m", "\n      -m") + "\n"


def single_quoted(words: str) -> str:
    return "'" + words.replace("'", "''") + "'\n"


def double_quoted(words: str) -> str:
    return (
        '"'
        + words.replace("\\", "\\\\").replace('"', '\\"').replace(" -m", "\n      -m")
        + '" # c\n'
    )


def plain(words: str) -> str:
    return words + " # c\n" if words[0] not in "'\"" and ": " not in words else single_quoted(words)


STYLES = (literal, literal_lines, continued, folded, single_quoted, double_quoted, plain)


def _entries() -> list[Entry]:
    found: list[Entry] = []
    every = [*SERVERS, *FOREIGN, *SCRIPTS]
    extras = cycle(EXTRA)
    for turn in range(len(STYLES)):
        for at, command in enumerate(every):
            name = f"m{len(found)}"
            style = STYLES[(turn + at) % len(STYLES)]
            body = f"  {name}:\n    cmd: {style(command)}{next(extras)}"
            found.append(Entry(name, command, body))
    return found[:400]


ENTRIES = _entries()
CHUNKS = [tuple(ENTRIES[at : at + 16]) for at in range(0, len(ENTRIES), 16)]


def in_a_file(entries: tuple[Entry, ...], changed: Entry | None = None) -> str:
    """These models below the shared head; the changed one has the new size."""
    return HEAD + "".join(one.written(SIZE if one is changed else "") for one in entries)


def check(document: ConfigDocument, entries: tuple[Entry, ...], entry: Entry) -> None:
    """Change one model's context, and hold the result against what its shape should give."""
    if entry.command not in SERVERS:
        with pytest.raises(ConfigRefused) as refused:
            change_flag(document, entry.name, "--ctx-size", SIZE)
        if entry.command in SCRIPTS:
            assert f"“{SCRIPTS[entry.command]}”" in refused.value.why
            return
        program, own = FOREIGN[entry.command]
        assert program in refused.value.what
        assert own in refused.value.why if own else "--" not in refused.value.why
        assert ("has no flag for the context" in refused.value.why) is (own is None)
        return
    change = change_flag(document, entry.name, "--ctx-size", SIZE)
    assert change.also == ()
    if "§" in entry.command:
        assert change.after == in_a_file(entries, entry)
        return
    after = ConfigDocument.read(change.after)
    words = command_words(document, entry.name)
    assert command_words(after, entry.name) == (*words, CONTEXT_SIZE[1], SIZE)
    left, count = re.subn(rf"(?: \\\\)?\s+{CONTEXT_SIZE[1]} {SIZE}", "", change.after)
    assert (left, count) == (in_a_file(entries), 1)


@pytest.mark.parametrize("entries", CHUNKS, ids=lambda chunk: f"{chunk[0].name}-{chunk[-1].name}")
def test_each_of_400_models_changes_alone_or_is_refused_with_the_reason(
    entries: tuple[Entry, ...],
) -> None:
    document = ConfigDocument.read(in_a_file(entries))
    wrong = []
    for entry in entries:
        try:
            check(document, entries, entry)
        except (AssertionError, ConfigRefused, pytest.fail.Exception) as error:
            wrong.append(f"{entry.text}\n{type(error).__name__}: {error}"[:900])
    assert wrong == []


def with_sharing(entries: tuple[Entry, ...]) -> ConfigDocument:
    """These models, and those that share their command or their size."""
    sharing = "".join(f"  {name}:\n{body}" for name, body in SHARING.items())
    return ConfigDocument.read(in_a_file(entries) + sharing)


def test_in_a_file_of_400_models_each_size_is_read_and_one_changes() -> None:
    assert len(ENTRIES) == 400
    whole = with_sharing(tuple(ENTRIES))
    for entry in ENTRIES:
        if entry.command in SERVERS:
            own = 4097 + int(entry.name[1:]) if "§" in entry.command else None
            assert whole.context_size(entry.name) == own, entry.text
        elif entry.command in FOREIGN:
            assert whole.context_size(entry.name) is None, entry.text
    changed = next(one for one in reversed(ENTRIES) if "§" in one.command)
    after = change_flag(whole, changed.name, "-c", SIZE).after
    assert after == whole.text.replace(changed.written(), changed.written(SIZE))


@pytest.mark.parametrize("name", SHARING)
def test_a_shared_size_names_the_models_that_change_with_it(name: str) -> None:
    before = with_sharing(CHUNKS[0])
    other = name[:-1] + ("2" if name.endswith("1") else "1")
    shared = change_flag(before, name, "-c", SIZE)
    assert shared.also == (other,)
    after = ConfigDocument.read(shared.after)
    assert set(find_changed_models(before, after)) == {name, other}
    assert {after.context_size(name), after.context_size(other)} == {int(SIZE)}


@pytest.mark.parametrize("name", SHARING)
def test_of_models_that_share_a_size_one_alone_changes(name: str) -> None:
    before = with_sharing(CHUNKS[0])
    if name == "alias-1":
        # The other one refers to the text that stands here.
        with pytest.raises(ConfigRefused, match="can't be changed alone"):
            change_flag(before, name, "-c", SIZE, only_this_model=True)
        return
    alone = change_flag(before, name, "-c", SIZE, only_this_model=True)
    assert alone.also == ()
    after = ConfigDocument.read(alone.after)
    assert find_changed_models(before, after) == (name,)
    assert after.context_size(name) == int(SIZE)
