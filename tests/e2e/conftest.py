"""A machine with a real systemd and a real sshd."""

from collections.abc import Iterator

import pytest

from e2e.service.user_manager import UserManager, user_manager


@pytest.fixture(scope="session")
def systemd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UserManager]:
    """One for all tests of a worker; units other than llama-swap's are each test's own."""
    with user_manager(tmp_path_factory.mktemp("systemd") / "machine") as machine:
        yield machine
