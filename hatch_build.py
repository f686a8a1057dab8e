"""Makes the completions and the manual page of the parser, before a wheel is built."""

import re
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_BASH = """\
# Ids may hold colons.
COMP_WORDBREAKS=${COMP_WORDBREAKS//:}
_aitui_names() {
  local name kind=$1 start=$2
  while IFS= read -r name; do
    [[ $name == "$start"* ]] && printf '%q\\n' "$name"
  done < <("${COMP_WORDS[0]}" completions "$kind" -- "${COMP_WORDS[@]:1:COMP_CWORD-1}" 2>/dev/null)
}
_aitui_models() { _aitui_names models "$1"; }
_aitui_servers() { _aitui_names servers "$1"; }
"""
_ZSH = """\
_aitui_names() {
  local -a line names
  line=(${(z)LBUFFER})
  # The word that is typed may be the value of an option that chooses the server.
  [[ $LBUFFER == *[[:space:]] ]] || line=($line[1,-2])
  names=(${(f)"$(${(Q)line[1]} completions $1 -- ${(Q)line[2,-1]} 2>/dev/null)"})
  (( $#names )) && compadd -a names
}
_aitui_models() { _aitui_names models }
_aitui_servers() { _aitui_names servers }
"""


def _names(kind: str) -> dict[str, Any]:
    return {
        "bash": f"_aitui_{kind}",
        "zsh": f"_aitui_{kind}",
        "fish": f"(aitui completions {kind} -- (commandline -opc)[2..-1] 2>/dev/null)",
        "preamble": {"bash": _BASH, "zsh": _ZSH},
    }


def _mark_completed(parser: ArgumentParser) -> None:
    """Say of each argument what it takes."""
    import shtab

    kinds = {"FILE": shtab.FILE, "DIR": shtab.DIRECTORY, "ID": _names("models")}
    for action in parser._actions:  # noqa: SLF001
        kind = _names("servers") if action.dest == "server" else kinds.get(str(action.metavar))
        if isinstance(action.metavar, str):
            # A colon ends the name of a value in zsh.
            action.metavar = action.metavar.partition(":")[0]
        if kind is not None:
            action.complete = kind  # type: ignore[attr-defined]
        if isinstance(action.choices, dict):
            for subparser in action.choices.values():
                _mark_completed(subparser)


def build_files(folder: Path) -> None:
    """Write a file for each shell, and the manual page."""
    import shtab
    from argparse_manpage.manpage import Manpage

    from aitui import __version__
    from aitui.cli.args import whole_parser

    folder.mkdir(exist_ok=True)
    parser = whole_parser()
    _mark_completed(parser)
    for shell, name in ("bash", "aitui.bash"), ("zsh", "_aitui"), ("fish", "aitui.fish"):
        script = shtab.complete(parser, shell=shell)
        (folder / name).write_text(f"{script.rstrip()}\n", "utf-8")
    facts = {
        "description": "a dashboard and a command line for llama-swap",
        "manual_title": "User Commands",
        "version": __version__,
    }
    parser = whole_parser(of_manual=True)
    examples, _, codes = (parser.epilog or "").partition("exit codes:\n")
    parser.epilog = None
    page = str(Manpage(parser, _data=facts, format="single-commands-section"))
    page += _section("EXAMPLES", examples.partition("\n")[2]) + _section("EXIT STATUS", codes)
    # Without a preprocessor groff reads bytes.
    text = re.sub(r"[^\x00-\x7f]", lambda found: rf"\[u{ord(found[0]):04X}]", page)
    (folder / "aitui.1").write_text(text, "ascii")


def _section(title: str, text: str) -> str:
    """Return a section of the manual page whose lines stay as they are."""
    lines = text.strip("\n").replace("\\", "\\e").replace("-", "\\-")
    return f".SH {title}\n.nf\n{lines}\n.fi\n"


class CustomBuildHook(BuildHookInterface[Any]):
    """Runs for wheels, editable ones too."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Build the files in the package, of which the wheel takes them."""
        root = Path(self.root)
        sys.path.insert(0, str(root))
        try:
            build_files(root / "aitui" / "share")
        finally:
            sys.path.remove(str(root))
