"""A new model: downloaded to the host if it isn't there, put into the config file, loaded, verified.

Each step is skipped if it is done already, so that the same request goes on after an interruption.
"""

import asyncio
import posixpath
import re
from collections.abc import Sequence
from hashlib import sha256

from msgspec import DecodeError, Struct
from msgspec.json import decode
from msgspec.structs import replace

from aitui.domain.config.blocks import model_files, model_folders
from aitui.domain.config.document import ConfigDocument
from aitui.domain.confirmation import Confirmation
from aitui.domain.progress import ProgressTracker
from aitui.domain.sanitize import sanitize_line
from aitui.domain.units import join_some
from aitui.errors import ActionRefused, HostError, NoSuchFile
from aitui.host.base import CommandResult, expand_home
from aitui.host.service import SystemdService
from aitui.services.config_change import ConfigRunner, Job, JobResult
from aitui.services.config_plan import is_model_file, read_document
from aitui.services.host_admin import HostAdmin
from aitui.services.setup.config import plan_model_block
from aitui.services.setup.survey import find_programs

ANY_MODEL = "*.gguf"
POLL_INTERVAL = 1.0
_LIST_SECONDS = 120.0
_MOST_NAMED = 6
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
_SIZE = re.compile(r"(?P<figure>\d+(?:\.\d+)?)(?P<unit>[KMGTP]?)")
_AVAILABLE = re.compile(r"\s(\d+)\s+\d+%\s")
_UNKNOWN_OPTION = re.compile(r"[Nn]o such option|unrecognized arguments|invalid choice")
# Of a folder that doesn't exist yet, the disk of the first one above it that does.
_FREE = 'd=$1; until [ -d "$d" ]; do d=$(dirname -- "$d"); done; LC_ALL=C df -Pk -- "$d"'
# What hf wrote until it was killed, and would never use again: its name is random. Older ones keep
# the names without that word, and go on with them.
_CLEAN = """
h='[0-9a-f]'
cd -- "$1/.cache/huggingface/download" 2>/dev/null || exit 0
find . -type f -name "*.*.$h$h$h$h$h$h$h$h.incomplete" -delete
"""
_WRITTEN = """cd -- "$1" 2>/dev/null && find . -type f -printf '%s %P\\n'"""


class HubModel(Struct, frozen=True):
    """Model files of a repository: `AUTHOR/REPO`, and a pattern that their names match.

    `folder` is where they go on the host, "" for beside the other models. `endpoint` is the URL of the
    hub, "" for the usual one.
    """

    repository: str
    include: str = ANY_MODEL
    folder: str = ""
    endpoint: str = ""


class HubFile(Struct, frozen=True):
    """A file of a repository, as `hf download --dry-run` lists it; its size in bytes is rounded."""

    file: str
    size: str

    @property
    def is_complete(self) -> bool:
        """Whether the host has it."""
        return self.size == "-"

    @property
    def bytes(self) -> int:
        """The size, 0 if the hub doesn't report it."""
        if (found := _SIZE.fullmatch(self.size)) is None:
            return 0
        return int(float(found["figure"]) * 1000 ** " KMGTP".index(found["unit"] or " "))


async def add_source(
    runner: ConfigRunner, source: str, include: str, folder: str, endpoint: str
) -> JobResult | None:
    """Add a file of the host, or a model of the repository `source`; `include` may be empty."""
    if source.startswith(("/", "~/")):
        return await add_file(runner, source)
    return await add_from_hub(runner, HubModel(source, include or ANY_MODEL, folder, endpoint))


def is_repository(text: str) -> bool:
    """Whether a text names a repository; a file of the host begins with `/` or `~/`."""
    return _REPOSITORY.fullmatch(text) is not None


async def add_from_hub(runner: ConfigRunner, wanted: HubModel) -> JobResult | None:
    """Download a model to the host, and add it; None if an answer was no.

    The download is a transient unit there: it goes on without aitui. Raises HostError, ActionRefused.
    """
    runner.admin.server.refuse_if_read_only("adding a model")
    download = await _Download.plan(runner.admin, wanted)
    if not download.is_complete:
        if not (await download.is_running() or await download.confirm(runner)):
            return None
        title = f"Downloading {posixpath.basename(download.path)}"
        job = JobResult(Job.DOWNLOAD)
        result = await runner.run_job(job, title, ("download",), download.run)
        if result.error is not None:
            return result
    return await add_file(runner, download.path)


async def add_file(runner: ConfigRunner, path: str) -> JobResult | None:
    """Add a model file of the host to the config file, load it and verify it.

    A block that names the file is only read and loaded. Raises HostError, ConfigRefused, ActionRefused.
    """
    admin = runner.admin
    admin.server.refuse_if_read_only("adding a model")
    path = await _expand(admin, path)
    real = await admin.host.resolve(path)
    blocks = model_files(await _read_config(admin))
    block = blocks.get(path) or blocks.get(real)
    if block is not None:
        return await runner.load_added_model(block)
    likely = () if runner.session is None else [one.id for one in runner.session.snapshot.ready]
    return await runner.change(await plan_model_block(admin, path, likely=likely))


