"""The settings in force, and where each comes from."""

from collections.abc import Iterator

from aitui.domain.checks import CheckResult, inconclusive_check, passing_check
from aitui.domain.server import Server
from aitui.settings import Settings
from aitui.settings.address import without_user_info

_DEFAULT = "default"
_SET = "set, not shown"
_BY_HAND = "chosen in the dashboard"


def setting_checks(settings: Settings) -> Iterator[CheckResult]:
    """One check for each value that somebody set, and one for all that are left at their default."""
    server = settings.server
    named = f"server “{server.name}”" if server.name else "the unnamed server"
    config = settings.config_file
    yield passing_check("settings", f"{named} ({settings.origins.get('server', _BY_HAND)})")
    yield (
        passing_check("config.toml", str(config))
        if config
        else inconclusive_check("config.toml", "there is none")
    )
    defaults: list[str] = []
    for name, value in _setting_values(server):
        origin = server.origins.get(name, _DEFAULT)
        if origin == _DEFAULT and name != "url":
            defaults.append(f"{name} {value}")
        else:
            yield passing_check(f"setting {name}", f"{value} ({origin})")
    if server.basic_auth is not None:
        origin = server.origins.get("url", _DEFAULT)
        yield passing_check("setting user and password of the url", f"{_SET} ({origin})")
    fps = settings.origins.get("fps", _DEFAULT)
    if fps == _DEFAULT:
        defaults.append(f"fps {settings.fps}")
    else:
        yield passing_check("setting fps", f"{settings.fps} ({fps})")
    yield passing_check("settings left at default", ", ".join(defaults))


def _setting_values(server: Server) -> Iterator[tuple[str, str]]:
    yield "url", without_user_info(server.url)
    for name in ("ca", "client_cert", "client_key"):
        path = getattr(server, name)
        yield name, str(path) if path is not None else "none"
    yield "client_key_password", "none" if server.client_key_password is None else _SET
    yield "api_key", "none" if server.api_key is None else _SET
    yield "timeout", f"{server.timeout:g} s"
    yield "ssh_host", server.ssh_host or "none"
    yield "preset_path", server.preset_path
    yield "service_unit", server.service_unit
    for name in ("models", "running", "unload", "unload_all", "upstream_health"):
        setting = f"{name}_path"
        if server.origins.get(setting, _DEFAULT) != _DEFAULT:
            yield setting, str(getattr(server.endpoints, name))
    yield "colour", server.color or "none"
    yield "read_only", "yes" if server.read_only else "no"
