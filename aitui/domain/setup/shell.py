"""Shell commands that a person pastes on another machine."""

import shlex


def shell_path(path: str) -> str:
    """Quote a path for a shell; a leading `~/` stays unquoted, for the home directory of the user who runs it."""
    return f"~/{shlex.quote(path[2:])}" if path.startswith("~/") else shlex.quote(path)


def write_commands(path: str, text: str, *, exists: bool = False, appends: bool = False) -> str:
    """Return the commands that write a file, or append to it; a file that exists is copied first."""
    target, mark = shell_path(path), "EOF"
    while f"\n{mark}\n" in f"\n{text}\n":
        mark += "_"
    folder = shell_path(path.rpartition("/")[0])
    lines = [f"cp -p {target} {target}.before-aitui" if exists else f"mkdir -p {folder}"]
    body = text if text.endswith("\n") else f"{text}\n"
    return f"{lines[0]}\ncat {'>>' if appends else '>'} {target} <<'{mark}'\n{body}{mark}\n"
