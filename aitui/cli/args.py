"""The command line: what it may say, and what was said. No screen, no network, no event loop."""

import argparse
import re
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from msgspec import Struct, field

from aitui import __version__
from aitui.domain.sanitize import sanitize_line
from aitui.domain.suggest import nearest_one
from aitui.settings.raw import SettingsFlags
from aitui.settings.values import FASTEST_FPS, SLOWEST_FPS


class Arguments(Struct, frozen=True):
    """One command line. `model` is an id or an alias, empty where the command takes none.

    `log` is "proxy", "upstream", "http", or empty for both. `settings` are the NAME=VALUE of a chat,
    `system` is None where nothing was said of it. `size` is a context size as it was typed; `flag`
    and `value` are those of llama-server. `reload` is False where a change of the config file is
    not to take effect yet. `only` changes this model alone, `shared` all that share the value.
    `part` is the part of the set-up, `apply` is set if it isn't only printed.
    """

    command: str = "tui"
    flags: SettingsFlags = field(default_factory=SettingsFlags)
    demo: bool = False
    json: bool = False
    model: str = ""
    all: bool = False
    yes: bool = False
    log: str = ""
    follow: bool = False
    polls: bool = False
    line: bool = False
    prompt: str = ""
    max_tokens: int | None = None
    settings: tuple[str, ...] = ()
    system: str | None = None
    go_on: bool = False
    evict: bool = False
    size: str = ""
    flag: str = ""
    value: str = ""
    reload: bool = True
    only: bool = False
    shared: bool = False
    part: str = ""
    apply: bool = False

    @property
    def is_change(self) -> bool:
        """Whether the command changes something: then it has a question, and takes `--yes`."""
        return any(one.name == self.command and _YES in one.options for one in COMMANDS)


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
        """Have argparse read it.

        Without a default: those of a subcommand would overwrite what stands before it.
        """
        parser.add_argument(*self.names, help=self.words, default=argparse.SUPPRESS, **self.reads)

    @property
    def dest(self) -> str:
        """The field that holds its value."""
        longest = max(self.names, key=len)
        return self.reads.get("dest") or longest.removeprefix("--").replace("-", "_")


class CommandSpec(Struct, frozen=True):
    """One command: `takes` is what its usage shows after the name, `group` heads its options."""

    name: str
    takes: str
    words: str
    options: tuple[Option, ...] = ()
    group: str = ""


def _tokens(text: str) -> int:
    if re.fullmatch("[0-9]{1,9}", text) and int(text):
        return int(text)
    raise argparse.ArgumentTypeError("expected a number of tokens, like 500")


def _fps(text: str) -> int:
    if re.fullmatch("[0-9]{1,4}", text) and SLOWEST_FPS <= int(text) <= FASTEST_FPS:
        return int(text)
    raise argparse.ArgumentTypeError(
        f"expected a whole number from {SLOWEST_FPS} to {FASTEST_FPS}, like 20"
    )


def _part(text: str) -> str:
    if text in SETUP_PARTS:
        return text
    near = nearest_one(text, SETUP_PARTS)
    *most, last = SETUP_PARTS
    expected = near or f"{', '.join(most)} or {last}"
    raise argparse.ArgumentTypeError(f"expected {expected}")


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


def _json(words: str) -> Option:
    return _switch("--json", words=words)


SERVER_OPTIONS = (
    _option("--server", metavar="NAME", words="a server from config.toml"),
    _option("--url", metavar="URL", words="the server's URL, like http://localhost:8080"),
    _switch("--read-only", words="do not load, unload or change anything"),
    _option(
        "--config", type=Path, metavar="FILE", words="read FILE instead of the default config.toml"
    ),
)
"""Those that stand before and after a command alike."""

DASHBOARD_OPTIONS = (
    _switch("--demo", words="open the dashboard with a simulated server"),
    _option(
        "--fps",
        type=_fps,
        metavar="N",
        words="draw at most N frames a second, for slow connections",
    ),
)

_YES = _switch("--yes", words="answer yes to any confirmation")
_CONFIG_MODEL = _model("the model's id in the config file")
_NO_RELOAD = _switch(
    "--no-reload",
    dest="reload",
    action="store_false",
    words="write the file only; the server keeps its current config",
)
_CHANGE = (
    _YES,
    _NO_RELOAD,
    _switch("--only", words="change only this model if others share the value"),
    _switch("--shared", words="also change the others; --yes alone never does"),
)

SETUP_PARTS: Mapping[str, str] = {
    "server": "look for llama-swap, llama-server, models and GPU, and install llama-swap",
    "unit": "the systemd user unit: a new one, or the faulty lines of yours",
}
"""The parts of `aitui setup`, with what each prints or puts in its place."""

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
        "show GPU memory: which model uses how much, and what is free",
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
                words="what to ask; standard input is joined to it",
            ),
            _option(
                "-m",
                "--model",
                metavar="ID",
                words="the model's id or an alias (default: the loaded model)",
            ),
            _option(
                "--max-tokens", type=_tokens, metavar="N", words="end the reply after N tokens"
            ),
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
            _json("print one JSON object at the end, do not stream text"),
            _switch("--evict", words="load the model even if that evicts another one"),
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
        "doctor",
        "[options]",
        "check everything between here and the server",
        (_json("a JSON list of {check, status, seen, remedy}"),),
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
                words="a llama-server flag without dashes, like temp, or ttl",
            ),
            _option("value", metavar="VALUE", words="its new value"),
            *_CHANGE,
        ),
    ),
    CommandSpec(
        "setup",
        "[options] PART",
        "print what belongs on the server's machines, or put it there",
        (
            _option(
                "part",
                metavar="PART",
                type=_part,
                words="; ".join(f"{name}: {words}" for name, words in SETUP_PARTS.items()),
            ),
            _switch("--apply", words="show the difference, ask, and put it there"),
            _YES,
        ),
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
)
"""Every command with its options: the parser and `--help` are made of it."""

