"""The way to the machine over SSH: name, port, host key, login, file transfer."""

from collections.abc import AsyncIterator

from aitui.commands.doctor.host_found import HostFound
from aitui.domain.checks import Check, failed, left_open, passed
from aitui.domain.clean import clean_line
from aitui.errors import AituiError, HostError, HostKeyRefused, HostLoginRefused
from aitui.host.ssh import SshHost
from aitui.host.ssh_way import SshWay, addresses_of, find_way, greeting

CONFIG = "SSH config"
NAME = "SSH host name"
PORT = "SSH port"
HOST_KEY = "SSH host key"
LOGIN = "SSH login"
FILES = "SFTP"

_GREETS_WITHIN = 10.0


async def ssh_checks(address: str, host: SshHost, found: HostFound) -> AsyncIterator[Check]:
    """From the SSH config to the first answer about a file; what fails is set in `found`."""
    try:
        async with found.in_time():
            way = await find_way(address, host.place)
    except AituiError as error:
        found.blocked = error.what
        yield failed(CONFIG, error)
        for check in found.not_tried(NAME, PORT, HOST_KEY, LOGIN, FILES):
            yield check
        return
    yield passed(CONFIG, _way_words(address, way))
    async for check in _network_checks(way, found):
        yield check
    if found.blocked:
        for check in found.not_tried(HOST_KEY, LOGIN, FILES):
            yield check
        return
    async for check in _login_checks(way, host, found):
        yield check


async def _network_checks(way: SshWay, found: HostFound) -> AsyncIterator[Check]:
    if way.by_command:
        for check in found.not_tried(NAME, PORT, why="a ProxyCommand of ~/.ssh/config connects"):
            yield check
        return
    try:
        async with found.in_time():
            addresses = await addresses_of(way)
    except AituiError as error:
        found.blocked = error.what
        yield failed(NAME, error)
        yield next(found.not_tried(PORT))
        return
    yield passed(NAME, f"{way.host} is {', '.join(addresses)}")
    try:
        hello = await greeting(way, min(_GREETS_WITHIN, found.seconds))
    except AituiError as error:
        found.blocked = error.what
        yield failed(PORT, error)
    else:
        yield passed(PORT, f"{way.host} port {way.port} answers {hello}")


async def _login_checks(way: SshWay, host: SshHost, found: HostFound) -> AsyncIterator[Check]:
    tried = _tried_words(way)
    try:
        async with found.in_time():
            key = await host.host_key()
    except HostKeyRefused as error:
        found.blocked = error.what
        yield _key_refused(error, host.label)
        for check in found.not_tried(LOGIN, FILES):
            yield check
        return
    except HostLoginRefused as error:
        found.blocked = error.what
        yield passed(HOST_KEY, "it is known")
        refused = failed(LOGIN, error)
        yield Check(LOGIN, refused.status, f"{refused.seen}; {tried}", refused.remedy, 4)
    except AituiError as error:
        found.blocked = error.what
        yield left_open(HOST_KEY, "not known: the connection did not get that far")
        yield failed(LOGIN, error)
    else:
        yield passed(HOST_KEY, f"known: {key}")
        yield passed(LOGIN, f"logged in to {way.label}; {tried}", _locked_remedy(way))
        yield await _files(host, found)
        return
    yield next(found.not_tried(FILES))


async def _files(host: SshHost, found: HostFound) -> Check:
    try:
        async with found.in_time():
            home = await host.resolve("~/")
    except HostError as error:
        found.blocked = error.what
        return failed(FILES, error)
    return passed(FILES, f"it works; the login's folder is {clean_line(home, 300)}")


def _key_refused(error: HostKeyRefused, label: str) -> Check:
    check = failed(HOST_KEY, error)
    if not error.line:
        return check
    # The dashboard asks; a check-up remembers nothing.
    own = "ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub"
    remedy = f"compare it with what {own} says there; then ssh {label} remembers it"
    return Check(HOST_KEY, check.status, check.seen, remedy, check.exit_code)


def _way_words(address: str, way: SshWay) -> str:
    over = f", over {', '.join(way.jumps)}" if way.jumps else ""
    return f"{clean_line(address, 100)} is {way.label}{over}"


def _tried_words(way: SshWay) -> str:
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


def _locked_remedy(way: SshWay) -> str:
    return f"ssh-add {way.locked[0]}, if that one is to be used" if way.locked else ""
