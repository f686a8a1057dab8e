"""Each setting of a server: what it accepts, and what is said about the rest."""

from collections.abc import Callable
from pathlib import Path

import pytest

from aitui.errors import SettingsError
from aitui.settings import Settings, SettingsFlags

Read = Callable[..., Settings]
Wrong = Callable[..., str]

HOME = Path("/home/ada")


def test_every_variable_of_the_environment_is_read(read: Read) -> None:
    env = {
        "AI_SERVER_URL": "https://ai.example.org",
        "AI_SERVER_CERTS_DIR": "/certs",
        "AI_SERVER_CA": "/other/ca.pem",
        "AI_SERVER_CLIENT_CERT": "~/me.pem",
        "AI_SERVER_CLIENT_KEY_PASSWORD": " blanks stay ",
        "AI_SERVER_API_KEY": "sk-1",
        "AI_SERVER_TIMEOUT_MS": "1500",
        "AI_SERVER_SSH_HOST": "me@host:2222",
        "AI_SERVER_PRESET_PATH": "/etc/llama-swap.yaml",
        "AI_SERVER_SERVICE_UNIT": "swap@1.service",
        "AI_SERVER_PROXY_SSH_HOST": "root@proxy",
        "AI_SERVER_PROXY_DIR": "~/caddy",
        "AI_SERVER_PROXY_RELOAD": "docker compose exec -T caddy caddy reload",
        "AI_SERVER_MODELS_PATH": "/m",
        "AI_SERVER_RUNNING_PATH": "/r",
        "AI_SERVER_UNLOAD_PATH": "/u/<id>",
        "AI_SERVER_UNLOAD_ALL_PATH": "/u",
        "AI_SERVER_UPSTREAM_HEALTH_PATH": "/h/<id>",
    }
    server = read(env=env).server
    assert server.certificate_files == (
        ("certificate authority", Path("/other/ca.pem")),
        ("client certificate", HOME / "me.pem"),
        ("client key", Path("/certs/client-key.pem")),
    )
    assert (server.client_key_password, server.api_key) == (" blanks stay ", "sk-1")
    assert (server.timeout, server.ssh_host) == (1.5, "me@host:2222")
    assert (server.preset_path, server.service_unit) == ("/etc/llama-swap.yaml", "swap@1.service")
    assert (server.proxy_ssh_host, server.proxy_dir) == ("root@proxy", "~/caddy")
    assert server.proxy_reload == "docker compose exec -T caddy caddy reload"
    paths = server.endpoints
    assert (paths.models, paths.running, paths.unload) == ("/m", "/r", "/u/<id>")
    assert (paths.unload_all, paths.upstream_health) == ("/u", "/h/<id>")


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"AI_SERVER_USERNAME": "fox", "AI_SERVER_PASSWORD": " o:w l "}, ("fox", " o:w l ")),
        ({"AI_SERVER_USERNAME": "fox"}, ("fox", "")),
        ({"AI_SERVER_PASSWORD": "owl"}, ("", "owl")),
        ({}, ("me", "of-the-url")),
    ],
)
def test_user_and_password_hold_before_those_of_the_url(
    read: Read, env: dict[str, str], expected: tuple[str, str]
) -> None:
    server = read(env={"AI_SERVER_URL": "http://me:of-the-url@host", **env}).server
    assert server.basic_auth == expected
    assert expected[1] not in repr(server) or not expected[1]


def test_a_user_ends_at_a_colon(read: Read) -> None:
    with pytest.raises(SettingsError, match="a name without a colon"):
        read(env={"AI_SERVER_USERNAME": "fox:owl"})


def test_every_value_has_its_origin(read: Read) -> None:
    env = {"AI_SERVER_CERTS_DIR": "/certs", "AI_SERVER_CA": "/ca", "AI_SERVER_TIMEOUT_MS": "1"}
    origins = read(env=env).server.origins
    assert origins["ca"] == "environment AI_SERVER_CA"
    assert origins["client_cert"] == "environment AI_SERVER_CERTS_DIR"
    assert origins["timeout"] == "environment AI_SERVER_TIMEOUT_MS"
    assert origins["models_path"] == "default"


def test_an_empty_variable_counts_as_unset(read: Read) -> None:
    server = read(env={"AI_SERVER_TIMEOUT_MS": "", "AI_SERVER_CA": ""}).server
    assert set(server.origins.values()) == {"default"}


def test_an_empty_ssh_host_means_none(read: Read) -> None:
    assert read(env={"AI_SERVER_SSH_HOST": ""}).server.ssh_host == ""


def test_a_variable_that_is_none_of_ours_is_left_alone(read: Read) -> None:
    assert read(env={"AI_SERVER_TEMPERATURE": "warm"}).origins["server"] == "default"