class _Download(Struct, frozen=True):
    """Files of a repository on their way to a folder of the host; `path` is the model among them."""

    admin: HostAdmin
    hf: str
    wanted: HubModel
    unit: SystemdService
    files: tuple[HubFile, ...] = ()
    path: str = ""

    @classmethod
    async def plan(cls, admin: HostAdmin, wanted: HubModel) -> "_Download":
        """Find out which files there are. Raises HostError, ActionRefused."""
        label = admin.host.label
        if not is_repository(wanted.repository):
            raise ActionRefused(
                f"“{sanitize_line(wanted.repository, 80)}” is neither AUTHOR/REPO nor a file",
                why="a file on the host begins with / or ~/",
                remedy="aitui add AUTHOR/REPO --include '*Q8_0*', or aitui add /models/NAME.gguf",
            )
        programs = await find_programs(admin.host, "hf")
        if not programs:
            raise HostError(
                f"There is no hf on {label}",
                why="models are downloaded by the Hugging Face client on the server's machine",
                remedy="there: uv tool install huggingface_hub, or pipx install huggingface_hub",
            )
        folder = await _expand(admin, wanted.folder) or await _models_folder(admin)
        wanted = replace(wanted, folder=posixpath.join(folder, wanted.repository))
        # The same name whenever the same is downloaded.
        words = f"{wanted.repository}\0{wanted.include}\0{wanted.folder}".encode("utf-8", "replace")
        name = f"aitui-download-{sha256(words).hexdigest()[:12]}"
        download = cls(admin, programs[0], wanted, SystemdService(admin.host, name))
        done = await admin.host.run(
            ("env", *download.variables, *download.command, "--dry-run"), seconds=_LIST_SECONDS
        )
        files = _read_list(wanted, done, label)
        path = posixpath.join(wanted.folder, _choose_model(wanted, files).file)
        return replace(download, files=files, path=path)

    @property
    def command(self) -> tuple[str, ...]:
        """The words of the download."""
        options = (f"--include={self.wanted.include}", f"--local-dir={self.wanted.folder}")
        return (self.hf, "download", self.wanted.repository, *options, "--format=json")

    @property
    def variables(self) -> tuple[str, ...]:
        """The environment of the download, as words for `env`."""
        endpoint = self.wanted.endpoint
        quiet = "HF_HUB_DISABLE_PROGRESS_BARS=1"
        return (quiet, f"HF_ENDPOINT={endpoint}") if endpoint else (quiet,)

    @property
    def is_complete(self) -> bool:
        """Whether every file is there."""
        return all(one.is_complete for one in self.files)

    @property
    def size(self) -> int:
        """The bytes of what isn't complete."""
        return sum(one.bytes for one in self.files)

    async def is_running(self) -> bool:
        """Whether the unit runs already. Raises ServiceFailed without systemd."""
        return (await self.unit.facts()).active_state in {"active", "activating"}

    async def confirm(self, runner: ConfigRunner) -> bool:
        """Ask whether to download. Raises ActionRefused if the disk has no room for it."""
        host, label, folder = self.admin.host, self.admin.host.label, self.wanted.folder
        await host.run(("sh", "-c", _CLEAN, "sh", folder))
        done = await host.run(("sh", "-c", _FREE, "sh", folder))
        found = _AVAILABLE.search(done.stdout.decode("utf-8", "replace"))
        free = int(found[1]) * 1024 if found else None
        shown = sanitize_line(f"{label}:{folder}", 200)
        if free is not None and free < self.size:
            raise ActionRefused(
                f"Not enough disk space for {_gigabytes(self.size)}",
                why=f"{shown} has {_gigabytes(free)} free",
                remedy="remove files there, or name another directory with --dir",
            )
        unit = self.unit
        facts = [f"{one.file}  {one.size}" for one in self.files if not one.is_complete]
        facts = facts[:_MOST_NAMED] + [f"and {len(facts) - _MOST_NAMED} more"] * (
            len(facts) > _MOST_NAMED
        )
        facts.append(f"to {shown}" + ("" if free is None else f", {_gigabytes(free)} free"))
        facts.append(f"It goes on there without aitui, as the unit {unit.unit}.")
        if (await unit.facts()).linger is False:
            facts.append(
                f"! It ends with the last login there: loginctl enable-linger $USER on {label} prevents that"
            )
        title = f"Download {_gigabytes(self.size)} from {self.wanted.repository}?"
        confirmation = Confirmation(title, tuple(facts), yes="Download")
        return await runner.frontend.ask(lambda _: confirmation)

    async def run(self, progress: ProgressTracker) -> None:
        """Start the unit unless it runs, and follow it to its end. Raises HostError."""
        unit = self.unit
        with progress.step("download") as words:
            if not await self.is_running():
                variables = dict(one.split("=", 1) for one in self.variables)
                await unit.start_transient(self.command, variables)
            while await self.is_running():
                written = await self._written()
                progress.describe(f"{_gigabytes(written)} of {_gigabytes(self.size)}")
                await asyncio.sleep(POLL_INTERVAL)
            try:
                await self.admin.host.resolve(self.path)
            except NoSuchFile as error:
                journal = await unit.journal(20)
                raise HostError(
                    f"The download of {self.wanted.repository} failed",
                    why=_last_line("\n".join(journal)) or "its log can't be read",
                    remedy=f"on {self.admin.host.label}: journalctl --user -u {unit.unit}; "
                    "the same command continues",
                ) from error
            words.append(sanitize_line(self.path, 200))

    async def _written(self) -> int:
        """Return the bytes that are there of what was not complete."""
        names = {one.file for one in self.files if not one.is_complete}
        folder = self.wanted.folder
        done = await self.admin.host.run(("sh", "-c", _WRITTEN, "sh", folder))
        written = 0
        for line in done.stdout.decode("utf-8", "replace").splitlines():
            size, _, name = line.partition(" ")
            if size.isdecimal() and (name in names or name.endswith(".incomplete")):
                written += int(size)
        return written


