"""The settings in force, each with its origin."""

from pathlib import Path

from aitui.domain.checks import CheckStatus
from aitui.settings import Settings, SettingsFlags, read_settings
from services.doctor.examined import examined

DEAD = "http://127.0.0.1:9"


def read(tmp_path: Path, environment: dict[str, str], config: str = "", **flags: str) -> Settings:
    if config:
        (tmp_path / "config.toml").write_text(config)
    return read_settings(SettingsFlags(**flags), environment, tmp_path, tmp_path)  # type: ignore[arg-type]


async def test_a_value_from_the_environment_is_shown_with_its_variable(tmp_path: Path) -> None:
    report = await examined(read(tmp_path, {"AI_SERVER_URL": DEAD, "AI_SERVER_TIMEOUT_MS": "7000"}))
    assert report["setting timeout"].seen == "7 s (environment AI_SERVER_TIMEOUT_MS)"
    assert report["setting url"].seen == f"{DEAD} (environment AI_SERVER_URL)"


async def test_a_value_of_config_toml_is_shown_with_its_table(tmp_path: Path) -> None:
    config = f'[servers.home]\nurl = "{DEAD}"\nread_only = true\n'
    report = await examined(read(tmp_path, {}, config, server="home"))
    assert report["settings"].seen == "server “home” (flag --server)"
    assert report["config.toml"].seen == str(tmp_path / "config.toml")
    assert report["setting read_only"].seen == "yes (config.toml [servers.home])"


async def test_what_nobody_set_is_one_line(tmp_path: Path) -> None:
    report = await examined(read(tmp_path, {"AI_SERVER_URL": DEAD}))
    assert "timeout 300 s" in report["settings left at default"].seen
    assert "setting timeout" not in report
    assert report.status("config.toml") is CheckStatus.OPEN


async def test_a_key_is_named_and_not_shown(tmp_path: Path) -> None:
    report = await examined(read(tmp_path, {"AI_SERVER_URL": DEAD, "AI_SERVER_API_KEY": "abc123"}))
    assert report["setting api_key"].seen == "set, not shown (environment AI_SERVER_API_KEY)"


async def test_variables_that_have_no_effect_are_named(tmp_path: Path) -> None:
    config = f'default = "home"\n[servers.home]\nurl = "{DEAD}"\n'
    report = await examined(read(tmp_path, {"AI_SERVER_API_KEY": "abc123"}, config))
    assert report["variables"].seen.endswith("unnamed server: AI_SERVER_API_KEY")
    assert "abc123" not in report["variables"].seen
    assert "variables" not in await examined(read(tmp_path, {"AI_SERVER_URL": DEAD}, config))
