"""The environment of a person who starts aitui, with a home of their own."""

import os
from pathlib import Path

import pytest

from aitui.domain.snapshot import Server


@pytest.fixture
def nobody(tmp_path: Path) -> dict[str, str]:
    """A fresh user on a good terminal, without settings and without servers."""
    (tmp_path / "tmp").mkdir()
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path / "home"),
        "TMPDIR": str(tmp_path / "tmp"),
        "TERM": "xterm-256color",
        "COLORTERM": "truecolor",
        "LANG": "C.UTF-8",
        "TZ": "UTC",
    }


@pytest.fixture
def environment(nobody: dict[str, str], server: Server) -> dict[str, str]:
    """The same with the stand-in as the server, over TLS with client certificates."""
    return nobody | {
        "AI_SERVER_URL": server.url,
        "AI_SERVER_CA": str(server.ca),
        "AI_SERVER_CLIENT_CERT": str(server.client_cert),
        "AI_SERVER_CLIENT_KEY": str(server.client_key),
        "AI_SERVER_SSH_HOST": "",
    }
