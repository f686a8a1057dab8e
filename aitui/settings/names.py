"""The names that settings go by in config.toml and in the environment."""

from collections.abc import Iterable
from difflib import get_close_matches

CERTIFICATES = {"ca": "root-ca.pem", "client_cert": "client.pem", "client_key": "client-key.pem"}
"""The certificate settings, each with its file's name in `certs_dir`."""

ENDPOINTS = ("models", "running", "unload", "unload_all", "upstream_health")

IN_ENVIRONMENT = (
    "url",
    "certs_dir",
    *CERTIFICATES,
    "client_key_password",
    "api_key",
    "timeout_ms",
    "ssh_host",
    "preset_path",
    "service_unit",
    *(f"{endpoint}_path" for endpoint in ENDPOINTS),
)
OF_A_SERVER = (*IN_ENVIRONMENT, "colour", "color", "read_only")
AT_THE_TOP = ("default", "fps", "notifications", "servers")


def variable_name(setting: str) -> str:
    """The environment variable of a setting."""
    return f"AI_SERVER_{setting.upper()}"


def nearest_name(word: str, known: Iterable[str]) -> str:
    """The known word that was probably meant, empty where none is near."""
    folded = {name.casefold(): name for name in known}
    matches = get_close_matches(word.casefold().replace("-", "_"), folded, n=1, cutoff=0.6)
    return folded[matches[0]] if matches else ""
