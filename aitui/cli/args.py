"""Define and parse the command line, without a screen, a network or an event loop."""

import argparse
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from msgspec import Struct

from aitui import __version__
from aitui.cli.arguments import Arguments
from aitui.domain.sanitize import sanitize_line
from aitui.settings.raw import SettingsFlags
from aitui.settings.values import FASTEST_FPS, SLOWEST_FPS


class Option(Struct, frozen=True):
    """One argument: `names` as typed, one without dashes for an argument by position.

    `reads` is how argparse reads it; its `dest` is a field of Arguments or SettingsFlags. `convert`
    makes that field's value of the one that argparse read. Of a command's options with `one_of`, one
    may be given.
    """

    names: tuple[str, ...]
    words: str
    reads: dict[str, Any]
    convert: Callable[[Any], object] | None = None
    one_of: bool = False

    def add_to(self, parser: argparse._ActionsContainer) -> None:
        """Add the option to a parser.

        Without a default: those of a subcommand would overwrite what stands before it.
        """
        parser.add_argument(*self.names, help=self.words, default=argparse.SUPPRESS, **self.reads)

    @property
    def dest(self) -> str:
        """Return the name of the field that holds its value."""
        longest = max(self.names, key=len)
        return self.reads.get("dest") or longest.removeprefix("--").replace("-", "_")


class CommandSpec(Struct, frozen=True):
    """One command: `takes` is what its usage shows after the name, `group` heads its options.

    `actions` are what its next word chooses from, each with options of its own.
    """

    name: str
    takes: str
    words: str
    options: tuple[Option, ...] = ()
    group: str = ""
    actions: tuple["CommandSpec", ...] = ()


def _tokens(text: str) -> int:
    if re.fullmatch("[0-9]{1,9}", text) and int(text):
        return int(text)
    raise argparse.ArgumentTypeError("expected a number of tokens, like 500")


def _seconds(text: str) -> int:
    if re.fullmatch("[0-9]{1,7}", text) and int(text):
        return int(text)
    raise argparse.ArgumentTypeError("expected seconds, like 1800")


def _ago(text: str) -> float:
    found = re.fullmatch("([0-9]{1,5})([mhd])", text)
    if found and int(found[1]):
        return int(found[1]) * {"m": 60.0, "h": 3600.0, "d": 86400.0}[found[2]]
    raise argparse.ArgumentTypeError("expected a time like 30m, 2h or 7d")


def _fps(text: str) -> int:
    if re.fullmatch("[0-9]{1,4}", text) and SLOWEST_FPS <= int(text) <= FASTEST_FPS:
        return int(text)
    raise argparse.ArgumentTypeError(
        f"expected a whole number from {SLOWEST_FPS} to {FASTEST_FPS}, like 20"
    )


def _days(text: str) -> int:
    if re.fullmatch("[0-9]{1,5}", text) and 0 < int(text) <= LONGEST_DAYS:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a number of days up to {LONGEST_DAYS}, like 825")


def _upstream(text: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9._:\[\]-]{1,255}:[0-9]{1,5}", text):
        return text
    raise argparse.ArgumentTypeError("expected HOST:PORT, like 192.168.2.3:8080")


def _option(
    *names: str, words: str, convert: Callable[[Any], object] | None = None, **reads: object
) -> Option:
    return Option(names, words, reads, convert)


def _switch(*names: str, words: str, **reads: object) -> Option:
    return Option(names, words, {"action": "store_true", **reads})


def _log(name: str, words: str) -> Option:
    reads = {"action": "store_const", "const": name, "dest": "log"}
    return Option((f"--{name}",), f"the log {words}", reads, one_of=True)


def _model(words: str = "the model's id or an alias", **reads: object) -> Option:
    return Option(("model",), words, {"metavar": "ID", **reads})


def _ssh_host(words: str) -> Option:
    return _option("--ssh-host", metavar="HOST", words=words)


def _json(words: str) -> Option:
    return _switch("--json", words=words)


