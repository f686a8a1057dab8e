"""Edit a text in $VISUAL or $EDITOR while the app is suspended."""

import asyncio
import os
import shlex
import shutil
import signal
import stat
import sys
import tempfile
import termios
import time
from asyncio.subprocess import Process
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from weakref import WeakSet

from msgspec import Struct
from textual.app import App, SuspendNotSupported

from aitui.domain.sanitize import sanitize_line, sanitize_text
from aitui.errors import AituiError

EDITORS_WITH_LINE_ARGUMENT = frozenset(
    {"vi", "vim", "nvim", "nano", "emacs", "micro", "kak", "joe", "ne"}
)
"""Editors that begin at line N for `+N`."""
USUAL = ("editor", "nano", "vim", "vi")
"""Editors to look for if neither $VISUAL nor $EDITOR is set."""

_ENDING_SECONDS = 3.0
_LOOK_AGAIN = 0.05
_ASIDE: "WeakSet[App[None]]" = WeakSet()


async def edit_text(app: App[None], text: str, *, suffix: str = ".md") -> str:
    """The text as it was left in the editor; the loop goes on meanwhile.

    Raises AituiError as `edited_bytes` does.
    """
    content = await edit_bytes(app, text.encode("utf-8"), suffix=suffix)
    try:
        return sanitize_text(content.decode("utf-8")).rstrip("\n")
    except UnicodeDecodeError as error:
        raise AituiError(
            "The edited text can't be used.",
            why=f"It isn't UTF-8: {error.reason} at byte {error.start}.",
            remedy=f"The edit is saved in {await keep_edit(content, suffix)}.",
        ) from error


async def edit_bytes(
    app: App[None], content: bytes, *, suffix: str, line: int = 0, elsewhere: bytes | None = None
) -> bytes:
    """A file's content, byte for byte as the editor left it; it begins at `line` where it can.

    Raises AituiError for an editor that can't be started or fails: as with git, the edit doesn't
    count then. Its file stays if it holds anything but `elsewhere`, which is `content` by default.
    """
    command = find_editor(os.environ)
    words = (*command, *_line_arguments(command[0], line))
    if app in _ASIDE:
        raise AituiError("An editor is already open.", remedy="Close that one first.")
    _ASIDE.add(app)
    try:
        with _translate_errors(command[0]):
            draft = await asyncio.to_thread(_Draft.write, content, suffix)
        known = content if elsewhere is None else elsewhere
        changed = await _edit_draft(app, words, draft, known)
    finally:
        _ASIDE.discard(app)
    await asyncio.to_thread(draft.remove)
    return changed


async def _edit_draft(
    app: App[None], words: tuple[str, ...], draft: "_Draft", known: bytes
) -> bytes:
    try:
        with _translate_errors(words[0]):
            await _run(app, (*words, str(draft.path)))
            return await asyncio.to_thread(draft.read)
    except BaseException as error:
        # Without a pause: the end of the loop cancels more than once.
        kept = draft.set_aside(known)
        if isinstance(error, AituiError) and kept:
            error.remedy = f"The edit is saved in {kept}."
        raise


async def keep_edit(content: bytes, suffix: str) -> str:
    """Write an edit that couldn't be used into a file of its own; its path, as it is shown."""
    try:
        draft = await asyncio.to_thread(_Draft.write, content, suffix)
    except OSError as error:
        remedy = "Free some space for temporary files before the next edit."
        raise _os_failure("The edit can't be saved.", error, remedy) from error
    return draft.display_path