_ALL_OPTIONS = (
    *SERVER_OPTIONS,
    *DASHBOARD_OPTIONS,
    *(option for command in COMMANDS for option in command.options),
)
_EXAMPLES = """\
examples:
  aitui                               the dashboard of the default server
  aitui --demo                        the dashboard of a simulated server
  aitui --url http://localhost:8080   another server, just this once
  aitui --server home status --json   the models of a server of config.toml
  aitui gpu                           GPU memory by model, and what is free
  aitui load qwen3-30b                load a model and wait until it is ready
  aitui unload --all --yes            free all memory without confirming
  git diff | aitui chat "a message"   send piped text to the loaded model
  aitui logs qwen3-30b -f             follow the log of a model
  aitui doctor                        check the connection and the server
  aitui ctx qwen3-30b 128k            change a context size and verify it
  aitui undo                          undo the last change to the config file

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
    if not argv:
        # The dashboard: the parser takes 4 ms to build.
        return Arguments()
    parser, commands = _parsers()
    namespace, unknown = parser.parse_known_args(_escape_flag_argument(argv))
    given = {name: value for name, value in vars(namespace).items() if value is not None}
    if unknown:
        command = given.get("command", "")
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


def _refuse_contradiction(parser: argparse.ArgumentParser, given: dict[str, Any]) -> None:
    command, model, log = given.get("command"), given.get("model"), given.get("log")
    chosen = given.keys() & {"server", "url"}
    if len(chosen) > 1:
        parser.error("--server and --url each choose a server: give one of the two")
    if "demo" in given and chosen:
        parser.error("--demo brings its own server: leave out --server and --url")
    if "demo" in given and command:
        parser.error(f"--demo opens the dashboard: give it without {command}")
    if command == "unload" and (model is None) != ("all" in given):
        parser.error("unload takes either the ID of a model or --all: see aitui unload --help")
    if model is not None and log:
        parser.error(f"logs takes either the ID of a model or --{log}: see aitui logs --help")
    if model is not None and not model.strip():
        parser.error("the ID of a model can't be empty: aitui status shows them")


def _options_of(command: str) -> tuple[Option, ...]:
    """The options that may stand with the command, or with none if it is empty."""
    own = next((one.options for one in COMMANDS if one.name == command), DASHBOARD_OPTIONS)
    return (*SERVER_OPTIONS, *own)


def _long_names(command: str) -> set[str]:
    names = (name for option in _options_of(command) for name in option.names)
    return {"help", *(name[2:] for name in names if name.startswith("--"))}


def _hint(unknown: list[str], command: str, given: dict[str, Any]) -> str:
    """What was probably meant by the first option that the command does not take."""
    name = next((word.partition("=")[0] for word in unknown if word.startswith("-")), "")
    dest = next((one.dest for one in _ALL_OPTIONS if name in one.names), name.lstrip("-"))
    arguments = [one for one in _options_of(command) if not one.names[0].startswith("-")]
    if name and dest in {one.dest for one in arguments}:
        shown = [str(one.reads["metavar"]) for one in arguments]
        if len(shown) == 1 and dest in given:
            shown = [shlex.quote(given[dest])]
        return f" ({command} takes the {dest} as an argument: aitui {command} {' '.join(shown)})"
    near = nearest_one(name.lstrip("-"), _long_names(command)) if name.startswith("--") else ""
    return f" (did you mean --{near}?)" if near else ""


def _escape_flag_argument(argv: Sequence[str]) -> list[str]:
    """`flag ID --temp 0.7` means llama-server's flag, which is no option of ours."""
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
    """Says what was probably meant, and repeats nothing that could steer a terminal."""

    def error(self, message: str) -> NoReturn:
        command = re.search(r"invalid choice: '([^']*)'", message)
        near = nearest_one(command[1], [one.name for one in COMMANDS]) if command else ""
        hint = f" (did you mean {near}?)" if near else ""
        self.print_usage(sys.stderr)
        self.exit(2, f"{self.prog}: {sanitize_line(message, 400)}{hint}\n")


def _parsers() -> tuple[_ArgumentParser, dict[str, _ArgumentParser]]:
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
    commands = parser.add_subparsers(
        title="commands", dest="command", metavar="COMMAND", parser_class=_ArgumentParser
    )
    for command in COMMANDS:
        subparser = commands.add_parser(
            command.name,
            help=command.words,
            description=f"{command.words[0].upper()}{command.words[1:]}.",
            prog=f"aitui {command.name}",
            usage=f"aitui {command.name} {command.takes}",
            parents=[shared],
            allow_abbrev=False,
        )
        group = subparser.add_argument_group(command.group) if command.group else subparser
        one_of = group.add_mutually_exclusive_group()
        for option in command.options:
            option.add_to(one_of if option.one_of else group)
    return parser, commands.choices