SERVER_OPTIONS = (
    _option("--server", metavar="NAME", words="a server from config.toml"),
    _option("--url", metavar="URL", words="the server's URL, like http://localhost:8080"),
    _switch("--read-only", words="do not load, unload or change anything"),
    _option(
        "--config",
        type=Path,
        metavar="FILE",
        words="read settings from FILE instead of the default config.toml",
    ),
)
"""Options that are accepted before and after a command."""

DASHBOARD_OPTIONS = (
    _switch("--demo", words="open the dashboard with a simulated server"),
    _option(
        "--fps",
        type=_fps,
        metavar="N",
        words="draw at most N frames a second, for slow connections",
    ),
)

_YES = _switch("--yes", words="answer yes to every confirmation")
_CONFIG_MODEL = _model("the model's id in the config file")
_NO_RELOAD = _switch(
    "--no-reload",
    dest="reload",
    action="store_false",
    words="write the file only, without a reload",
)
_CHANGE = (
    _YES,
    _NO_RELOAD,
    _switch("--only", words="if other models share the value, change only this one"),
    _switch(
        "--shared", words="if other models share the value, change them too; --yes alone does not"
    ),
)

_ACTIVITY = (
    _option(
        "--since", type=_ago, metavar="TIME", words="how far back: 30m, 2h or 7d (default: 24h)"
    ),
    _option("--model", metavar="ID", words="only models with this in their ids"),
    _option("--client", metavar="NAME", words="only clients with this in their names"),
)
LONGEST_DAYS = 36500
KEY_TYPES = ("p256", "p384", "rsa2048", "rsa4096")
_DIR = _option(
    "--dir",
    type=Path,
    dest="directory",
    metavar="DIR",
    words="the directory of the files (default: that of the server's certificates)",
)
_CA_DIR = _option(
    "--ca-dir",
    dest="ca_directory",
    metavar="DIR",
    words="the directory of root-ca.pem and root-ca.key (default: the same; on a HOST: certs/ of proxy_dir)",
)
_ON = _option(
    "--on",
    dest="ca_host",
    metavar="HOST",
    words="the SSH host of the CA, where openssl signs; the CA's key stays there",
)
_THERE = _switch(
    "--there",
    words="create client.crt, client.key and client-legacy.p12 for a browser on that HOST",
)
_KEY = _option(
    "--key",
    dest="key_type",
    choices=KEY_TYPES,
    metavar="TYPE",
    words=f"the type of the new key: {', '.join(KEY_TYPES)} (default: {KEY_TYPES[0]})",
)
_FORCE = _switch("--force", words="replace existing files")
_PASSWORD_FILE = _option(
    "--password-file",
    metavar="FILE",
    words="read the password from the first line of FILE; - for standard input "
    "(default: ask; empty with --legacy)",
)


def _certificate_days(default: str) -> Option:
    words = f"the days of validity (default: {default}, at most as long as the CA)"
    return _option("--days", type=_days, metavar="DAYS", words=words)


