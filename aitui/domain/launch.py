"""Which word of a command is the llama-server, and where its own arguments begin.

What `-c` means is up to the program that reads it: `taskset -c 0-7`, `su -c "…"`, `docker run -c
512`, `main.py -c wolf.yml`. Only the words behind a llama-server are llama-server's.
"""

import re
from collections.abc import Sequence
from itertools import dropwhile

from msgspec import Struct

from aitui.domain import programs
from aitui.domain.programs import Wrapper

_MOST_WRAPPERS = 20
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_OPERATOR = re.compile(r".*[^\\];|[|&;<>]+|[0-9]*[<>].*")
_SCRIPT = re.compile(r"\s[-/|&;<>]|[|&;]\s")
_QUOTED_SERVER = re.compile(
    r"(?:^|[\s/\\'\"(;&|=])(?:ik[-_.])?llama[-_.]?(?:cpp[-_.:])?server", re.IGNORECASE
)


class Launch(Struct, frozen=True):
    """What a command starts, as indices of its words.

    `begin` is the word behind the llama-server, None if no word is one. `program` is then the name
    of what runs instead, and `behind` the word after it; `script` is the word that holds a whole
    command line, if `program` is given one. `joined` is set if a shell splits the words again.
    """

    begin: int | None = None
    program: str = ""
    behind: int = 0
    script: int | None = None
    joined: bool = False


class _Argument(Struct, frozen=True):
    text: str
    place: int


_Arguments = tuple[_Argument, ...]


NamedServers = frozenset[str]
"""More programs that take llama-server's flags, as `llama_server_programs` of config.toml has them."""
NO_NAMES: NamedServers = frozenset()


def find_launch(words: Sequence[str], named: NamedServers = NO_NAMES) -> Launch:
    """Find where llama-server's own arguments begin in the words of a command.

    `named` count as llama-servers as well, by path, file name or image.
    """
    return _LaunchFinder(words, named).find()


def context_flag_of(program: str) -> str | None:
    """Return the context flag of another server, "" if it has none, None if that isn't known."""
    name = _base_name(program)
    return next((flag for names, flag in programs.CONTEXT_FLAGS if names.fullmatch(name)), None)


def wrapper_names(words: Sequence[str]) -> tuple[str, ...]:
    """Return the programs among these words that a command would run without as well."""
    return tuple(name for name in map(_base_name, words) if name in programs.DISPENSABLE)


def ends_command(word: str) -> bool:
    """Whether a shell would take the word for the end of a command, or for a redirection."""
    return bool(_OPERATOR.fullmatch(word))


