"""The programs in a command: llama-servers, wrappers around them, other servers.

These are only tables; `launch.py` reads commands by them.
"""

import re

from msgspec import Struct

_LLAMA_SERVER = r"llama[-_.]?(?:cpp[-_.])?server"
_NO_PROGRAM = (
    r"(?!.*\.(?:gguf|ya?ml|json|toml|ini|conf|env|log|txt|service)\Z)(?!llama_cpp\.server)"
)

SERVER = re.compile(
    rf"{_NO_PROGRAM}(?!.*\.(?:ba|z|fi)?sh\Z)(?!.*\.(?:py|pl|js|bat|cmd|ps1)\Z)"
    rf"(?:ik[-_.])?{_LLAMA_SERVER}(?:[-_.+0-9]\S*)?"
)
"""The name of a program that is a llama-server, such as `llama-server-cuda`."""
LIKELY_SERVER = re.compile(r"llama[-_.]?(?:cpp[-_.:])?server", re.IGNORECASE)
"""A part of a name that may be a script's or a container's too: what stands behind it decides."""
NOT_LIKELY = re.compile(rf"(?!{_NO_PROGRAM}).*|.*[=\s].*", re.DOTALL)
DRIVE_PATH = re.compile(
    r"[A-Za-z]:(?:.*[/\\])?+(?:(?!llama-server)[^/\\\n])*+(?P<name>llama-server[^/\\]*\.exe)"
)
"""A path of Windows: unquoted, llama-swap's words have lost its backslashes."""
SERVER_IMAGE = re.compile(
    rf"[^:]*{_LLAMA_SERVER}.*|(?=[^:]*llama[-_.]?cpp)[^:]*+:.*server.*", re.DOTALL
)
"""The last part of a container image that starts a llama-server by itself."""
LLAMA_IMAGE = re.compile(r"(?=[^:]*llama[-_.]?cpp)[^:]*+(?::(?P<tag>.*))?")
SHELL = re.compile(r"(?:ba|da|a|z|k|mk|c|tc|fi)?sh|nu|pwsh(?:\.exe)?|powershell(?:\.exe)?")
SHELL_OPTIONS = frozenset({"-o", "+o", "-O", "+O", "-C", "--rcfile", "--init-file"})
SHELL_SCRIPT = re.compile(r"-[A-Za-z]*c|--command|-Command")
PYTHON = re.compile(r"python[0-9.]*(?:\.exe)?|pypy[0-9.]*")
PYTHON_OPTIONS = frozenset({"-W", "-X"})
MODEL_FLAGS = frozenset(
    {"-m", "--model", "-mu", "--model-url", "-hf", "-hfr", "--hf-repo", "--models-dir",
     "--models-preset", "-dr", "--docker-repo"}
)  # fmt: skip
NOT_WRAPPERS = frozenset(
    {"systemctl", "service", "journalctl", "tail", "sleep", "pkill", "killall"}
)
"""Programs that may name a llama-server, and don't start it with what stands behind its name."""


class Wrapper(Struct, frozen=True):
    """A program that runs the command behind its own options.

    `valued` are the options that take the next word, or, if `others_valued`, those that don't.
    `operands` are the words before the command that are no options, such as taskset's mask, and
    `instead` the options that replace one. `subcommand` comes first if it is set. The command
    starts at once behind the options in `ends`. `joined` is set if a shell reads the command.
    """

    valued: frozenset[str] = frozenset()
    operands: int = 0
    subcommand: str = ""
    instead: frozenset[str] = frozenset()
    ends: frozenset[str] = frozenset({"--"})
    others_valued: bool = False
    joined: bool = False

    def width(self, option: str) -> int:
        """Return how many words an option is, its value included."""
        if option.startswith("--"):
            return 1 if "=" in option or not self._takes_value(option) else 2
        for place, letter in enumerate(option[1:], start=2):
            if self._takes_value("-" + letter):
                return 2 if place == len(option) else 1
        return 1

    def _takes_value(self, option: str) -> bool:
        return (option in self.valued) is not self.others_valued


def _options(text: str) -> frozenset[str]:
    return frozenset(text.split())


