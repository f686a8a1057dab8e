"""A first config file for the model files of a host, or what an existing one lacks."""

import posixpath
from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from aitui.domain.config.blocks import add_model, choose_template, model_files, model_folders
from aitui.domain.config.document import ConfigDocument
from aitui.domain.config.flag_edit import change_flag
from aitui.domain.config.locate import ValueSource
from aitui.domain.config.ports import add_port, models_without_port
from aitui.domain.config.verify import ConfigChange, reparse
from aitui.domain.gguf import GgufHeader
from aitui.domain.hardware.host_sample import HostSample
from aitui.domain.memory.forecast import FitForecast, FitVerdict, forecast_fit
from aitui.domain.memory.launch_profile import launch_profile
from aitui.domain.memory.measurement import MemoryRecords
from aitui.domain.memory.usage import MemoryUsage, memory_usage
from aitui.domain.sanitize import sanitize_line
from aitui.domain.setup.first_config import (
    USUAL_CONTEXTS,
    NewModel,
    first_config,
    models_text,
    purpose_flag,
)
from aitui.domain.setup.programs import LLAMA_SERVER_PATH
from aitui.domain.units import format_bytes
from aitui.errors import ConfigRefused, HostFileError, ModelFileUnreadable, NoSuchFile
from aitui.host.base import Host, expand_home
from aitui.host.sampler import HostSampler, read_model_header
from aitui.services.config_plan import (
    CONTEXT_SIZE,
    ChangePlan,
    is_model_file,
    plan_change,
    read_document,
)
from aitui.services.host_admin import HostAdmin
from aitui.services.setup.files import FilePlan, plan_file, write_file
from aitui.services.setup.survey import find_gguf_files, find_programs

_UNKNOWN_CONTEXT = 8192
_LLAMA_SERVER = "llama-server"


class ConfigPlan(Struct, frozen=True):
    """The config file as it should be: a new one, or the `change` of one that exists.

    `change` is None if there is nothing to change, too. `notes` are sentences about it.
    """

    file: FilePlan
    change: ChangePlan | None = None
    notes: tuple[str, ...] = ()
    validator: str = ""
    """The llama-swap that can check a new file, "" for none."""


async def plan_config(admin: HostAdmin, folders: Sequence[str] = ()) -> ConfigPlan:
    """Plan a config file for the GGUF files below the folders, else below the usual ones.

    Of a file that exists nothing is replaced: models that it lacks are added, and the port to commands
    without one. Raises HostError, and ConfigRefused if the file can't be read.
    """
    host = admin.host
    paths = await find_gguf_files(host, folders)
    server, notes = await _find_llama_server(host)
    usable = [path for path in paths if is_model_file(posixpath.basename(path))]
    try:
        document = await read_document(admin)
    except NoSuchFile:
        models, unreadable = await _size_models(host, usable, server)
        text = first_config(models, server)
        file = await plan_file(host, admin.config.path, lambda _: text, admin.clock)
        swaps = await find_programs(host, "llama-swap")
        if not models:
            notes = (*notes, "no GGUF files were found: pass their directory with --models")
        return ConfigPlan(file, None, (*notes, *unreadable), swaps[0] if swaps else "")
    named = model_files(document)
    own = [path for folder in model_folders(document) for path in await _list_models(host, folder)]
    missing = [path for path in dict.fromkeys([*usable, *own]) if path not in named]
    models, unreadable = await _size_models(host, missing, server)
    lacking = models_without_port(document)
    notes = (*(notes if missing and not document.entries else ()), *unreadable)
    if lacking:
        shown = sanitize_line(", ".join(lacking), 300)
        notes = (*notes, f"llama-swap needs ${{PORT}} in the command of {shown}")
    change = await plan_change(admin, lambda found: _extend(found, models, server))
    file = FilePlan(admin.config.path, change.reading, change.change.after)
    return ConfigPlan(file, change if file.is_change else None, notes)


async def _find_llama_server(host: Host) -> tuple[str, tuple[str, ...]]:
    """Return the program that new commands name, and a note if it isn't there yet."""
    if programs := await find_programs(host, _LLAMA_SERVER):
        return programs[0], ()
    path = await expand_home(host, LLAMA_SERVER_PATH)
    return path, (f"llama-server was not found: the commands name {path}",)


async def write_new_config(admin: HostAdmin, plan: ConfigPlan) -> None:
    """Write a config file where there is none. Raises HostError, and ConfigRefused of llama-swap."""

    async def validate(path: str) -> None:
        done = await admin.host.run((plan.validator, "-validate", "-config", path), seconds=15.0)
        words = done.stdout.decode("utf-8", "replace").strip()
        # Before v252 there is no such flag, and another exit status.
        if done.status == 1 and words.startswith("config validation failed"):
            raise ConfigRefused("llama-swap rejects the new config file", why=sanitize_line(words))

    await write_file(admin.host, plan.file, admin.clock, validate if plan.validator else None)


async def _list_models(host: Host, folder: str) -> tuple[str, ...]:
    try:
        entries = await host.list(folder)
    except HostFileError:  # it may be on a disk that isn't mounted
        return ()
    return tuple(f"{folder}/{one.name}" for one in entries if is_model_file(one.name))