class _LaunchFinder:
    """Goes from wrapper to wrapper until it comes to what they run."""

    def __init__(self, words: Sequence[str], named: NamedServers) -> None:
        self._named = named
        self._end = len(words)
        self._rest = tuple(_Argument(text, place) for place, text in enumerate(words))
        self._wrapper = words[0] if words else ""
        self._joined = False

    def find(self) -> Launch:
        launch = None
        for _ in range(_MOST_WRAPPERS):
            self._rest = tuple(dropwhile(lambda word: _ASSIGNMENT.match(word.text), self._rest))
            launch = self._step() if self._rest else self._other(self._wrapper, ())
            if launch is not None:
                break
        else:
            launch = self._other(self._wrapper, ())
        if launch.begin is None or not self._joined:
            return launch
        read_by_shell = (word for word in self._rest if word.place >= launch.begin)
        if any(ends_command(word.text) for word in read_by_shell):
            return Launch(program=self._wrapper, script=launch.begin - 1)
        return Launch(begin=launch.begin, joined=True)

    def _step(self) -> Launch | None:
        """Go one program further; return a launch if nothing can stand behind it any more."""
        first, behind = self._rest[0], self._rest[1:]
        name = _base_name(first.text)
        if programs.SERVER.fullmatch(name) or self._is_named(first.text):
            return self._server(behind)
        if name in {"llama", "llama.exe"} and behind and behind[0].text == "serve":
            return self._server(behind[1:])
        if context_flag_of(name) is not None or name in programs.NOT_WRAPPERS:
            return self._other(name, behind)
        ways = (
            (programs.SHELL, self._of_shell),
            (programs.PYTHON, self._of_python),
            (programs.CONTAINERS, self._of_containers),
            (programs.NIX, self._of_nix),
        )
        way = next((way for names, way in ways if names.fullmatch(name)), self._of_wrapper)
        return way(name, behind)

    def _is_named(self, text: str) -> bool:
        """Whether the user's settings name this program or image, by its path or its last part."""
        return not self._named.isdisjoint({text, _base_name(text)})

    def _server(self, arguments: _Arguments) -> Launch:
        return Launch(begin=arguments[0].place if arguments else self._end)

    def _other(self, name: str, behind: _Arguments) -> Launch:
        return Launch(program=name, behind=behind[0].place if behind else self._end)

    def _unknown(self, name: str, rest: _Arguments, behind: _Arguments) -> Launch:
        """Return a launch of a program that may or may not run what is behind it."""
        # Behind an option it may be a user's name; and a server's command names a model.
        models = [at for at, word in enumerate(rest) if _is_model_flag(word)]
        for at, word in enumerate(rest[: max(models, default=0)]):
            if _is_likely(word) and not (at and _is_option(rest[at - 1].text)):
                return self._server(rest[at + 1 :])
        for at, word in enumerate(rest):
            if " " in word.text.strip() and _QUOTED_SERVER.search(word.text):
                return Launch(program=name if at else self._wrapper or name, script=word.place)
        return self._other(name, behind)

    def _of_wrapper(self, name: str, behind: _Arguments) -> Launch | None:
        wrapper = programs.WRAPPERS.get(name.removesuffix(".exe"))
        if wrapper is None:
            return self._unknown(name, self._rest, behind)
        if wrapper.subcommand:
            if not behind or behind[0].text != wrapper.subcommand:
                return self._unknown(name, self._rest, behind)
            behind = behind[1:]
        self._rest, self._wrapper = _command_of(wrapper, behind), name
        self._joined = self._joined or wrapper.joined
        return None

    def _of_shell(self, name: str, behind: _Arguments) -> Launch | None:
        at = 0
        while at < len(behind) and behind[at].text[:1] in {"-", "+"}:
            option = behind[at].text
            at += 1
            if programs.SHELL_SCRIPT.fullmatch(option) and at < len(behind):
                own = behind[at + 1].place if at + 1 < len(behind) else self._end
                return Launch(program=name, script=behind[at].place, behind=own)
            at += option in programs.SHELL_OPTIONS
        if at == len(behind):
            return self._other(name, ())
        if self._is_named(behind[at].text):
            return self._server(behind[at + 1 :])
        return self._unknown(_base_name(behind[at].text), behind[at:], behind[at + 1 :])

    def _of_python(self, name: str, behind: _Arguments) -> Launch:
        at, option = 0, ""
        while option != "-m" and at < len(behind) and _is_option(behind[at].text):
            option = behind[at].text
            if option == "-c":
                return self._other(name, behind[at + 1 :])
            at += 1 + (option in programs.PYTHON_OPTIONS)
        if at >= len(behind):
            return self._other(name, ())
        text, rest = behind[at].text, behind[at + 1 :]
        if self._is_named(text):
            return self._server(rest)
        script = text if option == "-m" else _base_name(text)
        if option == "-m" or context_flag_of(script) is not None:
            return self._other(script, rest)
        return self._unknown(script, behind[at:], rest)

    def _of_containers(self, name: str, behind: _Arguments) -> Launch | None:
        self._wrapper = name
        rest = _command_of(programs.CONTAINER_TOOL, behind)
        if rest and rest[0].text == "container":
            rest = rest[1:]
        if not rest:
            return self._other(name, ())
        subcommand, rest = rest[0].text, rest[1:]
        if subcommand == "run":
            return self._of_image(rest)
        if subcommand == "exec":
            self._rest = _command_of(programs.ENTER_CONTAINER, rest)
            return None
        name = f"{name} {subcommand}"
        if subcommand == "compose":
            return self._unknown(name, rest, rest)
        return self._other(name, rest)

    def _of_image(self, options: _Arguments) -> Launch | None:
        rest = _command_of(programs.RUN_CONTAINER, options)
        entry = _entry_point(options[: len(options) - len(rest)])
        if not rest or entry is not None:
            self._rest = (entry, *rest[1:]) if rest and entry is not None else ()
            return None
        image, behind = rest[0].text, rest[1:]
        own = behind[0].text if behind else "-"
        named = self._is_named(image)
        if context_flag_of(image) is not None and not named:
            return self._other(image, behind)
        if not own.startswith("-"):
            self._rest = behind
            return None
        name = _base_name(image.partition("@")[0])
        llama = programs.LLAMA_IMAGE.fullmatch(name)
        tag = (llama["tag"] or "") if llama else ""
        if tag.startswith("full") and not named:
            # Its entry point is a script that takes what to run as its first argument.
            starts = own in {"--server", "-s"}
            return self._server(behind[1:]) if starts else self._other(image, behind)
        if named or programs.SERVER_IMAGE.fullmatch(name):
            return self._server(behind)
        likely = llama is not None and not tag.startswith("light")
        likely = likely and any(map(_is_model_flag, behind))
        return self._server(behind) if likely else self._other(image, behind)

    def _of_nix(self, name: str, behind: _Arguments) -> Launch | None:
        texts = [word.text for word in behind]
        at = next(
            (at for at, text in enumerate(texts) if text in {"run", "develop", "shell"}), None
        )
        if at is None:
            return self._unknown(name, behind, behind)
        if texts[at] == "run":
            return self._of_flake(behind[at + 1 :])
        starts = (at for at, text in enumerate(texts) if text in {"-c", "--command"})
        start = next(starts, len(texts) - 1)
        self._wrapper, self._rest = f"{name} {texts[at]}", behind[start + 1 :]
        return None

    def _of_flake(self, behind: _Arguments) -> Launch:
        """Go behind the dashes of `nix run flake#app -- …`: what follows is the app's."""
        texts = [word.text for word in behind]
        end = texts.index("--") if "--" in texts else 0
        apps = (_base_name(text.partition("#")[2]) for text in texts[:end])
        if any(programs.SERVER.fullmatch(app) for app in apps):
            return self._server(behind[end + 1 :])
        return self._unknown("nix run", behind, behind)