def _read_list(wanted: HubModel, done: CommandResult, label: str) -> tuple[HubFile, ...]:
    """Read what `hf download --dry-run` lists; raises HostError."""
    words = done.stderr.decode("utf-8", "replace")
    try:
        files = decode(done.stdout, type=tuple[HubFile, ...]) if not done.status else ()
    except DecodeError:
        files, words = (), "no such option"
    if done.status or _UNKNOWN_OPTION.search(words):
        if _UNKNOWN_OPTION.search(words):
            raise HostError(
                f"hf on {label} is too old",
                why="it can't list what it would download",
                remedy="there: uv tool upgrade huggingface_hub",
            )
        raise HostError(
            f"{wanted.repository} can't be read from the hub",
            why=_last_line(words) or f"hf ended with status {done.status}",
            remedy="check its name; for a gated one run hf auth login on that machine",
        )
    for one in files:
        parts = one.file.split("/")
        if sanitize_line(one.file) != one.file or {"", ".", ".."} & set(parts):
            raise HostError(
                f"{wanted.repository} has a file with an invalid name",
                why=sanitize_line(one.file, 120),
                remedy="exclude it with --include",
            )
    return files


def _choose_model(wanted: HubModel, files: Sequence[HubFile]) -> HubFile:
    """Return the only model among the files; raises ActionRefused for none and for several."""
    models = [one for one in files if is_model_file(posixpath.basename(one.file))]
    if len(models) == 1:
        return models[0]
    pattern = sanitize_line(wanted.include, 80)
    if not models:
        what = f"No model file of {wanted.repository} matches {pattern}"
        raise ActionRefused(what, why="llama-server reads GGUF files", remedy="change --include")
    raise ActionRefused(
        f"{len(models)} models of {wanted.repository} match {pattern}",
        why=join_some([one.file for one in models], _MOST_NAMED),
        remedy="choose one with --include, like --include '*Q8_0*'",
    )


async def _models_folder(admin: HostAdmin) -> str:
    """Return `~/models` if models of the config are below it, else their first writable folder."""
    usual = await expand_home(admin.host, "~/models")
    folders = model_folders(await _read_config(admin))
    if any(f"{one}/".startswith(f"{usual}/") for one in folders):
        return usual
    for folder in folders:
        done = await admin.host.run(("test", "-d", folder, "-a", "-w", folder))
        if done.status == 0:
            return folder
    return usual


async def _expand(admin: HostAdmin, path: str) -> str:
    """Return a path with the login's home for `~`; raises ActionRefused for one that isn't absolute."""
    path = await expand_home(admin.host, path)
    if path and not path.startswith("/"):
        what = f"{sanitize_line(path, 120)} is neither absolute nor below ~/"
        raise ActionRefused(what, remedy=f"name its whole path on {admin.host.label}")
    return path


async def _read_config(admin: HostAdmin) -> ConfigDocument:
    try:
        return await read_document(admin)
    except NoSuchFile as error:
        raise ActionRefused(
            error.what, why=error.why, remedy="write a first one: aitui setup config --apply"
        ) from error


def _last_line(text: str) -> str:
    """Return the last line that says something, without hf's hints."""
    lines = (sanitize_line(line, 300).strip() for line in text.splitlines())
    return next((line for line in list(lines)[::-1] if line and "Hint:" not in line), "")


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"
