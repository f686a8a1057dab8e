"""The builds of llama-swap that are installed one after the other on a machine with systemd."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aitui.demo.dialect import Dialect
from e2e.deployment.deployment import Deployment
from e2e.service.user_manager import UserManager


@pytest.fixture(
    params=[
        pytest.param(Dialect.V218, marks=pytest.mark.deployment),
        pytest.param(Dialect.HEAD, marks=pytest.mark.deployment),
        Dialect.V263,
    ],
    ids=lambda dialect: dialect.value,
)
async def deployment(
    request: pytest.FixtureRequest, systemd: UserManager, tmp_path: Path
) -> AsyncIterator[Deployment]:
    """One of the builds, with nothing running and nothing known."""
    deployed = Deployment(systemd, request.param, tmp_path / "home")
    await deployed.install()
    yield deployed
    await deployed.aclose()
