"""The command line: what it may say, and what was said. No screen, no network, no event loop."""

import argparse
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NoReturn

from aitui import __version__
from aitui.domain.sanitize import sanitize_line
from aitui.domain.suggest import nearest_one
from aitui.settings.raw import SettingsFlags
from aitui.settings.values import FASTEST_FPS, SLOWEST_FPS

Command = Literal[
    "tui",
    "status",
    "gpu",
    "load",
    "unload",
    "chat",
    "logs",
    "doctor",
    "ctx",
    "flag",
    "preset",
    "reload",
    "restart",
    "undo",
    "journal",
]

COMMANDS = (
    *("status", "gpu", "load", "unload", "chat", "logs", "doctor"),
    *("ctx", "flag", "preset", "reload", "restart", "undo", "journal"),
)


@dataclass(frozen=True, slots=True)
class Arguments:
    """One command line. `model` is an id or an alias, empty where the command takes none.

    `log` is "proxy", "upstream", or empty for both. `settings` are the NAME=VALUE of a chat,
    `system` is None where nothing was said of it. `size` is a context size as it was typed; `flag`
    and `value` are those of llama-server. `reload` is False where a change of the config file is
    not to take effect yet, `only` is set where it must not reach other models.
    """

    command: Command = "tui"
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


def _tokens(text: str) -> int:
    if re.fullmatch("[0-9]{1,9}", text) and int(text):
        return int(text)
    raise argparse.ArgumentTypeError("expected a number of tokens, like 500")


def add_chat_options(chat: argparse.ArgumentParser) -> None:
    what = chat.add_argument_group("chat")
    what.add_argument(
        "prompt", metavar="PROMPT", nargs="*", help="what to ask; standard input is joined to it"
    )
    what.add_argument(
        "-m",
        "--model",
        metavar="ID",
        default=argparse.SUPPRESS,
        help="the model's id or an alias; without it the model that is loaded",
    )
    what.add_argument(
        "--max-tokens",
        type=_tokens,
        metavar="N",
        default=argparse.SUPPRESS,
        help="end the answer after N tokens",
    )
    what.add_argument(
        "--set",
        action="append",
        dest="settings",
        metavar="NAME=VALUE",
        default=argparse.SUPPRESS,
        help="a parameter like temperature=0.2, for this answer",
    )
    what.add_argument(
        "--system", metavar="TEXT", default=argparse.SUPPRESS, help="the system prompt"
    )
    for option, dest, words in (
        ("--continue", "go_on", "go on with the last conversation, or with its cut answer"),
        ("--json", "json", "one JSON object at the end instead of text as it comes"),
        ("--evict", "evict", "load the model even where that pushes another one out"),
    ):
        what.add_argument(
            option, action="store_true", dest=dest, default=argparse.SUPPRESS, help=words
        )


def add_log_options(logs: argparse.ArgumentParser) -> None:
    which = logs.add_argument_group("log")
    which.add_argument(
        "model", metavar="ID", nargs="?", help="the model's id or an alias; this never loads it"
    )
    one = which.add_mutually_exclusive_group()
    for name, words in (("proxy", "of llama-swap itself"), ("upstream", "of all models")):
        one.add_argument(
            f"--{name}",
            action="store_const",
            const=name,
            dest="log",
            default=argparse.SUPPRESS,
            help=f"the log {words}",
        )
    which.add_argument(
        "-f",
        "--follow",
        action="store_true",
        default=argparse.SUPPRESS,
        help="go on with what comes, and wait for a server that goes",
    )
    which.add_argument(
        "--polls",
        action="store_true",
        default=argparse.SUPPRESS,
        help="with the lines that aitui's own polling leaves",
    )


def add_yes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--yes",
        action="store_true",
        default=argparse.SUPPRESS,
        help="answer the question, if there is one, with yes",
    )


def add_json(parser: argparse.ArgumentParser, words: str) -> None:
    """The outcome as JSON."""
    parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help=words)


def add_change_options(parser: argparse.ArgumentParser) -> None:
    """Those of everything that changes the config file."""
    add_yes(parser)
    parser.add_argument(
        "--no-reload",
        action="store_false",
        dest="reload",
        default=argparse.SUPPRESS,
        help="write the file and stop: the server goes on with what it has",
    )
    parser.add_argument(
        "--only",
        action="store_true",
        default=argparse.SUPPRESS,
        help="change this model alone where others share the value",
    )


_OPTIONS = (
    *("--all", "--config", "--demo", "--follow", "--fps", "--help", "--json", "--polls"),
    *("--proxy", "--read-only", "--server", "--upstream", "--url", "--version", "--yes"),
    *(
        "--continue",
        "--evict",
        "--no-reload",
        "--only",
        "--line",
        "--max-tokens",
        "--model",
        "--set",
        "--system",
    ),
)