_CERTS = (
    CommandSpec(
        "new-ca",
        "[options] [NAME]",
        "create a certificate authority: root-ca.pem, root-ca.key",
        (
            _option(
                "name",
                metavar="NAME",
                nargs="?",
                words="the CA's name (default: contains the date)",
            ),
            *(_DIR, _CA_DIR, _ON, _KEY),
            _option("--days", type=_days, metavar="DAYS", words="how long (default: 3650)"),
            _switch(
                "--force",
                words="replace an existing CA, which is moved aside; this locks out all clients",
            ),
        ),
    ),
    CommandSpec(
        "server",
        "[options] NAME…",
        "create the proxy's certificate: caddy.pem, caddy-key.pem",
        (
            _option(
                "names",
                metavar="NAME",
                nargs="+",
                convert=tuple,
                words="the host names and addresses of the proxy",
            ),
            *(_DIR, _CA_DIR, _ON, _KEY, _certificate_days("825"), _FORCE),
        ),
    ),
    CommandSpec(
        "client",
        "[options] NAME",
        "create a client certificate: client.pem, client-key.pem",
        (
            _option("name", metavar="NAME", words="the client's name, like laptop"),
            *(_DIR, _CA_DIR, _ON, _THERE, _KEY, _certificate_days("3650"), _FORCE),
        ),
    ),
    CommandSpec(
        "p12",
        "[options]",
        "pack the client's files for a browser: client.p12",
        (
            _DIR,
            _switch(
                "--legacy",
                words="write client-legacy.p12 in the old format that NSS reads (Firefox, Chromium, Brave)",
            ),
            _PASSWORD_FILE,
            _FORCE,
        ),
    ),
    CommandSpec(
        "show",
        "[options]",
        "list the certificates with their names and expiry dates",
        (_DIR, _CA_DIR, _ON, _json("a JSON list")),
    ),
    CommandSpec(
        "check",
        "[options]",
        "check dates, keys, issuers and permissions",
        (_DIR, _CA_DIR, _ON, _json("a JSON list of {check, status, seen, remedy}")),
    ),
    CommandSpec(
        "renew",
        "[options] [client | server | ca]",
        "renew certificates, keeping keys and names; without the CA, write a request",
        (
            _option(
                "pair",
                metavar="WHICH",
                nargs="?",
                words="client, server or ca (default: client and server, if they exist)",
            ),
            *(_DIR, _CA_DIR, _ON, _THERE),
            _certificate_days("3650, of a server 825"),
            _switch("--force", words="renew even if another CA issued the old certificate"),
        ),
    ),
    CommandSpec(
        "revoke",
        "[options] NAME",
        "lock a client out: print the change for the proxy",
        (
            _option("name", metavar="NAME", words="the client's name, or a certificate file"),
            *(_DIR, _CA_DIR, _ON),
        ),
    ),
)
_ON_HOST = _ssh_host("the machine, if it isn't ssh_host of the server; local for this one")
_APPLY = (_switch("--apply", words="show the diff, ask, and install it"), _YES)
_SETUP = (
    CommandSpec(
        "server",
        "[options]",
        "look for llama-swap, llama-server, models and GPUs; install llama-swap",
        (_ON_HOST, *_APPLY),
    ),
    CommandSpec(
        "config",
        "[options]",
        "write a first config.yaml for the GGUF files, or add what yours lacks",
        (
            _option(
                "--models",
                action="append",
                metavar="DIR",
                convert=tuple,
                words="a directory with GGUF files, instead of the usual ones",
            ),
            _ON_HOST,
            *_APPLY,
        ),
    ),
    CommandSpec(
        "unit",
        "[options]",
        "write the systemd user unit, or repair the faulty lines of yours",
        (_ON_HOST, *_APPLY),
    ),
    CommandSpec(
        "caddy",
        "[options]",
        "add the site that requires client certificates to the Caddyfile",
        (
            _option(
                "--upstream",
                metavar="HOST:PORT",
                type=_upstream,
                words="the address of llama-swap for the proxy (default: ssh_host, port 8080)",
            ),
            _ssh_host("the proxy's machine, if it isn't proxy_ssh_host; local for this one"),
            *_APPLY,
        ),
    ),
    CommandSpec(
        "idle",
        "[options]",
        "set an idle timeout, which replaces a cron line or timer that unloads models",
        (
            _option(
                "--ttl",
                type=_seconds,
                metavar="SECONDS",
                words="the idle timeout of all models (default: 1800)",
            ),
            _ON_HOST,
            *_APPLY,
        ),
    ),
    CommandSpec(
        "browser",
        "[options]",
        "install certificates and policy for a browser on this machine",
        (_switch("--policy", words="print only the policy, as JSON"), *_APPLY),
    ),
)

