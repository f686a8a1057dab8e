"""What a machine, its network, its disk and its systemd can do to one step over SSH."""

import asyncio
import socket
from typing import Any

from asyncssh import SFTPFailure, SFTPNoSuchFile, SFTPPermissionDenied

from aitui.demo.shell_commands import ShellResult
from faults.host_gateway import Step

FOREIGN = "# written by another program\nmodels: {}\n"
_NOISE = "".join(map(chr, range(0x80, 0x180))) + "\x1b]0;owned\x07[@click=app.quit]\u202e[/]\x00"


async def refused(step: Step) -> Any:
    """Break the connection, and close the port."""
    await step.gateway.refuse()
    await step.hold()


async def login_refused(step: Step) -> Any:
    """Break the connection, and don't accept the key any more."""
    await step.gateway.change_keys(host=False)
    await step.hold()


async def host_key_changed(step: Step) -> Any:
    """Break the connection, and have another host key."""
    await step.gateway.change_keys(host=True)
    await step.hold()


async def not_ssh(step: Step) -> Any:
    """Break the connection, and greet new ones as a web server does."""

    async def greet(caller: socket.socket) -> None:
        caller.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n" + bytes(range(256)))

    await step.gateway.greet(greet)
    await step.hold()


async def endless_greeting(step: Step) -> Any:
    """Break the connection, and send lines to new ones for as long as they are read."""
    import asyncio

    async def greet(caller: socket.socket) -> None:
        caller.setblocking(False)
        for _ in range(1 << 20):
            await asyncio.get_running_loop().sock_sendall(caller, b"x" * 200 + b"\r\n")

    await step.gateway.greet(greet)
    await step.hold()


async def silent_network(step: Step) -> Any:
    """Break the connection, accept new ones, and never say anything."""

    async def greet(_: socket.socket) -> None:
        await step.gateway.hold()

    await step.gateway.greet(greet)
    await step.hold()


async def dropped_before(step: Step) -> Any:
    """Break the connection before the step is done."""
    await step.gateway.drop()
    if step.line == "connect":
        raise SFTPFailure("it is not accepted")
    await step.hold()


async def dropped_halfway(step: Step) -> Any:
    """Break the connection after half of it was done, or half of its output was sent."""
    if step.process is not None:
        reply: ShellResult = await step.perform()
        step.process.stdout.write(reply.stdout[: len(reply.stdout) // 2].encode())
    elif step.perform_half is not None:
        await step.perform_half()
    await step.gateway.drop()
    await step.hold()


async def dropped_after(step: Step) -> Any:
    """Do it, and break the connection before it can be said."""
    await step.perform()
    await step.gateway.drop()
    await step.hold()


async def silent(step: Step) -> Any:
    """Never do it, and never answer."""
    await step.hold()


async def endless(step: Step) -> Any:
    """Answer with output, or a file, that doesn't end."""
    if step.process is None:
        return b"x" * (1 << 16)
    try:
        while True:
            step.process.stdout.write(b"endless " * 4096)
            await step.process.stdout.drain()
            # 1.6 MB a second without end is as endless as what a processor can make, for a fifth of it.
            await asyncio.sleep(0.02)
    except (BrokenPipeError, ConnectionError):
        return ShellResult()


async def garbage(step: Step) -> Any:
    """Answer with noise, status 0."""
    if step.process is not None:
        return ShellResult(0, _NOISE, _NOISE)
    return bytes(byte ^ 0xA5 for byte in await step.perform())


async def hostile_error(step: Step) -> Any:
    """Fail with a message that has escape sequences and markup."""
    if step.process is not None:
        return ShellResult(1, "", _NOISE)
    raise SFTPFailure(_NOISE.replace("\x00", ""))


async def denied(step: Step) -> Any:
    """Have no permission."""
    if step.process is not None:
        return ShellResult(126, "", "sh: 1: exec: Permission denied\n")
    raise SFTPPermissionDenied("Permission denied")


async def full(step: Step) -> Any:
    """Have no room on the disk, which OpenSSH reports as a bare failure."""
    step.gateway.is_full = True
    if step.process is not None:
        return ShellResult(1, "", "sh: 1: write error: No space left on device\n")
    raise SFTPFailure("Failure")


async def replaced(step: Step) -> Any:
    """Let another program write the file, just before the step."""
    step.gateway.file.write_text(FOREIGN)
    return await step.perform()


async def gone(step: Step) -> Any:
    """Let another program remove the file, just before the step."""
    step.gateway.file.unlink(missing_ok=True)
    if step.line.startswith(("read", "open")):
        raise SFTPNoSuchFile("No such file or directory")
    return await step.perform()


async def missing_program(step: Step) -> Any:
    """Have no such program."""
    return ShellResult(127, "", "sh: 1: exec: not found\n")


async def does_not_start(step: Step) -> Any:
    """Do it while the unit can't start."""
    text = step.gateway.file.read_text()
    step.gateway.file.write_text("models: [")
    try:
        return await step.perform()
    finally:
        step.gateway.file.write_text(text)
