"""A file of a host planned, shown as a diff, and written; nothing that exists is lost."""

import secrets
from collections.abc import Callable
from contextlib import suppress

from msgspec import Struct

from aitui.domain.config.verify import text_diff
from aitui.domain.setup.shell import write_commands
from aitui.domain.snapshot import Clock
from aitui.errors import FileAlreadyExists, HostError, HostFileError, NoSuchFile
from aitui.host.base import Host, display_path, expand_home
from aitui.host.config_file import ConfigFile, FileSnapshot, Validate


class FilePlan(Struct, frozen=True):
    """A file as it is, None if there is none, and its text as it should be."""

    path: str
    before: FileSnapshot | None
    after: str

    @property
    def text_before(self) -> str:
        """The present text, "" without a file."""
        return "" if self.before is None else _decode(self.before.content)

    @property
    def is_change(self) -> bool:
        """Whether there is anything to write."""
        return self.before is None or self.text_before != self.after

    @property
    def diff(self) -> str:
        """A unified diff, safe to show."""
        return text_diff(self.text_before, self.after, self.path, self.path)

    @property
    def commands(self) -> str:
        """The shell commands that do the same by hand."""
        return write_commands(self.path, self.after, exists=self.before is not None)


async def plan_file(
    host: Host, path: str, edit: Callable[[str | None], str], clock: Clock
) -> FilePlan:
    """Read a file and plan what `edit` makes of its text, None if there is none. Raises HostError."""
    try:
        before = await ConfigFile(host, path, clock=clock).read()
    except NoSuchFile:
        return FilePlan(path, None, edit(None))
    return FilePlan(path, before, edit(_decode(before.content)))


async def write_file(
    host: Host, plan: FilePlan, clock: Clock, validate: Validate | None = None
) -> tuple[str, ...]:
    """Write a planned file, and return warnings.

    A file that exists is backed up, locked, compared with what was read and replaced in one step; a new
    one is never written over another. `validate` is given the path of the new text before it takes its
    place. Raises HostError, ConfigRefused and its kin if nothing was written.
    """
    content = plan.after.encode("utf-8", "surrogateescape")
    if plan.before is not None:
        file = ConfigFile(host, plan.path, clock=clock)
        return (await file.write(plan.before, content, validate=validate)).warnings
    folder = plan.path.rpartition("/")[0] or "/"
    made = await host.run(("mkdir", "-p", "--", await expand_home(host, folder)))
    if made.status:
        what = f"Can't create the directory {display_path(folder)}"
        raise HostFileError(what, why=made.last_line)
    real = await host.resolve(folder)
    name = plan.path.rpartition("/")[2]
    path, temporary = f"{real}/{name}", f"{real}/.{name}.aitui-{secrets.token_hex(8)}.tmp"
    await host.create(temporary, content, mode=0o644)
    try:
        if validate is not None:
            await validate(temporary)
        await _refuse_existing(host, path)
        await host.rename(temporary, path)
    except BaseException:
        with suppress(HostError):
            await host.remove(temporary)
        raise
    return ()


async def _refuse_existing(host: Host, path: str) -> None:
    try:
        await host.facts(path)
    except NoSuchFile:
        return
    raise FileAlreadyExists(f"{display_path(path)} was created in the meantime")


def _decode(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")