COMMANDS = (
    CommandSpec(
        "status",
        "[options]",
        "show the models and their states",
        (
            _json("one JSON object, for scripts"),
            _switch("--line", words="one line, for a status bar"),
        ),
    ),
    CommandSpec(
        "gpu",
        "[options]",
        "show GPU memory by model, and what is free",
        (_json("one JSON object, for scripts"),),
    ),
    CommandSpec(
        "load", "[options] ID", "load a model and wait until it is ready", (_model(), _YES)
    ),
    CommandSpec(
        "unload",
        "[options] (ID | --all)",
        "free a model's memory",
        (_model(nargs="?"), _switch("--all", words="all loaded models"), _YES),
    ),
    CommandSpec(
        "chat",
        "[options] [PROMPT]",
        "send a prompt to a model and print the reply",
        (
            _option(
                "prompt",
                metavar="PROMPT",
                nargs="*",
                convert=" ".join,
                words="the prompt; text from standard input is appended",
            ),
            _option(
                "-m",
                "--model",
                metavar="ID",
                words="the model's id or an alias (default: the loaded model)",
            ),
            _option("--max-tokens", type=_tokens, metavar="N", words="limit the reply to N tokens"),
            _option(
                "--set",
                action="append",
                dest="settings",
                metavar="NAME=VALUE",
                convert=tuple,
                words="a parameter like temperature=0.2, for this reply",
            ),
            _option("--system", metavar="TEXT", words="the system prompt"),
            _switch(
                "--continue",
                dest="go_on",
                words="continue the last conversation, or its interrupted reply",
            ),
            _json("print one JSON object at the end instead of streaming text"),
            _switch("--evict", words="load the model even if that evicts another"),
        ),
        group="chat",
    ),
    CommandSpec(
        "logs",
        "[options] [ID | --proxy | --upstream | --http]",
        "show the log of a model, or of the server and all models",
        (
            _model("the model's id or an alias; this never loads it", nargs="?"),
            _log("proxy", "of llama-swap itself"),
            _log("upstream", "of all models"),
            _log("http", "of requests, llama-swap ≥ v259"),
            _switch(
                "-f", "--follow", words="follow new lines, and reconnect if the server goes away"
            ),
            _switch("--polls", words="include the lines caused by aitui's own polling"),
        ),
        group="log",
    ),
    CommandSpec(
        "activity",
        "[options]",
        "list requests, loads and unloads, also from before the server was started",
        (
            *_ACTIVITY,
            _json("one JSON object; with -f one a line"),
            _switch("-f", "--follow", words="go on with what ends from now on"),
        ),
    ),
    CommandSpec(
        "stats",
        "[options]",
        "sum up requests: tokens, rates, failures and energy",
        (
            _option(
                "--by",
                choices=("model", "client", "hour", "day"),
                metavar="GROUP",
                words="model, client, hour or day (default: model)",
            ),
            *_ACTIVITY,
            _json("one JSON object, for scripts"),
        ),
    ),
    CommandSpec(
        "metrics",
        "[options]",
        "print state and activity in Prometheus' text format",
        (
            _option(
                "--textfile",
                type=Path,
                metavar="PATH",
                words="replace this file instead, for the textfile collector of node_exporter",
            ),
        ),
    ),
    CommandSpec(
        "record",
        "[options]",
        "record activity without a screen until it is stopped, like a service",
    ),
    CommandSpec(
        "profile",
        "[options] [NAME | --none]",
        "list the server's profiles, or switch to one; llama-swap ≥ v241",
        (
            _option("profile", metavar="NAME", nargs="?", words="the profile to switch to"),
            _switch("--none", words="leave the active profile"),
            _json("the list as one JSON object"),
            _YES,
        ),
    ),
    CommandSpec(
        "doctor",
        "[options]",
        "check everything between here and the server",
        (
            _json("a JSON list of {check, status, seen, remedy}"),
            _switch("--copy", words="copy the report, without keys, passwords and user names"),
        ),
    ),
    CommandSpec(
        "ctx",
        "[options] ID SIZE",
        "change a model's context size",
        (
            _CONFIG_MODEL,
            _option("size", metavar="SIZE", words="tokens: 131072, 128k or 0.25M"),
            *_CHANGE,
        ),
    ),
    CommandSpec(
        "flag",
        "[options] ID FLAG VALUE",
        "change another flag of a model",
        (
            _CONFIG_MODEL,
            _option(
                "flag",
                metavar="FLAG",
                convert=str.strip,
                words="a llama-server flag without dashes, like temp, or the key ttl",
            ),
            _option("value", metavar="VALUE", words="the new value"),
            *_CHANGE,
        ),
    ),
    CommandSpec(
        "add",
        "[options] (AUTHOR/REPO | FILE)",
        "download a model to the server's machine, or take a file there, and load it",
        (
            _option(
                "source",
                metavar="SOURCE",
                words="a repository on Hugging Face, or a GGUF file there",
            ),
            _option(
                "--include", metavar="PATTERN", words="the files of the repository, like '*Q8_0*'"
            ),
            _option(
                "--dir",
                dest="models",
                action="append",
                metavar="DIR",
                convert=tuple,
                words="where AUTHOR/REPO is created (default: beside the other models)",
            ),
            _YES,
        ),
    ),
    CommandSpec(
        "completions",
        "[options] SHELL [WORD …]",
        "print the completions of a shell",
        (
            _option(
                "shell",
                metavar="SHELL",
                choices=("bash", "zsh", "fish", "models", "servers", "refresh"),
                words="bash, zsh or fish; models and servers print the names that these complete",
            ),
            _option(
                "words",
                metavar="WORD",
                nargs="*",
                convert=tuple,
                words="the command line to complete, behind --",
            ),
        ),
    ),
    CommandSpec(
        "preload",
        "[options] ID",
        "load a model whenever llama-swap starts",
        (_CONFIG_MODEL, _YES),
    ),
    CommandSpec(
        "init",
        "[options]",
        "add a server to config.toml",
        (
            _option("--name", metavar="NAME", words="its name (default: from the address)"),
            _option("--certs-dir", metavar="DIR", words="root-ca.pem, client.pem, client-key.pem"),
            _option("--p12", metavar="FILE", words="unpack the certificates from a .p12 file"),
            _PASSWORD_FILE,
            _option("--ca", metavar="FILE", words="the authority of the server's certificate"),
            _option("--client-cert", metavar="FILE", words="this client's certificate"),
            _option("--client-key", metavar="FILE", words="its private key"),
            _ssh_host("me@host, a Host of ~/.ssh/config, or local"),
            _switch("--force", words="replace the server of that name"),
            _YES,
        ),
    ),
    CommandSpec(
        "setup",
        "ACTION [options]",
        "print what the server's machines need, or install it",
        actions=_SETUP,
    ),
    CommandSpec("preset", "[options]", "print the server's config file"),
    CommandSpec("reload", "[options]", "reload the server's config file", (_YES,)),
    CommandSpec("restart", "[options]", "restart the server", (_YES,)),
    CommandSpec("undo", "[options]", "undo the last change to the config file", (_YES, _NO_RELOAD)),
    CommandSpec(
        "journal",
        "[options]",
        "list the changes made with aitui",
        (_json("one JSON object per change"),),
    ),
    CommandSpec(
        "certs",
        "ACTION [options]",
        "create, check and renew the certificates of proxy and clients",
        actions=_CERTS,
    ),
)
"""Every command with its options: the parser and `--help` are made of it."""