_EXAMPLES = """\
examples:
  aitui                               the dashboard of the default server
  aitui --demo                        the dashboard of a stand-in server
  aitui --url http://localhost:8080   another server, for this once
  aitui --server home status --json   the models of a server of config.toml
  aitui gpu                           whose the graphics memory is, what is free
  aitui load qwen3-30b                load a model and wait until it answers
  aitui unload --all --yes            free all memory without a question
  git diff | aitui chat "a message"   ask the loaded model about what is piped
  aitui logs qwen3-30b -f             what a model writes, as it comes
  aitui doctor                        what is wrong between here and the server
  aitui ctx qwen3-30b 128k            change a context size, prove it works
  aitui undo                          put the config file back as it was before

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
    parser = _parser()
    said = parser.parse_args(_escape_flag_argument(argv))
    server, url = getattr(said, "server", None), getattr(said, "url", None)
    demo = getattr(said, "demo", False)
    if server is not None and url is not None:
        parser.error("--server and --url each choose a server: give one of the two")
    if demo and (server is not None or url is not None):
        parser.error("--demo brings its own server: leave out --server and --url")
    if demo and said.command:
        parser.error(f"--demo opens the dashboard: give it without {said.command}")
    everything = getattr(said, "all", False)
    model = getattr(said, "model", None)
    if said.command == "unload" and (model is None) != everything:
        parser.error("unload takes either the ID of a model or --all: see aitui unload --help")
    log: str = getattr(said, "log", "")
    if model is not None and log:
        parser.error(f"logs takes either the ID of a model or --{log}: see aitui logs --help")
    if model is not None and not model.strip():
        parser.error("the ID of a model can't be empty: aitui status shows them")
    return Arguments(
        command=said.command or "tui",
        flags=SettingsFlags(
            config=getattr(said, "config", None),
            server=server,
            url=url,
            read_only=getattr(said, "read_only", False),
            fps=getattr(said, "fps", None),
        ),
        demo=demo,
        json=getattr(said, "json", False),
        model=model or "",
        all=everything,
        yes=getattr(said, "yes", False),
        log=log,
        follow=getattr(said, "follow", False),
        polls=getattr(said, "polls", False),
        line=getattr(said, "line", False),
        prompt=" ".join(getattr(said, "prompt", ())),
        max_tokens=getattr(said, "max_tokens", None),
        settings=tuple(getattr(said, "settings", ())),
        system=getattr(said, "system", None),
        go_on=getattr(said, "go_on", False),
        evict=getattr(said, "evict", False),
        size=getattr(said, "size", ""),
        flag=getattr(said, "flag", "").strip(),
        value=getattr(said, "value", ""),
        reload=getattr(said, "reload", True),
        only=getattr(said, "only", False),
    )


def _escape_flag_argument(argv: Sequence[str]) -> list[str]:
    """`flag ID --temp 0.7` means llama-server's flag, which is no option of ours."""
    words = list(argv)
    if "flag" in words:
        for at in range(words.index("flag") + 1, len(words)):
            name = words[at].partition("=")[0]
            if re.fullmatch("--?[A-Za-z][A-Za-z0-9_-]*", name) and name not in _OPTIONS:
                # With a blank in front it is no option to argparse.
                words[at : at + 1] = f" {words[at]}".split("=", 1)
                break
    return words


class _ArgumentParser(argparse.ArgumentParser):
    """Says what was probably meant, and repeats nothing that could steer a terminal."""

    def error(self, message: str) -> NoReturn:
        near = self._suggest(message)
        hint = f" (did you mean {near}?)" if near else ""
        self.print_usage(sys.stderr)
        self.exit(2, f"{self.prog}: {sanitize_line(message, 300)}{hint}\n")

    def _suggest(self, message: str) -> str:
        """The nearest to the unknown command or option that argparse complains about."""
        if command := re.search(r"invalid choice: '([^']*)'", message):
            return nearest_one(command[1], COMMANDS)
        if option := re.search(r"unrecognized arguments: (--[^\s=]+)", message):
            return nearest_one(option[1], _OPTIONS)
        return ""


