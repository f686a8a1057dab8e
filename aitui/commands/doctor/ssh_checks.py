"""The way to the machine over SSH: name, port, host key, login, file transfer."""

from collections.abc import AsyncIterator

from aitui.commands.doctor.host_found import HostFindings
from aitui.domain.checks import CheckResult, failing_check, inconclusive_check, passing_check
from aitui.domain.clean import sanitize_line
from aitui.errors import AituiError, HostError, HostKeyRefused, HostLoginRefused
from aitui.host.ssh import SshHost
from aitui.host.ssh_way import SshRoute, fetch_greeting, resolve_addresses, resolve_route

CONFIG = "SSH config"
NAME = "SSH host name"
PORT = "SSH port"
HOST_KEY = "SSH host key"
LOGIN = "SSH login"
FILES = "SFTP"

_GREETING_SECONDS = 10.0


async def ssh_checks(
    address: str, host: SshHost, found: HostFindings
) -> AsyncIterator[CheckResult]:
    """From the SSH config to the first answer about a file; what fails is set in `found`."""
    try:
        async with found.time_limit():
            way = await resolve_route(address, host.ssh_config)
    except AituiError as error:
        found.blocked = error.what
        yield failing_check(CONFIG, error)
        for check in found.inconclusive_checks(NAME, PORT, HOST_KEY, LOGIN, FILES):
            yield check
        return
    yield passing_check(CONFIG, _describe_route(address, way))
    async for check in _network_checks(way, found):
        yield check
    if found.blocked:
        for check in found.inconclusive_checks(HOST_KEY, LOGIN, FILES):
            yield check
        return
    async for check in _login_checks(way, host, found):
        yield check


async def _network_checks(way: SshRoute, found: HostFindings) -> AsyncIterator[CheckResult]:
    if way.by_command:
        for check in found.inconclusive_checks(
            NAME, PORT, why="a ProxyCommand of ~/.ssh/config connects"
        ):
            yield check
        return
    try:
        async with found.time_limit():
            addresses = await resolve_addresses(way)
    except AituiError as error:
        found.blocked = error.what
        yield failing_check(NAME, error)
        yield next(found.inconclusive_checks(PORT))
        return
    yield passing_check(NAME, f"{way.host} is {', '.join(addresses)}")
    try:
        hello = await fetch_greeting(way, min(_GREETING_SECONDS, found.seconds))
    except AituiError as error:
        found.blocked = error.what
        yield failing_check(PORT, error)
    else:
        yield passing_check(PORT, f"{way.host} port {way.port} answers {hello}")


async def _login_checks(
    way: SshRoute, host: SshHost, found: HostFindings
) -> AsyncIterator[CheckResult]:
    tried = _describe_keys(way)
    try:
        async with found.time_limit():
            key = await host.host_key()
    except HostKeyRefused as error:
        found.blocked = error.what
        yield _host_key_failure(error, host.label)
        for check in found.inconclusive_checks(LOGIN, FILES):
            yield check
        return
    except HostLoginRefused as error:
        found.blocked = error.what
        yield passing_check(HOST_KEY, "it is known")
        refused = failing_check(LOGIN, error)
        yield CheckResult(LOGIN, refused.status, f"{refused.seen}; {tried}", refused.remedy, 4)
    except AituiError as error:
        found.blocked = error.what
        yield inconclusive_check(HOST_KEY, "not known: the connection did not get that far")
        yield failing_check(LOGIN, error)
    else:
        yield passing_check(HOST_KEY, f"known: {key}")
        yield passing_check(LOGIN, f"logged in to {way.label}; {tried}", _passphrase_remedy(way))
        yield await _sftp_check(host, found)
        return
    yield next(found.inconclusive_checks(FILES))


async def _sftp_check(host: SshHost, found: HostFindings) -> CheckResult:
    try:
        async with found.time_limit():
            home = await host.resolve("~/")
    except HostError as error:
        found.blocked = error.what
        return failing_check(FILES, error)
    return passing_check(FILES, f"it works; the login's folder is {sanitize_line(home, 300)}")


def _host_key_failure(error: HostKeyRefused, label: str) -> CheckResult:
    check = failing_check(HOST_KEY, error)
    if not error.line:
        return check
    # The dashboard asks; a check-up remembers nothing.
    own = "ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub"
    remedy = f"compare it with what {own} says there; then ssh {label} remembers it"
    return CheckResult(HOST_KEY, check.status, check.seen, remedy, check.exit_code)


def _describe_route(address: str, way: SshRoute) -> str:
    over = f", over {', '.join(way.jumps)}" if way.jumps else ""
    return f"{sanitize_line(address, 100)} is {way.label}{over}"


def _describe_keys(way: SshRoute) -> str:
    words = [f"keys tried: {', '.join(way.keys) or 'no file'}"]
    if way.locked:
        words.append(f"not tried, since they want a passphrase: {', '.join(way.locked)}")
    if not way.agent:
        words.append("no agent")
    elif way.agent_keys is None:
        words.append(f"the agent {way.agent} does not answer")
    else:
        words.append(f"an agent with {way.agent_keys} {'key' if way.agent_keys == 1 else 'keys'}")
    return "; ".join(words)


def _passphrase_remedy(way: SshRoute) -> str:
    return f"ssh-add {way.locked[0]}, if that one is to be used" if way.locked else ""