SPECS = {
    " ".join(filter(None, (before, one.name))): one
    for command in COMMANDS
    for before, one in (("", command), *((command.name, action) for action in command.actions))
}
"""Every command and every action by its words."""

_ALL_OPTIONS = (
    *SERVER_OPTIONS,
    *DASHBOARD_OPTIONS,
    *(option for command in SPECS.values() for option in command.options),
)
_EXAMPLES = """\
examples:
  aitui                               the dashboard of the default server
  aitui --demo                        the dashboard of a simulated server
  aitui --url http://localhost:8080   the dashboard of another server
  aitui --server home status --json   the models of a server from config.toml
  aitui gpu                           GPU memory by model, and what is free
  aitui load qwen3-30b                load a model and wait until it is ready
  aitui unload --all --yes            free all memory without confirming
  git diff | aitui chat "a message"   send piped text to the loaded model
  aitui logs qwen3-30b -f             follow the log of a model
  aitui activity --since 2h -f        the requests of two hours, and new ones
  aitui stats --by client             tokens and rates of each client
  aitui doctor                        check the connection and the server
  aitui ctx qwen3-30b 128k            change a context size and verify it
  aitui undo                          undo the last change to the config file
  aitui certs renew                   renew this client's certificate

exit codes:
  0  done                      4  refused by TLS
  1  failed                    5  no such model
  2  wrong usage or settings   6  refused: read-only, or --yes is needed
  3  server unreachable
"""


