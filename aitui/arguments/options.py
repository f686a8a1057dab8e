"""The options of single commands."""

import argparse
import re


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
