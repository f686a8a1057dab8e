"""The first word with a host: its key may have to be trusted, and ours may have a passphrase."""

from collections.abc import Awaitable, Callable

from aitui.domain.confirmation import Confirmation
from aitui.errors import HostKeyRefused, SshKeyPassphraseNeeded
from aitui.host.ssh.host import SshHost
from aitui.services.host_admin import HostAdmin
from aitui.services.session import Ask

AskForPassphrase = Callable[[SshKeyPassphraseNeeded], Awaitable[str]]
"""Asks for the passphrase of a key; empty where nobody gives it."""


async def connect(admin: HostAdmin, ask: Ask, ask_for_passphrase: AskForPassphrase) -> None:
    """Connect where that has not been done, asking what only a person can answer.

    Raises HostKeyRefused, HostLoginRefused, HostUnreachable, with the answer no as with any other.
    """
    while True:
        try:
            await admin.host.resolve("~/")
        except HostKeyRefused as error:
            question = host_key_confirmation(error, admin.host.label)
            host = admin.host
            if not (isinstance(host, SshHost) and error.line):
                raise
            if not await ask(lambda _: question):  # noqa: B023
                raise
            await host.remember_host_key(error.line)
        except SshKeyPassphraseNeeded as error:
            passphrase = await ask_for_passphrase(error)
            if not passphrase:
                raise
            admin.passphrases[error.path] = passphrase
        else:
            return


def host_key_confirmation(error: HostKeyRefused, label: str) -> Confirmation:
    """What a person compares before a host is trusted for the first time."""
    return Confirmation(
        f"Trust {label}?",
        (
            "Its key isn't known yet:",
            f"{error.algorithm} {error.fingerprint}",
            "On that machine, ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub shows its own.",
            "Yes remembers it in known_hosts.",
        ),
        yes="Trust it",
    )