def parse(argv: Sequence[str]) -> Arguments:
    """Read the arguments after the program's name.

    Exits with status 2 and says what would be right where they make no sense, and with status 0
    after `--help` and `--version`.
    """
    parser, commands = _parsers(argv)
    namespace, unknown = parser.parse_known_args(_escape_flag_argument(argv))
    given = {name: value for name, value in vars(namespace).items() if value is not None}
    if unknown:
        command = " ".join(given[key] for key in ("command", "action") if key in given)
        words = sanitize_line(" ".join(unknown), 200)
        refusing = commands.get(command, parser)
        refusing.error(f"unrecognized arguments: {words}{_hint(unknown, command, given)}")
    _refuse_contradiction(parser, given)
    for option in _ALL_OPTIONS:
        if option.convert is not None and option.dest in given:
            given[option.dest] = option.convert(given[option.dest])
    of_settings = given.keys() & set(SettingsFlags.__struct_fields__)
    flags = SettingsFlags(**{name: given.pop(name) for name in of_settings})
    return Arguments(flags=flags, **given)


def is_change(arguments: Arguments) -> bool:
    """Return whether the command changes something; it then asks, unless `--yes` is given."""
    spec = SPECS.get(f"{arguments.command} {arguments.action}".strip())
    return spec is not None and _YES in spec.options


def _refuse_contradiction(parser: argparse.ArgumentParser, given: dict[str, Any]) -> None:
    command, model, log = given.get("command"), given.get("model"), given.get("log")
    chosen = given.keys() & {"server", "url"}
    if len(chosen) > 1:
        parser.error("--server and --url each choose a server: use only one of them")
    if "demo" in given and chosen:
        parser.error("--demo has its own server: leave out --server and --url")
    if "demo" in given and command:
        parser.error(f"--demo opens the dashboard: use it without {command}")
    if command == "unload" and (model is None) != ("all" in given):
        parser.error("unload takes either a model's ID or --all: see aitui unload --help")
    if given.get("profile") and "none" in given:
        parser.error("profile takes either a NAME or --none: see aitui profile --help")
    if model is not None and log:
        parser.error(f"logs takes either a model's ID or --{log}: see aitui logs --help")
    if given.get("pair", "client") not in {"client", "server", "ca"}:
        parser.error("certs renew takes client, server or ca: see aitui certs renew --help")
    if model is not None and not model.strip():
        parser.error("the model's ID can't be empty: aitui status lists all IDs")


def _options_of(command: str) -> tuple[Option, ...]:
    """Return the options of a command, or those without a command if it is empty."""
    own = SPECS[command].options if command in SPECS else DASHBOARD_OPTIONS
    return (*SERVER_OPTIONS, *own)


def _long_names(command: str) -> set[str]:
    names = (name for option in _options_of(command) for name in option.names)
    return {"help", *(name[2:] for name in names if name.startswith("--"))}


def _hint(unknown: list[str], command: str, given: dict[str, Any]) -> str:
    """Suggest what was meant by the first option that the command doesn't accept."""
    name = next((word.partition("=")[0] for word in unknown if word.startswith("-")), "")
    dest = next((one.dest for one in _ALL_OPTIONS if name in one.names), name.lstrip("-"))
    arguments = [one for one in _options_of(command) if not one.names[0].startswith("-")]
    if name and dest in {one.dest for one in arguments}:
        shown = [str(one.reads["metavar"]) for one in arguments]
        if len(shown) == 1 and dest in given:
            shown = [shlex.quote(given[dest])]
        return f" ({command} takes the {dest} as an argument: aitui {command} {' '.join(shown)})"
    from aitui.domain.suggest import nearest_one

    near = nearest_one(name.lstrip("-"), _long_names(command)) if name.startswith("--") else ""
    return f" (did you mean --{near}?)" if near else ""


