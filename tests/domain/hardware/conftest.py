"""This machine, directly and over a real sshd."""

from host.conftest import host, sshd

__all__ = ["host", "sshd"]
