"""One server, out of its values as they were written."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from aitui.domain.server import Endpoints, Server
from aitui.settings.address import ServerAddress
from aitui.settings.given import RawValue
from aitui.settings.names import CERTIFICATES
from aitui.settings.values import (
    read_api_key,
    read_bool,
    read_color,
    read_endpoint,
    read_file_path,
    read_password,
    read_service_unit,
    read_ssh_host,
    read_text,
    read_timeout,
)

DEFAULT_URL = "https://ai.shahondin1624.de"

_CERTS_DIR = ".pi/agent/certs"
_SSH_HOST = "ai-server@192.168.2.3"
_PLAIN = Server(url="", identity="")
_T = TypeVar("_T")


def build_server(
    given: Mapping[str, RawValue],
    address: ServerAddress,
    *,
    home: Path,
    name: str = "",
    read_only: bool = False,
) -> Server:
    """The server at `address`; the defaults of certificates and SSH host hold at DEFAULT_URL only.

    `read_only` is what the command line says, whatever else is `given`. Raises SettingsError.
    """
    is_default = not name and address.url == DEFAULT_URL
    values = _ServerSettingsReader(given, home)
    files = values.certificates(home / _CERTS_DIR if is_default else None)
    if "client_key" in given and "client_cert" not in files:
        raise given["client_key"].error("a client_cert beside it")
    if not address.uses_tls:
        files = {}
    if read_only:
        values.origins["read_only"] = "flag --read-only"
    return Server(
        url=address.url,
        identity=name or address.url,
        name=name,
        is_default=is_default,
        basic_auth=address.user_info,
        ca=files.get("ca"),
        client_cert=files.get("client_cert"),
        client_key=files.get("client_key"),
        client_key_password=values.read("client_key_password", read_password, None),
        api_key=values.read("api_key", read_api_key, None),
        timeout=values.read("timeout_ms", read_timeout, _PLAIN.timeout, field="timeout"),
        ssh_host=values.read("ssh_host", read_ssh_host, _SSH_HOST if is_default else ""),
        preset_path=values.read("preset_path", _read_preset_path, _PLAIN.preset_path),
        service_unit=values.read("service_unit", read_service_unit, _PLAIN.service_unit),
        endpoints=values.endpoints(),
        color=values.read("colour", read_color, _PLAIN.color),
        read_only=read_only or values.read("read_only", read_bool, _PLAIN.read_only),
        origins=values.origins,
    )


class _ServerSettingsReader:
    """Reads the values of one server, and notes where each came from."""

    def __init__(self, given: Mapping[str, RawValue], home: Path) -> None:
        self._raw_values = given
        self._home = home
        self.origins = {"url": given["url"].origin if "url" in given else "default"}

    def read(
        self, setting: str, reader: Callable[[RawValue], _T], default: _T, *, field: str = ""
    ) -> _T:
        given = self._raw_values.get(setting)
        self.origins[field or setting] = "default" if given is None else given.origin
        return default if given is None else reader(given)

    def certificates(self, default_folder: Path | None) -> dict[str, Path]:
        """The certificate files that are set, one by one or by their folder."""
        folder, of_folder = default_folder, "default"
        if (certs_dir := self._raw_values.get("certs_dir")) is not None:
            folder, of_folder = read_file_path(certs_dir, self._home), certs_dir.origin
        files = {}
        for setting, file_name in CERTIFICATES.items():
            given = self._raw_values.get(setting)
            self.origins[setting] = of_folder if given is None else given.origin
            if given is not None:
                files[setting] = read_file_path(given, self._home)
            elif folder is not None:
                files[setting] = folder / file_name
        return files

    def endpoints(self) -> Endpoints:
        plain = _PLAIN.endpoints
        return Endpoints(
            models=self._endpoint("models_path", plain.models),
            running=self._endpoint("running_path", plain.running),
            unload=self._endpoint("unload_path", plain.unload),
            unload_all=self._endpoint("unload_all_path", plain.unload_all),
            upstream_health=self._endpoint("upstream_health_path", plain.upstream_health),
        )

    def _endpoint(self, setting: str, default: str) -> str:
        return self.read(
            setting,
            lambda given: read_endpoint(given, of_model="<id>" in default, example=default),
            default,
        )


def _read_preset_path(given: RawValue) -> str:
    """A path on the server's host: `~` is expanded there, not here."""
    return read_text(given, _PLAIN.preset_path)
