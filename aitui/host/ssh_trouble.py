"""What can go wrong with an SSH connection, by name."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import asyncssh

from aitui.domain.clean import sanitize_line
from aitui.errors import (
    HostError,
    HostKeyRefused,
    HostLoginRefused,
    HostTimedOut,
    HostUnreachable,
    SshKeyPassphraseNeeded,
)
from aitui.host.ssh_place import SshKeys, SshTarget


def login_refused_error(target: SshTarget, keys: SshKeys) -> HostLoginRefused:
    """None of the keys was accepted; one whose passphrase is missing may be the right one."""
    for paths, why in (
        (keys.wrong, "the passphrase is wrong"),
        (keys.locked, "it is encrypted, and no other key was accepted"),
    ):
        if paths:
            path = sanitize_line(str(paths[0]), 300)
            return SshKeyPassphraseNeeded(
                f"The SSH key {path} needs its passphrase to log in to {target.label}",
                path=str(paths[0]),
                why=why,
                remedy=f"give it when asked, or: ssh-add {path}",
            )
    return HostLoginRefused(
        f"{target.label} accepts none of your SSH keys",
        why=f"{len(keys.usable)} keys of files were offered"
        + (", and those of the agent" if target.agent else "; there is no agent"),
        remedy=f"ssh-copy-id -p {target.port} {target.label}",
    )


def too_many_keys_error(target: SshTarget) -> HostLoginRefused:
    """The machine gave up before the right key had its turn."""
    return HostLoginRefused(
        f"{target.label} was offered too many keys",
        why="it ended the login before all of them were tried",
        remedy="in ~/.ssh/config, under its Host: IdentityFile KEY and IdentitiesOnly yes",
    )


@contextmanager
def translate_connection_errors(where: str) -> Iterator[None]:
    """Turn what happens to a connection, or on its way, into HostError. `where` is its label."""
    try:
        yield
    except socket.gaierror as error:
        raise HostUnreachable(
            f"There is no machine called {where}",
            why=_shorten(error.strerror or str(error)),
            remedy="check ssh_host in config.toml, or HostName in ~/.ssh/config",
        ) from error
    except TimeoutError as error:
        raise HostTimedOut(
            f"{where} does not answer",
            why="the connection took too long",
            remedy="is it switched on, and is the way there open?",
        ) from error
    except ConnectionRefusedError as error:
        raise HostUnreachable(
            f"{where} refuses the connection",
            why="nothing listens at that port",
            remedy="does sshd run there, and at this port?",
        ) from error
    except asyncssh.ChannelOpenError as error:
        raise HostUnreachable(
            f"The way to {where} is closed", why=_shorten(error.reason)
        ) from error
    except (asyncssh.DisconnectError, asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection) as e:
        raise HostUnreachable(f"The connection to {where} was lost", why=_shorten(e.reason)) from e
    except (OSError, EOFError) as error:
        raise HostUnreachable(
            f"{where} can't be reached", why=_shorten(getattr(error, "strerror", "") or str(error))
        ) from error
    except (asyncssh.Error, ValueError) as error:
        raise HostError(f"SSH to {where} does not work", why=_shorten(str(error))) from error


def host_key_refused_error(target: SshTarget, reason: str) -> HostKeyRefused:
    """A host key that asyncssh refused by itself: revoked, or a certificate that doesn't hold."""
    return HostKeyRefused(
        f"The host key of {target.label} is not accepted",
        algorithm="",
        fingerprint="",
        why=_shorten(reason),
        remedy="ask whoever runs that machine",
    )


def _shorten(words: str) -> str:
    return sanitize_line(words, 300)