def _parser() -> _ArgumentParser:
    server = _server_options()
    parser = _ArgumentParser(
        prog="aitui",
        description="A full-screen dashboard for a self-hosted llama-swap server.\n"
        "Without a command it opens the dashboard.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[server],
        allow_abbrev=False,
        usage="aitui [options] [COMMAND …]",
    )
    parser.add_argument("--version", action="version", version=f"aitui {__version__}")
    parser.add_argument(
        "--demo",
        action="store_true",
        default=argparse.SUPPRESS,
        help="start a stand-in server in this process and show that one",
    )
    parser.add_argument(
        "--fps",
        type=_fps,
        metavar="N",
        default=argparse.SUPPRESS,
        help="draw at most N frames a second, for slow lines",
    )
    commands = parser.add_subparsers(
        title="commands", dest="command", metavar="COMMAND", parser_class=_ArgumentParser
    )
    status = _command(
        commands, "status", "status [options]", "show the models and their states", server
    )
    add_json(status, "one JSON object, for scripts")
    status.add_argument(
        "--line",
        action="store_true",
        default=argparse.SUPPRESS,
        help="one line, for a status bar",
    )
    gpu = _command(
        commands, "gpu", "gpu [options]", "show the memory: whose it is, and what is free", server
    )
    add_json(gpu, "one JSON object, for scripts")
    load = _command(
        commands, "load", "load [options] ID", "load a model, wait until it is ready", server
    )
    load.add_argument("model", metavar="ID", help="the model's id or an alias")
    add_yes(load)
    unload = _command(
        commands, "unload", "unload [options] (ID | --all)", "free a model's memory", server
    )
    unload.add_argument("model", metavar="ID", nargs="?", help="the model's id or an alias")
    unload.add_argument(
        "--all", action="store_true", default=argparse.SUPPRESS, help="every model that is loaded"
    )
    add_yes(unload)
    add_chat_options(
        _command(
            commands, "chat", "chat [options] [PROMPT]", "ask a model, print its answer", server
        )
    )
    add_log_options(
        _command(
            commands,
            "logs",
            "logs [options] [ID | --proxy | --upstream]",
            "show the log of a model, or of the server and all models",
            server,
        )
    )
    doctor = _command(
        commands,
        "doctor",
        "doctor [options]",
        "check everything between here and the server",
        server,
    )
    add_json(doctor, "a JSON list of {check, status, seen, remedy}")
    _add_admin_commands(commands, server)
    return parser


def _add_admin_commands(
    commands: "argparse._SubParsersAction[_ArgumentParser]", server: _ArgumentParser
) -> None:
    ctx = _command(
        commands, "ctx", "ctx [options] ID SIZE", "change a model's context size", server
    )
    ctx.add_argument("model", metavar="ID", help="the model's id, as the config file has it")
    ctx.add_argument("size", metavar="SIZE", help="tokens: 131072, 128k or 0.25M")
    add_change_options(ctx)
    flag = _command(
        commands, "flag", "flag [options] ID FLAG VALUE", "change another flag of a model", server
    )
    flag.add_argument("model", metavar="ID", help="the model's id, as the config file has it")
    flag.add_argument(
        "flag", metavar="FLAG", help="one of llama-server without its dashes, like temp, or ttl"
    )
    flag.add_argument("value", metavar="VALUE", help="its new value")
    add_change_options(flag)
    _command(commands, "preset", "preset [options]", "print the server's config file", server)
    for name, words in (
        ("reload", "have the server read its config file again"),
        ("restart", "restart the server"),
        ("undo", "take the last change of the config file back"),
    ):
        add_yes(_command(commands, name, f"{name} [options]", words, server))
    journal = _command(
        commands, "journal", "journal [options]", "list what was changed from here", server
    )
    add_json(journal, "one JSON object a change")


def _command(
    commands: "argparse._SubParsersAction[_ArgumentParser]",
    name: str,
    usage: str,
    words: str,
    server: _ArgumentParser,
) -> _ArgumentParser:
    return commands.add_parser(
        name,
        help=words,
        description=f"{words[0].upper()}{words[1:]}.",
        prog=f"aitui {name}",
        usage=f"aitui {usage}",
        parents=[server],
        allow_abbrev=False,
    )


def _server_options() -> _ArgumentParser:
    """The options that stand before and after a command alike.

    Without defaults: those of a subcommand would overwrite what was said before it.
    """
    shared = _ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    group = shared.add_argument_group("server")
    group.add_argument("--server", metavar="NAME", help="a server of config.toml")
    group.add_argument("--url", metavar="URL", help="the server's URL, like http://localhost:8080")
    group.add_argument("--read-only", action="store_true", help="load, unload and change nothing")
    group.add_argument(
        "--config", type=Path, metavar="FILE", help="read FILE instead of the usual config.toml"
    )
    return shared


def _fps(text: str) -> int:
    if re.fullmatch("[0-9]{1,4}", text) and SLOWEST_FPS <= int(text) <= FASTEST_FPS:
        return int(text)
    raise argparse.ArgumentTypeError(
        f"expected a whole number from {SLOWEST_FPS} to {FASTEST_FPS}, like 20"
    )