_PLAIN = Wrapper()
WRAPPERS = {
    "taskset": Wrapper(operands=1),
    "nice": Wrapper(_options("-n --adjustment")),
    "ionice": Wrapper(_options("-c --class -n --classdata")),
    "chrt": Wrapper(_options("-T -P -D"), operands=1),
    "schedtool": Wrapper(_options("-a -p -n")),
    "numactl": Wrapper(
        _options(
            "-i --interleave -w --weighted-interleave -N --cpunodebind -C --physcpubind "
            "-m --membind -p --preferred -P --preferred-many"
        )
    ),
    "env": Wrapper(_options("-u --unset -C --chdir")),
    "stdbuf": Wrapper(_options("-i -o -e --input --output --error")),
    "time": Wrapper(_options("-f --format -o --output")),
    "timeout": Wrapper(_options("-k --kill-after -s --signal"), operands=1),
    "flock": Wrapper(_options("-w --timeout -E --conflict-exit-code"), operands=1),
    "exec": Wrapper(_options("-a")),
    "strace": Wrapper(_options("-o -e -s -p -P -u -a -E -I -O -S -X -b")),
    "sudo": Wrapper(
        _options("-u --user -g --group -h --host -p --prompt -C -D --chdir -R --chroot -r -t -T -U")
    ),
    "doas": Wrapper(_options("-u -C")),
    # Without -u it is like su.
    "runuser": Wrapper(operands=1, subcommand="-u"),
    "gosu": Wrapper(operands=1),
    "su-exec": Wrapper(operands=1),
    "cgexec": Wrapper(_options("-g")),
    "tini": Wrapper(_options("-p -e")),
    "dumb-init": Wrapper(_options("-r --rewrite")),
    "systemd-run": Wrapper(
        _options(
            "-u --unit -p --property -E --setenv -M --machine -H --host --description --slice "
            "--service-type --uid --gid --nice --working-directory --on-active --job-mode --background"
        )
    ),
    "systemd-inhibit": Wrapper(_options("--what --who --why --mode")),
    "systemd-cat": Wrapper(_options("-t --identifier -p --priority")),
    "toolbox": Wrapper(
        _options("-c --container -d --distro -r --release --preserve-fds"), subcommand="run"
    ),
    **{
        name: Wrapper(
            _options("-n --name -a --additional-flags"),
            operands=1,
            subcommand=subcommand,
            instead=_options("-n --name"),
            ends=_options("-- -e --exec"),
        )
        for name, subcommand in (("distrobox", "enter"), ("distrobox-enter", ""))
    },
    "conda": Wrapper(_options("-n --name -p --prefix --cwd"), subcommand="run"),
    "micromamba": Wrapper(_options("-n --name -p --prefix --cwd"), subcommand="run"),
    "uv": Wrapper(
        _options(
            "--with --python -p --extra --group --directory --project --env-file --package "
            "--index-url --with-requirements --with-editable"
        ),
        subcommand="run",
    ),
    "uvx": Wrapper(_options("--from --with --python -p")),
    "poetry": Wrapper(_options("-C --directory -P --project"), subcommand="run"),
    "wsl": Wrapper(
        _options("-d --distribution -u --user --cd"), ends=_options("-- -e --exec")
    ),
    "ssh": Wrapper(
        _options("-B -b -c -D -E -e -F -I -i -J -L -l -m -O -o -P -p -Q -R -S -W -w"),
        operands=1,
        joined=True,
    ),
    "setpriv": Wrapper(
        _options(
            "--reuid --regid --ruid --rgid --euid --egid --groups --inh-caps --ambient-caps "
            "--bounding-set --securebits --pdeathsig --selinux-label --apparmor-profile"
        )
    ),
    "gdb": Wrapper(_options("-ex -x -iex -ix -d -cd --cd --command"), ends=_options("--args")),
    "caffeinate": Wrapper(_options("-t -w")),
    **dict.fromkeys(
        ("prlimit", "flatpak-spawn", "firejail", "nohup", "setsid", "command", "busybox", "gamemoderun", "mangohud", "unbuffer"), _PLAIN
    ),
}  # fmt: skip

DISPENSABLE = frozenset(
    {"taskset", "nice", "ionice", "chrt", "schedtool", "numactl", "stdbuf", "time", "timeout",
     "strace", "gdb", "prlimit", "nohup", "setsid", "unbuffer", "gamemoderun", "mangohud"}
)  # fmt: skip
"""Wrappers that only watch or tune one process."""

CONTAINERS = re.compile(r"(?:docker|podman|nerdctl)(?:\.exe)?")
NIX = re.compile(r"nix")
CONTAINER_TOOL = Wrapper(
    _options(
        "-c --context --connection -H --host --url --identity -l --log-level --config --root "
        "--runroot --runtime --storage-driver --storage-opt --tlscacert --tlscert --tlskey -n "
        "--namespace --address"
    )
)
RUN_CONTAINER = Wrapper(
    # New ones count as options with a value: an image may be missed, but never a wrong one found.
    _options(
        "-d --detach -i --interactive -t --tty -P --publish-all -q --quiet --rm --init --help "
        "--privileged --read-only --read-only-tmpfs --no-healthcheck --oom-kill-disable --sig-proxy "
        "--disable-content-trust --use-api-socket --replace --rmi --rootfs --no-hosts --no-hostname "
        "--env-host --http-proxy --tls-verify --passwd --unsetenv-all"
    ),
    others_valued=True,
)
ENTER_CONTAINER = Wrapper(
    _options("-e --env --env-file -u --user -w --workdir --detach-keys --preserve-fds"), operands=1
)

CONTEXT_FLAGS = (
    (re.compile(r"(?=.*vllm).*"), "--max-model-len"),
    (re.compile(r"(?=.*sglang).*"), "--context-length"),
    (re.compile(r"kobold_?cpp.*"), "--contextsize"),
    (re.compile(r"llama_cpp(?:\.server)?|llama[-_.]cpp[-_.]python.*"), "--n_ctx"),
    (re.compile(r"mistral[-_.]?rs.*"), "--max-seq-len"),
    (re.compile(r"ds4-server.*"), "--ctx"),
    (re.compile(r"lmdeploy.*"), "--session-len"),
    (re.compile(r"aphrodite.*"), "--max-model-len"),
    (re.compile(r"text-generation-(?:launcher|inference).*"), "--max-total-tokens"),
    (re.compile(r"trtllm-serve"), "--max_seq_len"),
    (re.compile(r"(?:whisper|sd)-?server.*|mlx_(?:lm|vlm)(?:[.-]?server)?|ollama(?:\.exe)?"), ""),
)
"""Other servers, by name, and their own flag for the context; "" for those that have none."""
