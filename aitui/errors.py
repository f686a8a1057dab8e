"""The exceptions of aitui: each has what happened, why, and a remedy."""

from collections.abc import Iterator
from enum import Enum
from typing import ClassVar, TypedDict, TypeVar, Unpack


class Action(Enum):
    """A remedy within aitui for an error; the value is its shell command.

    An error names no key: `ui` shows that of its keymap.
    """

    REFRESH = "aitui status"
    SHOW_CONFIG = "aitui preset"
    EDIT_CONFIG = "aitui"
    RELOAD_CONFIG = "aitui reload"
    LOAD_MODEL = "aitui load ID"
    RESTART_SERVICE = "aitui restart"
    SHOW_JOURNAL = "aitui journal"
    RUN_DOCTOR = "aitui doctor"
    ADD_SERVER = "aitui init"


def remedy_with(remedy: str, way: str) -> str:
    """Add the key or the command to a remedy."""
    if not (remedy and way):
        return remedy
    return f"{remedy[:-1]} ({way})." if remedy.endswith(".") else f"{remedy} ({way})"


class AituiError(Exception):
    """An error with texts for the user.

    Every text is already harmless: text from outside is sanitized before the error is raised.
    """

    exit_code: ClassVar[int] = 1
    """The status of a command that fails with it. Scripts branch on it: `aitui --help` lists them."""

    def __init__(
        self, what: str, *, why: str = "", remedy: str = "", action: Action | None = None
    ) -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.remedy = remedy
        self.action = action

    @property
    def summary(self) -> str:
        """Return what happened and why, without a remedy."""
        return f"{self.what}: {self.why}" if self.why else self.what

    @property
    def shell_remedy(self) -> str:
        """Return the remedy with its shell command."""
        return remedy_with(self.remedy, self.action.value if self.action else "")

    def __str__(self) -> str:
        """Return the whole message on one line, for logs and the command line."""
        return " — ".join(part for part in (self.what, self.why, self.shell_remedy) if part)


AnError = TypeVar("AnError", bound=BaseException)