def _escape_flag_argument(argv: Sequence[str]) -> list[str]:
    """Let `flag ID --temp 0.7` name llama-server's flag, which argparse would take for an option."""
    words = list(argv)
    if "flag" in words:
        own = _long_names("flag")
        for at in range(words.index("flag") + 1, len(words)):
            name = words[at].partition("=")[0]
            if re.fullmatch("--?[A-Za-z][A-Za-z0-9_-]*", name) and name.lstrip("-") not in own:
                # With a blank in front it is no option to argparse.
                words[at : at + 1] = f" {words[at]}".split("=", 1)
                break
    return words


class _ArgumentParser(argparse.ArgumentParser):
    """Suggests the nearest command, and removes control characters from its messages."""

    def error(self, message: str) -> NoReturn:
        command = re.search(r"invalid choice: '([^']*)'", message)
        own = SPECS.get(self.prog.partition(" ")[2])
        names = [one.name for one in (own.actions if own is not None else COMMANDS)]
        from aitui.domain.suggest import nearest_one

        near = nearest_one(command[1], names) if command else ""
        hint = f" (did you mean {near}?)" if near else ""
        self.print_usage(sys.stderr)
        self.exit(2, f"{self.prog}: {sanitize_line(message, 400)}{hint}\n")


def whole_parser(*, of_manual: bool = False) -> argparse.ArgumentParser:
    """Return the parser with every command; in the manual their common options stand once."""
    return _parsers([command.name for command in COMMANDS], repeats=not of_manual)[0]


def _parsers(
    argv: Sequence[str], *, repeats: bool = True
) -> tuple[_ArgumentParser, dict[str, _ArgumentParser]]:
    """Build the parser and those of the commands by their words.

    Commands that aren't in `argv` have their names only: all options together take 5 ms. `repeats`
    gives each command the options of the server as well.
    """
    shared = _ArgumentParser(add_help=False)
    server = shared.add_argument_group("server")
    for option in SERVER_OPTIONS:
        option.add_to(server)
    parser = _ArgumentParser(
        prog="aitui",
        description="A full-screen dashboard for a self-hosted llama-swap server.\n"
        "Without a command it opens the dashboard.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[shared],
        allow_abbrev=False,
        usage="aitui [options] [COMMAND …]",
    )
    parser.add_argument("--version", action="version", version=f"aitui {__version__}")
    for option in DASHBOARD_OPTIONS:
        option.add_to(parser)
    parsers = {"": parser}
    adders = {
        "": parser.add_subparsers(
            title="commands", dest="command", metavar="COMMAND", parser_class=_ArgumentParser
        )
    }
    for words, command in SPECS.items():
        before, _, name = words.rpartition(" ")
        if words.split()[0] not in argv:
            if not before:
                adders[""].add_parser(name, help=command.words, add_help=False)
            continue
        subparser = parsers[words] = adders[before].add_parser(
            name,
            help=command.words,
            description=f"{command.words[0].upper()}{command.words[1:]}.",
            prog=f"aitui {words}",
            usage=f"aitui {words} {command.takes}",
            parents=[shared] if repeats else [],
            allow_abbrev=False,
        )
        if command.actions:
            adders[words] = subparser.add_subparsers(
                title="actions",
                dest="action",
                metavar="ACTION",
                required=True,
                parser_class=_ArgumentParser,
            )
        group = subparser.add_argument_group(command.group) if command.group else subparser
        one_of = group.add_mutually_exclusive_group()
        for option in command.options:
            option.add_to(one_of if option.one_of else group)
    return parser, parsers
