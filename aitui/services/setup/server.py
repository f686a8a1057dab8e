"""Whether a host has what llama-swap needs, and how what is missing gets there."""

import posixpath
from collections.abc import AsyncIterator

from msgspec import Struct

from aitui.domain.checks import CheckResult, defect_check, inconclusive_check, passing_check
from aitui.domain.hardware.gpu.vendors import vendor_name
from aitui.domain.sanitize import sanitize_line
from aitui.domain.setup.programs import (
    LLAMA_SERVER_PATH,
    LLAMA_SWAP_PATH,
    RELEASES,
    llama_server_commands,
    llama_swap_commands,
)
from aitui.domain.units import count_of, join_some
from aitui.errors import HostError
from aitui.host.base import Host
from aitui.host.sampler import HostSampler
from aitui.services.setup.survey import MODEL_FOLDERS, find_gguf_files, find_programs

_GIB = 1 << 30
_INSTALL_SECONDS = 600.0
_SHOWN_FOLDERS = 3


class ServerSurvey(Struct, frozen=True):
    """What was found on a host, and the commands that install llama-swap and build llama-server.

    Commands are empty for what is there.
    """

    checks: tuple[CheckResult, ...]
    llama_swap: str = ""
    llama_server: str = ""

    @property
    def commands(self) -> str:
        """All commands."""
        return self.llama_swap + self.llama_server


async def survey_server(host: Host) -> ServerSurvey:
    """Look for programs, model files and graphics cards. Raises HostError."""
    done = await host.run(("uname", "-sm"))
    system, _, machine = done.stdout.decode("utf-8", "replace").strip().partition(" ")
    checks = [passing_check("machine", sanitize_line(f"{system} {machine}", 80))]
    swaps = await find_programs(host, "llama-swap")
    servers = await find_programs(host, "llama-server")
    cards, vendor = await _cards_check(host)
    install = "" if swaps else llama_swap_commands(system, machine)
    checks.append(
        passing_check("llama-swap", f"{swaps[0]}, {await _version(host, swaps[0], '-version')}")
        if swaps
        else defect_check(
            "llama-swap",
            "not found",
            f"aitui setup server --apply installs {LLAMA_SWAP_PATH}" if install else RELEASES,
        )
    )
    checks.append(
        passing_check(
            "llama-server", f"{servers[0]}, {await _version(host, servers[0], '--version')}"
        )
        if servers
        else defect_check(
            "llama-server", "not found", f"the commands below build {LLAMA_SERVER_PATH}"
        )
    )
    checks += (await _models_check(host), cards)
    build = "" if servers else llama_server_commands(vendor)
    return ServerSurvey(tuple(checks), install, build)


async def install_llama_swap(host: Host, survey: ServerSurvey) -> AsyncIterator[CheckResult]:
    """Run the commands that install llama-swap. Raises HostError if they fail."""
    done = await host.run(("sh", "-c", survey.llama_swap), seconds=_INSTALL_SECONDS)
    if done.status:
        raise HostError(
            "llama-swap was not installed",
            why=done.last_line,
            remedy=f"run the commands on {host.label}: aitui setup server",
        )
    found = (await find_programs(host, "llama-swap"))[:1]
    for path in found:
        yield passing_check("llama-swap", f"{path}, {await _version(host, path, '-version')}")


async def _version(host: Host, program: str, flag: str) -> str:
    done = await host.run((program, flag), seconds=10.0)
    lines = (done.stdout + done.stderr).decode("utf-8", "replace").split("\n")
    named = next((line for line in lines if line.strip().lower().startswith("version")), "")
    return sanitize_line(named, 100).strip() or "its version is unknown"


async def _models_check(host: Host) -> CheckResult:
    files = await find_gguf_files(host)
    if not files:
        usual = ", ".join(MODEL_FOLDERS[:_SHOWN_FOLDERS])
        remedy = (
            f"put GGUF files into {MODEL_FOLDERS[0]}, or pass their directory to aitui setup config"
        )
        return inconclusive_check("models", f"no GGUF files in {usual} …", remedy)
    folders = list(dict.fromkeys(map(posixpath.dirname, files)))
    where = join_some(folders, _SHOWN_FOLDERS)
    return passing_check("models", f"{count_of(len(files), 'GGUF file')} in {where}")


async def _cards_check(host: Host) -> tuple[CheckResult, str]:
    sample = await HostSampler(host).sample()
    gpus = sample.sample.gpus
    if gpus:
        shown = (f"{gpu.name or 'a card'}, {(gpu.total_bytes or 0) / _GIB:.0f} GB" for gpu in gpus)
        return passing_check("GPU", sanitize_line("; ".join(shown), 300)), vendor_name(gpus[0])
    if sample.errors:
        return defect_check("GPU", "; ".join(sample.errors), "nvidia-smi must work there"), "NVIDIA"
    return inconclusive_check("GPU", "none found: models run on the CPU"), ""