def find_editor(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The words of $VISUAL or $EDITOR, else one of USUAL. Raises AituiError if it can't be run."""
    path = environment.get("PATH")
    for name in ("VISUAL", "EDITOR"):
        value = environment.get(name, "")
        if not value.strip():
            continue
        remedy = f"Set {name} to your editor, and start aitui again."
        try:
            words = shlex.split(value)
        except ValueError as error:
            shown = sanitize_line(value, 100)
            raise AituiError(
                f"{name} can't be read: {shown}", why=f"{error}.", remedy=remedy
            ) from error
        if shutil.which(words[0], path=path) is None:
            shown = sanitize_line(words[0], 100) or "''"
            raise AituiError(
                f"The editor {shown} can't be started.",
                why=f"{name} is set to it, and there is no such program.",
                remedy=remedy,
            )
        return tuple(words)
    found = next((program for program in USUAL if shutil.which(program, path=path)), None)
    if found is None:
        raise AituiError(
            "No editor was found.",
            why=f"EDITOR isn't set, and PATH has none of {', '.join(USUAL)}.",
            remedy="Set EDITOR to your editor, and start aitui again.",
        )
    return (found,)


def _line_arguments(program: str, line: int) -> tuple[str, ...]:
    # Debian's `editor` is a link to vim.basic or the like.
    linked = Path(os.path.realpath(shutil.which(program) or program)).name.partition(".")[0]
    takes = EDITORS_WITH_LINE_ARGUMENT & {Path(program).name, linked}
    return (f"+{line}",) if line > 0 and takes else ()


class _Draft(Struct, frozen=True):
    """The file that the editor gets."""

    path: Path

    @classmethod
    def write(cls, content: bytes, suffix: str) -> "_Draft":
        with tempfile.NamedTemporaryFile(
            "wb", prefix="aitui-", suffix=suffix, delete=False
        ) as file:
            try:
                file.write(content)
                file.flush()
            except OSError:
                Path(file.name).unlink()
                raise
        return cls(Path(file.name))

    @property
    def display_path(self) -> str:
        return sanitize_line(str(self.path), 300)

    def read(self) -> bytes:
        """Return the edited content; raises OSError, AituiError."""
        # A FIFO would block for good.
        with os.fdopen(os.open(self.path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise AituiError(
                    "The edited text can't be read.",
                    why=f"{self.display_path} is no longer a file.",
                )
            return file.read()

    def set_aside(self, known: bytes) -> str:
        """Remove what says nothing new; else its path, as it is shown."""
        try:
            says_nothing = self.read() == known
        except FileNotFoundError:
            return ""
        except (OSError, AituiError):
            # Something else has been put there, and stays.
            return self.display_path
        if not says_nothing:
            return self.display_path
        self.remove()
        return ""

    def remove(self) -> None:
        """Remove it, if it can be: it lies where files like it are cleared away."""
        with suppress(OSError):
            self.path.unlink()


@contextmanager
def _translate_errors(program: str) -> Iterator[None]:
    try:
        yield
    except SuspendNotSupported as error:
        raise AituiError(
            "The editor can't be started.",
            why="It needs a terminal, and there is none here.",
        ) from error
    except OSError as error:
        what = f"{sanitize_line(program, 100)} can't be used."
        raise _os_failure(what, error, "The text is unchanged.") from error


def _os_failure(what: str, error: OSError, remedy: str) -> AituiError:
    why = f"{error.filename or ''}: {error.strerror or error}".lstrip(": ")
    return AituiError(what, why=sanitize_line(why, 300), remedy=remedy)


async def _run(app: App[None], words: tuple[str, ...]) -> None:
    with _leave_signals_to_editor(), _suspend_screen(app):
        # By asyncio: Textual's suspend leaves the loop alone, so replies go on streaming meanwhile.
        editor = await asyncio.create_subprocess_exec(*words)
        try:
            status = await editor.wait()
        except BaseException:
            await _end_editor(editor)
            raise
    if status:
        end = f"status {status}" if status > 0 else f"signal {-status}"
        with suppress(ValueError):  # most realtime signals have no name
            end = signal.Signals(-status).name
        raise AituiError(
            f"{sanitize_line(words[0], 100)} ended with {end}.", why="The text is unchanged."
        )


@contextmanager
def _suspend_screen(app: App[None]) -> Iterator[None]:
    """Leave the terminal to another program; whatever happens to that, the screen comes back."""
    failure: BaseException | None = None
    # App.suspend never resumes if an exception reaches it (Textual 8.2.8). None does, unless the
    # app has ended meanwhile: its driver has given the terminal back, and must not take it again.
    with app.suspend():
        try:
            with _restore_terminal():
                yield
        except BaseException as error:
            failure = error
            if not app.is_running:
                raise
    if failure is not None:
        raise failure


@contextmanager
def _leave_signals_to_editor() -> Iterator[None]:
    """Without raw mode ^c and ^\\ reach all processes of the terminal: they end the editor alone."""
    # SIG_IGN would be inherited by the editor, a handler isn't.
    both = signal.SIGINT, signal.SIGQUIT
    before = {number: signal.signal(number, lambda *_: None) for number in both}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


@contextmanager
def _restore_terminal() -> Iterator[None]:
    """Take back what an editor that was killed has left; keys that it hasn't read are no keys."""
    try:
        settings = None if sys.__stdin__ is None else termios.tcgetattr(sys.__stdin__)
    except termios.error:
        settings = None  # it isn't a terminal
    try:
        yield
    finally:
        if settings is not None and sys.__stdin__ is not None:
            with suppress(termios.error):  # the terminal has gone
                termios.tcflush(sys.__stdin__, termios.TCIFLUSH)
                termios.tcsetattr(sys.__stdin__, termios.TCSANOW, settings)


async def _end_editor(editor: Process) -> None:
    with suppress(ProcessLookupError):
        editor.terminate()
    latest = time.monotonic() + _ENDING_SECONDS
    while editor.returncode is None and time.monotonic() < latest:
        # The end of the loop cancels more than once, and an editor may have something to save.
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(_LOOK_AGAIN)
    with suppress(ProcessLookupError):
        editor.kill()
    await editor.wait()
