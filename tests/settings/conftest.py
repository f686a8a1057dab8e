"""Settings of a user whose home is /home/ada and whose config.toml is what a test writes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from aitui.errors import SettingsError
from aitui.settings import Settings, SettingsFlags, read_settings

HOME = Path("/home/ada")

Read = Callable[..., Settings]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Read settings: `config` is the text of config.toml, `env` the environment."""

    def read_with(
        flags: SettingsFlags | None = None,
        *,
        env: dict[str, str] | None = None,
        config: str | None = None,
    ) -> Settings:
        if config is not None:
            (tmp_path / "config.toml").write_text(config, encoding="utf-8")
        return read_settings(flags or SettingsFlags(), env or {}, tmp_path, HOME)

    return read_with


@pytest.fixture
def wrong(read: Read) -> Callable[..., str]:
    """Read settings that can't be used, and return what is said about it."""

    def read_wrong(
        flags: SettingsFlags | None = None,
        *,
        env: dict[str, str] | None = None,
        config: str | None = None,
    ) -> str:
        with pytest.raises(SettingsError) as caught:
            read(flags, env=env, config=config)
        return str(caught.value)

    return read_wrong
