"""A machine with a real systemd, and aitui's way to the service there."""

import pytest

from aitui.host.service import SystemdService
from e2e.service.inside import Inside
from e2e.service.user_manager import UNIT, UserManager


@pytest.fixture
def machine(systemd: UserManager) -> UserManager:
    """The machine with its service as it was installed."""
    systemd.reset()
    return systemd


@pytest.fixture
def host(systemd: UserManager) -> Inside:
    """The way to the machine in a login that has a session."""
    return Inside(systemd)


@pytest.fixture
def service(machine: UserManager, host: Inside) -> SystemdService:
    """The service as it was installed, running."""
    return SystemdService(host, UNIT)


@pytest.fixture
def lonely(systemd: UserManager) -> Inside:
    """A login without a session: nothing says where its systemd is."""
    return Inside(systemd, session=False)