def _extend(
    document: ConfigDocument, models: Sequence[NewModel], llama_server: str
) -> ConfigChange:
    """Add models to a file, and the port to the commands that lack it."""
    result = document
    while lacking := models_without_port(result):
        result = add_port(result, lacking[0])
    if not result.entries:
        if models and "models" not in result.merged.keys(result.root):
            gap = "" if not result.text or result.text.endswith("\n") else "\n"
            added = f"{result.text}{gap}{models_text(models, llama_server)}"
            result = reparse(result, added, None)
    else:
        for model in models:
            if model.id not in result.entries:
                result = _add_block(result, model, choose_template(result, ())[0])
    return ConfigChange(
        document.text, result.text, model="", flag="", old=None, new=None, where=ValueSource.KEY
    )


def _add_block(document: ConfigDocument, model: NewModel, like: str) -> ConfigDocument:
    """Add a block with the flags of another model, and the context that fits."""
    added = reparse(document, add_model(document, model.id, model.path, like=like).after, None)
    size = str(model.context_size)
    changed = change_flag(added, model.id, CONTEXT_SIZE, size, only_this_model=True)
    result = reparse(document, changed.after, None)
    if not model.purpose:
        return result
    flagged = change_flag(result, model.id, model.purpose, "", only_this_model=True)
    return reparse(document, flagged.after, None)


async def plan_model_block(
    admin: HostAdmin, path: str, *, likely: Sequence[str] = ()
) -> ChangePlan:
    """Plan a block for a model file, with the flags of another model and the context that fits.

    The other model is the first of `likely`, such as models that are known to run, else the last one.
    Raises HostError, and ConfigRefused without a config file that can be extended.
    """
    host = admin.host
    header = await read_model_header(host, path)
    server, _ = await _find_llama_server(host)
    model = _size_model(path, header, await _idle_memory(host), server)
    notes = [model.note]

    def edit(document: ConfigDocument) -> ConfigChange:
        if document.entries:
            like, own = choose_template(document, likely)
            notes.append(f"its flags are copied from {sanitize_line(like, 120)}")
            if own:
                notes.append(f"! with {', '.join(own)}, which may be specific to that model")
            after = _add_block(document, model, like).text
        else:
            after = _extend(document, [model], server).after
        return ConfigChange(
            document.text, after, model.id, "", None, path, ValueSource.KEY, added=True
        )

    plan = await plan_change(admin, edit)
    return replace(plan, notes=tuple(notes))


async def _idle_memory(host: Host) -> MemoryUsage:
    """Return the memory of a host as if nothing were loaded there."""
    return memory_usage(None, (), host=_without_llama_servers(await HostSampler(host).sample()))


async def _size_models(
    host: Host, paths: Sequence[str], llama_server: str
) -> tuple[list[NewModel], tuple[str, ...]]:
    """Return the models of files with contexts that fit, and sentences about files that can't be read."""
    if not paths:
        return [], ()
    usage = await _idle_memory(host)
    models, unreadable = [], []
    for path in paths:
        try:
            header = await read_model_header(host, path)
        except (ModelFileUnreadable, HostFileError) as error:
            unreadable.append(f"skipped {sanitize_line(path, 200)}: {error.why or error.what}")
            continue
        models.append(_size_model(path, header, usage, llama_server))
    taken: dict[str, NewModel] = {}
    for model in models:
        taken.setdefault(model.id, model)
    return list(taken.values()), tuple(unreadable)


def _size_model(path: str, header: GgufHeader, usage: MemoryUsage, llama_server: str) -> NewModel:
    """Choose the largest usual context that fits and that the model was trained for."""
    longest = header.context_length or _UNKNOWN_CONTEXT
    smallest = min(longest, USUAL_CONTEXTS[-1])
    model = NewModel(path, smallest, "", usage.on_cards, purpose_flag(header))
    profile = launch_profile(" ".join(model.command(llama_server)))

    def fit(size: int) -> FitForecast:
        return forecast_fit(usage, MemoryRecords(), profile, size, header)

    first = fit(smallest)
    where = "GPU memory" if usage.on_cards else "memory"
    if first.needed is None:
        size = min(longest, _UNKNOWN_CONTEXT)
        note = f"{where} not estimated: {first.reason or 'unknown kind of model'}"
        return replace(model, context_size=size, note=note)
    if first.verdict is FitVerdict.NO:
        note = f"does not fit into {where}: it needs {format_bytes(first.needed.needed)}"
        return replace(model, note=note, on_gpu=False)
    below = min(longest, first.largest_context or smallest)
    size = max((size for size in USUAL_CONTEXTS if size <= below), default=smallest)
    needed = fit(size).needed or first.needed
    limit = "the trained maximum" if size == longest else f"trained for {longest:,}"
    note = f"about {format_bytes(needed.needed)} of {where}; {size:,} tokens, {limit}"
    return replace(model, context_size=size, note=note)


def _without_llama_servers(sample: HostSample) -> HostSample:
    """Return a sample as if no llama-server ran: llama-swap unloads one model for another."""
    held: dict[str, int] = {}
    for use in sample.uses:
        process = sample.processes.get(use.pid)
        if process is not None and process.name.startswith(_LLAMA_SERVER):
            held[use.gpu] = held.get(use.gpu, 0) + use.used_bytes
    gpus = tuple(
        replace(gpu, used_bytes=max(0, gpu.used_bytes - held.get(gpu.key, 0)))
        if gpu.used_bytes is not None
        else gpu
        for gpu in sample.sample.gpus
    )
    return replace(sample, sample=replace(sample.sample, gpus=gpus))