def test_a_wrong_value_is_named_with_its_origin_and_what_would_be_right(wrong: Wrong) -> None:
    assert wrong(env={"AI_SERVER_TIMEOUT_MS": "abc"}) == (
        "AI_SERVER_TIMEOUT_MS=abc (environment): "
        "expected a whole number of milliseconds, like 300000"
    )


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "nan", "inf", "1e3", "٣", "1_000", "9" * 5000])
def test_a_timeout_is_a_positive_whole_number(wrong: Wrong, text: str) -> None:
    assert "milliseconds" in wrong(env={"AI_SERVER_TIMEOUT_MS": text})


@pytest.mark.parametrize(
    "text",
    [
        "tower",
        "me@tower",
        "me@tower:2222",
        "me@192.168.2.3",
        "[::1]:22",
        "me@[fe80::1%eth0]",
        "local",
    ],
)
def test_an_ssh_host_has_these_forms(read: Read, text: str) -> None:
    assert read(env={"AI_SERVER_SSH_HOST": text}).server.ssh_host == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("me@", "user@host"),
        ("@tower", "user@host"),
        ("-oProxyCommand=x", "user@host"),
        ("me@-x", "user@host"),
        ("two words", "user@host"),
        ("tower:0", "a port"),
        ("tower:", "a port"),
        ("me@tower:65536", "a port"),
        ("::1", "brackets"),
        ("ssh://me@tower", "without ssh://"),
    ],
)
def test_what_is_no_ssh_host_is_told_what_would_be(wrong: Wrong, text: str, expected: str) -> None:
    assert expected in wrong(env={"AI_SERVER_SSH_HOST": text})


@pytest.mark.parametrize(
    ("variable", "text", "expected"),
    [
        ("UNLOAD_PATH", "/unload", "<id> once"),
        ("UPSTREAM_HEALTH_PATH", "/<id>/<id>", "<id> once"),
        ("UNLOAD_ALL_PATH", "/unload/<id>", "without <id>"),
        ("MODELS_PATH", "v1/models", "starts with one /"),
        ("MODELS_PATH", "//elsewhere/v1", "starts with one /"),
        ("MODELS_PATH", "https://elsewhere/v1", "starts with one /"),
        ("RUNNING_PATH", "/running?x=1", "without spaces, query"),
        ("RUNNING_PATH", "/running\x1b[2J", "printable"),
        ("SERVICE_UNIT", "--now", "systemd unit"),
        ("SERVICE_UNIT", "a; b", "systemd unit"),
        ("CA", "~eva/ca.pem", "~user is not supported"),
        ("CA", "a\0b", "a path"),
        ("PRESET_PATH", "a\nb", "printable"),
    ],
)
def test_a_value_that_cannot_be_used_says_why(
    wrong: Wrong, variable: str, text: str, expected: str
) -> None:
    message = wrong(env={f"AI_SERVER_{variable}": text})
    assert message.startswith(f"AI_SERVER_{variable}=")
    assert expected in message
    assert "\x1b" not in message


def test_a_path_on_the_host_keeps_its_tilde(read: Read) -> None:
    assert read().server.preset_path == "~/.config/llama-swap/config.yaml"


def test_a_key_without_a_certificate_is_refused(wrong: Wrong) -> None:
    env = {"AI_SERVER_URL": "https://x", "AI_SERVER_CLIENT_KEY": "/key.pem"}
    assert "client_cert" in wrong(env=env)


def test_secrets_are_in_no_repr(read: Read) -> None:
    env = {
        "AI_SERVER_URL": "https://me:hidden-1@x",
        "AI_SERVER_API_KEY": "hidden-2",
        "AI_SERVER_CLIENT_KEY_PASSWORD": "hidden-3",
    }
    settings = read(env=env)
    assert settings.server.basic_auth == ("me", "hidden-1")
    assert "hidden" not in repr(settings)


@pytest.mark.parametrize("text", ["hidden\nx", "hiddén", "\x00hidden"])
def test_a_wrong_api_key_is_not_repeated(wrong: Wrong, text: str) -> None:
    message = wrong(env={"AI_SERVER_API_KEY": text})
    assert message.startswith("AI_SERVER_API_KEY=… (environment): expected")
    assert "hidd" not in message


def test_a_password_in_the_ssh_host_is_not_repeated(wrong: Wrong) -> None:
    assert "hidden" not in wrong(env={"AI_SERVER_SSH_HOST": "me:hidden@tower"})
    assert "hidden" not in wrong(env={"AI_SERVER_SSH_HOST": "ssh://me:hidden@tower"})


def test_frames_a_second_by_flag_beat_those_of_the_config(read: Read) -> None:
    assert read(config="fps = 5\n").fps == 5
    chosen = read(SettingsFlags(fps=10), config="fps = 5\n")
    assert (chosen.fps, chosen.origins["fps"]) == (10, "flag --fps")


@pytest.mark.parametrize("fps", [0, 61, -1])
def test_frames_a_second_have_bounds(wrong: Wrong, fps: int) -> None:
    assert wrong(SettingsFlags(fps=fps)).startswith(
        f"--fps {fps} (flag): expected a whole number from 1"
    )