def _command_of(wrapper: Wrapper, words: _Arguments) -> _Arguments:
    at, operands = 0, wrapper.operands
    while at < len(words):
        text = words[at].text
        if text in wrapper.ends:
            at += 1
            if operands <= 0 or text != "--":
                break
        elif _is_option(text):
            operands -= text.partition("=")[0] in wrapper.instead
            at += wrapper.width(text)
        elif operands > 0:
            operands -= 1
            at += 1
        else:
            break
    return words[at:]


def _entry_point(options: _Arguments) -> _Argument | None:
    """Return the program that runs in a container instead of its image's own."""
    found = None
    for at, option in enumerate(options):
        name, equals, value = option.text.partition("=")
        if name == "--entrypoint" and equals:
            found = _Argument(value, option.place)
        elif name == "--entrypoint":
            found = next(iter(options[at + 1 : at + 2]), None)
    return found if found is not None and found.text else None


def _base_name(text: str) -> str:
    if _SCRIPT.search(text):
        return text
    drive = programs.DRIVE_PATH.fullmatch(text)
    return drive["name"] if drive else re.split(r"[/\\]", text)[-1] or text


def _is_option(text: str) -> bool:
    return len(text) > 1 and text.startswith("-") and text != "--"


def _is_likely(word: _Argument) -> bool:
    name = _base_name(word.text)
    return bool(programs.LIKELY_SERVER.search(name)) and not programs.NOT_LIKELY.fullmatch(name)


def _is_model_flag(word: _Argument) -> bool:
    return word.text.partition("=")[0] in programs.MODEL_FLAGS
