"""The proxy's Caddyfile: a site for llama-swap added, checked by Caddy, and taken over by it."""

import posixpath
import re
import socket

from msgspec import Struct

from aitui.domain.checks import CheckResult, defect_check, passing_check
from aitui.domain.sanitize import sanitize_line
from aitui.domain.server import LISTEN_PORT
from aitui.domain.setup.caddyfile import (
    CERTIFICATE_FILES,
    CONTAINER_FOLDER,
    caddy_block,
    find_site,
    has_site_without_braces,
    site_address,
)
from aitui.domain.setup.shell import shell_path, write_commands
from aitui.domain.snapshot import Clock, Server
from aitui.errors import ConfigRefused, HostError, NoSuchFile, SettingsError
from aitui.host.base import Host
from aitui.host.open import open_host
from aitui.host.ssh.address import SshAddress
from aitui.host.ssh.host import SshHost
from aitui.host.ssh.route import resolve_route
from aitui.services.setup.files import FilePlan, plan_file, write_file

_CONTAINER = re.compile(r"\b(?:docker|podman|nerdctl)\b")
_RELOAD_SECONDS = 60.0
_IN_FOLDER = 'cd -- "$1" && exec sh -c "$2"'


class Proxy(Struct, frozen=True):
    """Caddy's folder on its machine, and how it is made to read its files again."""

    folder: str
    reload: str
    in_container: bool

    @classmethod
    def of(cls, server: Server) -> "Proxy":
        """Return the proxy of a server's settings."""
        folder = server.proxy_dir.rstrip("/")
        in_container = _CONTAINER.search(server.proxy_reload) is not None
        return cls(folder, server.proxy_reload, in_container)

    @property
    def path(self) -> str:
        """The Caddyfile."""
        return f"{self.folder}/Caddyfile"

    @property
    def certs(self) -> str:
        """The folder of the certificates as Caddy sees it."""
        return f"{CONTAINER_FOLDER if self.in_container else self.folder}/certs"

    @property
    def mount(self) -> str:
        """The volume of a container, as a comment; "" outside of one.

        The folder is mounted, not the file: a file that is replaced stays the old one in the container.
        """
        volume = (
            f"# the container needs this volume, the whole folder: {self.folder}:{CONTAINER_FOLDER}"
        )
        return f"{volume}\n" if self.in_container else ""


class CaddyPlan(Struct, frozen=True):
    """The Caddyfile as it should be, and what was found on the way."""

    proxy: Proxy
    file: FilePlan
    findings: tuple[CheckResult, ...] = ()

    @property
    def is_ready(self) -> bool:
        """Whether the files that the site names are there."""
        return not any(check.exit_code for check in self.findings)


async def default_upstream(server: Server) -> str:
    """Return where the proxy probably finds llama-swap: on its own machine, or at `ssh_host`."""
    if server.ssh_host in {"", server.proxy_ssh_host}:
        return f"127.0.0.1:{LISTEN_PORT}"
    host = open_host(server)
    if not isinstance(host, SshHost):
        return f"{socket.gethostname()}:{LISTEN_PORT}"
    route = await resolve_route(server.ssh_host, host.ssh_config)
    is_direct = not (route.jumps or route.by_command)
    return f"{route.host if is_direct else SshAddress.read(server.ssh_host).host}:{LISTEN_PORT}"


def caddy_commands(server: Server, upstream: str, *, exists: bool = False) -> str:
    """Return the shell commands that add the site to the Caddyfile."""
    _refuse_plain_url(server)
    proxy, block = Proxy.of(server), caddy_block(server.url, upstream, Proxy.of(server).certs)
    write = write_commands(proxy.path, block, exists=exists, appends=True)
    names = ", ".join(CERTIFICATE_FILES)
    first = f"# first, copy these files of `aitui certs` to {proxy.folder}/certs: {names}\n"
    return f"{proxy.mount}{first}{write}cd {shell_path(proxy.folder)} && {proxy.reload}\n"


async def plan_caddy(host: Host, server: Server, upstream: str, clock: Clock) -> CaddyPlan:
    """Plan the site at the end of the proxy's Caddyfile; a site that is there stays. Raises HostError."""
    _refuse_plain_url(server)
    proxy = Proxy.of(server)
    address = site_address(server.url)
    block = caddy_block(server.url, upstream, proxy.certs)
    findings = []

    def edit(text: str | None) -> str:
        site = None if text is None else find_site(text, server.url)
        if text is None or not text.strip():
            return block
        if site is None and has_site_without_braces(text):
            raise ConfigRefused(
                f"{proxy.path} has a site without braces, after which no other site is allowed",
                remedy="put that site into braces first",
            )
        if site is None:
            return f"{text.rstrip()}\n\n{block}"
        if site.requires_certificates:
            findings.append(passing_check("site", f"{address} exists and requires certificates"))
        else:
            seen = f"{address} exists and accepts clients without a certificate"
            findings.append(defect_check("site", seen, "add the client_auth of the block below"))
        return text

    file = await plan_file(host, proxy.path, edit, clock)
    if file.is_change:
        findings += await _missing_files(host, proxy)
    return CaddyPlan(proxy, file, tuple(findings))


async def apply_caddy(host: Host, plan: CaddyPlan, clock: Clock) -> CheckResult:
    """Write the Caddyfile and have Caddy take it over; if it refuses, put the old one back.

    Raises HostError and ConfigRefused.
    """
    proxy = plan.proxy

    async def validate(path: str) -> None:
        command = ("caddy", "validate", "--adapter", "caddyfile", "--config", path)
        done = await host.run(command, seconds=_RELOAD_SECONDS)
        if done.status not in {0, 127}:
            raise ConfigRefused("Caddy rejects the new Caddyfile", why=done.last_line)

    await write_file(host, plan.file, clock, None if proxy.in_container else validate)
    folder = await host.resolve(posixpath.dirname(plan.file.path))
    reload = ("sh", "-c", _IN_FOLDER, "sh", folder, proxy.reload)
    done = await host.run(reload, seconds=_RELOAD_SECONDS)
    if not done.status:
        return passing_check("caddy", f"wrote {plan.file.path} and reloaded Caddy")
    await _put_back(host, plan, clock)
    raise HostError(
        "Caddy could not load the new Caddyfile: the old one was restored",
        why=done.last_line,
        remedy=f"set proxy_reload; in {proxy.folder} this failed: {sanitize_line(proxy.reload, 200)}",
    )


async def _put_back(host: Host, plan: CaddyPlan, clock: Clock) -> None:
    if plan.file.before is None:
        await host.remove(plan.file.path)
        return
    back = await plan_file(host, plan.file.path, lambda _: plan.file.text_before, clock)
    await write_file(host, back, clock)


async def _missing_files(host: Host, proxy: Proxy) -> list[CheckResult]:
    missing = []
    for name in CERTIFICATE_FILES:
        try:
            await host.facts(f"{proxy.folder}/certs/{name}")
        except NoSuchFile:
            missing.append(name)
    if not missing:
        return []
    seen = f"{', '.join(missing)} missing in {proxy.folder}/certs"
    return [defect_check("certificates", seen, "create them with aitui certs, and copy them there")]


def _refuse_plain_url(server: Server) -> None:
    if not server.url.startswith("https:"):
        raise SettingsError(
            f"{server.url} is not behind a proxy that requires certificates",
            remedy="pass the URL of the proxy, like --url https://ai.example.org",
        )