def chain_of(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what led to it, each once: the cause of each, or its context without one."""
    seen: set[int] = set()
    # Through a cause they can lead to each other in a ring.
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or one.__context__


def without_frames(error: AnError) -> AnError:
    """Let go of the frames that an error, and what led to it, was raised through.

    For whatever keeps an error: the frames keep what was read, such as the 32 MiB of a list without
    an end.
    """
    for one in chain_of(error):
        one.__traceback__ = None
        if one.__cause__ is not None:
            # Nothing shows it beside a cause, and it has frames of its own.
            one.__context__ = None
    return error


class ErrorParts(TypedDict, total=False):
    """The optional parts of every error."""

    why: str
    remedy: str
    action: Action | None


class SettingsError(AituiError):
    """A setting that can't be used, named with its origin."""

    exit_code = 2


class Unreachable(AituiError):
    """No answer: name, network, port, time limit, or a connection that broke."""

    exit_code = 3


class TimedOut(Unreachable):
    """The server did not respond within the time limit."""


class ConnectionLost(Unreachable):
    """The connection broke, or a stream ended, before the answer was complete."""


class TlsRefused(AituiError):
    """The TLS handshake, or the client certificate, was refused by one of the two sides."""

    exit_code = 4


class CertificateFileError(TlsRefused):
    """One of our own certificate files is missing, unreadable, or doesn't fit the others."""


class KeyPasswordNeeded(CertificateFileError):
    """The private key is encrypted, and its password is missing or wrong."""


class ServerError(AituiError):
    """The server answered with an error status: `status` is the HTTP status."""

    def __init__(self, what: str, *, status: int, **parts: Unpack[ErrorParts]) -> None:
        super().__init__(what, **parts)
        self.status = status


class NoSuchModel(ServerError):
    """The server knows no model of that id or alias."""

    exit_code = 5


class ImageRefused(ServerError):
    """The model takes no images, or not one that went along with the prompt."""


class Unauthorized(ServerError):
    """401 or 403: the API key is missing or wrong."""


class TooManyRequests(ServerError):
    """429: the server has too many requests already."""


class ProxyError(ServerError):
    """The reverse proxy answers, and llama-swap behind it does not (502, 503, 504)."""

    exit_code = 3


class ContextExceeded(ServerError):
    """The prompt, or the answer on its way, doesn't fit into the context of the slot.

    `prompt_tokens` and `context_size` are tokens, None where the server didn't say.
    """

    def __init__(
        self,
        what: str,
        *,
        status: int = 400,
        prompt_tokens: int | None = None,
        context_size: int | None = None,
        **parts: Unpack[ErrorParts],
    ) -> None:
        super().__init__(what, status=status, **parts)
        self.prompt_tokens = prompt_tokens
        self.context_size = context_size


class NotSupported(ServerError):
    """This server doesn't have the endpoint: an older or newer version, or another program."""


class BadResponse(AituiError):
    """A status of success with a body that can't be what was asked for."""


class ReplyInterrupted(AituiError):
    """The stream of an answer ended before the answer did; what came is kept.

    `tokens` and `characters` came before, as far as is known.
    """

    def __init__(
        self, what: str, *, tokens: int = 0, characters: int = 0, **parts: Unpack[ErrorParts]
    ) -> None:
        super().__init__(what, **parts)
        self.tokens = tokens
        self.characters = characters


class ReplyStopped(AituiError):
    """An answer was stopped before its end; what came is kept."""

    exit_code = 130


class HistoryError(AituiError):
    """The conversations on disk can't be read or written."""


class JournalError(AituiError):
    """The journal of changes can't be read or written; without it nothing is changed."""


class LoadFailed(AituiError):
    """A model didn't come up.

    `log` holds the lines of its log that say why, cleaned; `evicted` the ids of models that were
    ready before and had to go for it: llama-swap doesn't bring them back.
    """

    def __init__(
        self,
        what: str,
        *,
        log: tuple[str, ...] = (),
        evicted: tuple[str, ...] = (),
        **parts: Unpack[ErrorParts],
    ) -> None:
        super().__init__(what, **parts)
        self.log = log
        self.evicted = evicted


class UnloadFailed(AituiError):
    """`/running` still lists a model that was to be unloaded."""


class ActionRefused(AituiError):
    """aitui itself refused: the server is read-only, or a question needs a terminal."""

    exit_code = 6


class ValueUnchanged(ActionRefused):
    """The new value equals the old one, so there is nothing to change."""

    exit_code = 0


class HostError(AituiError):
    """An operation on the server's host failed."""


class HostUnreachable(HostError, Unreachable):
    """No SSH connection: name, network, port, time limit, or it broke."""


class HostTimedOut(HostUnreachable, TimedOut):
    """The machine, or a command there, took longer than its limit; the command was ended."""


class HostKeyRefused(HostError):
    """The key that the machine showed is not one that is known for it.

    `algorithm` and `fingerprint` (`SHA256:…`) are those of the key shown. `line` is what a
    known_hosts file would say of it, empty where it must not be remembered: the key of a known
    machine has changed.
    """

    exit_code = 4

    def __init__(
        self,
        what: str,
        *,
        algorithm: str,
        fingerprint: str,
        line: str = "",
        **parts: Unpack[ErrorParts],
    ) -> None:
        super().__init__(what, **parts)
        self.algorithm = algorithm
        self.fingerprint = fingerprint
        self.line = line


class HostLoginRefused(HostError):
    """The machine accepts none of our keys."""

    exit_code = 4


class SshKeyPassphraseNeeded(HostLoginRefused):
    """An SSH key is encrypted, and its passphrase is missing or wrong; `path` is its file."""

    def __init__(self, what: str, *, path: str, **parts: Unpack[ErrorParts]) -> None:
        super().__init__(what, **parts)
        self.path = path


class HostFileError(HostError):
    """A file there is missing, unreadable, not writable, or there is no room for it."""


class NoSuchFile(HostFileError):
    """The file does not exist."""


class FileAlreadyExists(HostFileError):
    """The file already exists."""


class FilePermissionDenied(HostFileError):
    """The login has no permission for that operation on a file."""


class ModelFileUnreadable(AituiError):
    """A model file's header is invalid or truncated, or its sizes are impossible."""


class ConfigRefused(AituiError):
    """The config file can't be changed that way, and nothing was written.

    `line` and `column` are where in the file, counted from 1, None where no place is to blame.
    """

    def __init__(
        self,
        what: str,
        *,
        line: int | None = None,
        column: int | None = None,
        **parts: Unpack[ErrorParts],
    ) -> None:
        super().__init__(what, **parts)
        self.line = line
        self.column = column

    @property
    def location(self) -> str:
        """Return the place in the file as text, "" if there is none."""
        if self.line is None:
            return ""
        column = "" if self.column is None else f", column {self.column}"
        return f"line {self.line}{column} of the config file"


class ConfigChangedMeanwhile(ConfigRefused):
    """Another program wrote the config file between our reading and our writing.

    `difference` is a unified diff from what was read to what stands there now.
    """

    def __init__(self, what: str, *, difference: str = "", **parts: Unpack[ErrorParts]) -> None:
        super().__init__(what, **parts)
        self.diff = difference


class ConfigLocked(ConfigRefused):
    """Another aitui is writing the config file; `holder` names it and says since when."""

    def __init__(self, what: str, *, holder: str, **parts: Unpack[ErrorParts]) -> None:
        super().__init__(what, **parts)
        self.holder = holder


class ConfigWriteUncertain(HostUnreachable):
    """The connection was lost while the file was put in its place: it is the old one or the new.

    It is whole either way.
    """


class ServiceFailed(HostError):
    """systemd failed, or the unit didn't start; `journal` holds its last lines."""

    def __init__(
        self, what: str, *, journal: tuple[str, ...] = (), **parts: Unpack[ErrorParts]
    ) -> None:
        super().__init__(what, **parts)
        self.journal = journal


class ConfigNotApplied(AituiError):
    """The config file was changed, but the server doesn't run with the new value."""
