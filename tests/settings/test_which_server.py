"""Which server is chosen, and whose values and defaults it gets."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aitui.domain.server import Server
from aitui.errors import SettingsError
from aitui.settings import (
    DEFAULT_URL,
    Settings,
    SettingsFlags,
    read_settings,
    require_server,
    server_at,
)

Read = Callable[..., Settings]
Wrong = Callable[..., str]

HOME = Path("/home/ada")
CERTS = HOME / ".pi/agent/certs"
TWO_SERVERS = """
default = "home"

[servers.home]
url = "https://home.example.org"

[servers.lab]
url = "http://lab:8080"
"""


def test_nothing_set_is_the_default_server(read: Read) -> None:
    server = read().server
    assert (server.url, server.identity, server.is_default) == (DEFAULT_URL, DEFAULT_URL, True)
    assert server.ca == CERTS / "root-ca.pem"
    assert server.client_cert == CERTS / "client.pem"
    assert server.client_key == CERTS / "client-key.pem"
    assert server.ssh_host == "ai-server@192.168.2.3"
    assert server.timeout == 300.0
    assert set(server.origins.values()) == {"default"}


@pytest.mark.parametrize("url", ["http://localhost:8080", "https://ai.example.org"])
def test_another_url_by_flag_has_neither_certificates_nor_ssh_host(read: Read, url: str) -> None:
    server = read(SettingsFlags(url=url)).server
    assert server.certificate_files == ()
    assert server.ssh_host == ""
    assert not server.is_default


def test_another_url_by_environment_has_neither_certificates_nor_ssh_host(read: Read) -> None:
    server = read(env={"AI_SERVER_URL": "https://ai.example.org"}).server
    assert server.certificate_files == ()
    assert server.ssh_host == ""


@pytest.mark.parametrize("url", [f"{DEFAULT_URL}/", f"{DEFAULT_URL}:443", DEFAULT_URL.upper()])
def test_the_default_url_in_other_spellings_keeps_its_defaults(read: Read, url: str) -> None:
    assert read(SettingsFlags(url=url)).server.is_default
    assert read(env={"AI_SERVER_URL": url}).server.ca == CERTS / "root-ca.pem"


def test_what_the_environment_gives_goes_with_a_url_by_flag(read: Read) -> None:
    env = {"AI_SERVER_CERTS_DIR": "~/lab", "AI_SERVER_SSH_HOST": "lab"}
    server = read(SettingsFlags(url="https://lab:8443"), env=env).server
    assert server.ca == HOME / "lab/root-ca.pem"
    assert server.ssh_host == "lab"


def test_keys_of_the_environments_server_are_nothing_to_a_second_one(read: Read) -> None:
    env = {"AI_SERVER_URL": "https://a.example.org", "AI_SERVER_API_KEY": "sk-a"}
    assert read(SettingsFlags(url="https://b.example.org"), env=env).server.api_key is None
    assert read(SettingsFlags(url="https://a.example.org/"), env=env).server.api_key == "sk-a"


def test_config_names_the_default_server(read: Read) -> None:
    chosen = read(config=TWO_SERVERS)
    assert chosen.server.name == chosen.server.identity == "home"
    assert chosen.origins["server"] == "config.toml"


def test_blanks_around_the_name_of_the_default_are_forgiven(read: Read) -> None:
    assert read(config=TWO_SERVERS.replace('"home"', '" home "')).server.name == "home"


def test_only_the_url_of_the_environment_beats_the_default_server_of_the_config(read: Read) -> None:
    others = {"AI_SERVER_TIMEOUT_MS": "1", "AI_SERVER_API_KEY": "sk-x"}
    chosen = read(env=others, config=TWO_SERVERS)
    assert (chosen.server.name, chosen.server.api_key) == ("home", None)
    assert chosen.ignored == ("AI_SERVER_API_KEY", "AI_SERVER_TIMEOUT_MS")
    chosen = read(env={**others, "AI_SERVER_URL": "http://x"}, config=TWO_SERVERS)
    assert (chosen.server.name, chosen.server.api_key, chosen.ignored) == ("", "sk-x", ())


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with the three certificate files in their usual folder."""
    folder = tmp_path / "home" / ".pi/agent/certs"
    folder.mkdir(parents=True)
    for name in ("root-ca.pem", "client.pem", "client-key.pem"):
        (folder / name).touch()
    return tmp_path / "home"


def read_at(home: Path, flags: SettingsFlags | None = None, **env: str) -> Server:
    """The chosen server of a user with that home, without a config file."""
    return read_settings(flags or SettingsFlags(), env, home, home).server


def test_certificates_in_the_usual_folder_are_used_for_an_https_url_of_the_environment(
    home: Path,
) -> None:
    server = read_at(home, AI_SERVER_URL="https://ai.example.org")
    assert server.ca == home / ".pi/agent/certs/root-ca.pem"
    assert read_at(home, AI_SERVER_URL="http://ai.example.org").certificate_files == ()


@pytest.mark.parametrize("missing", ["root-ca.pem", "client.pem", "client-key.pem"])
def test_an_incomplete_folder_belongs_to_the_default_server_alone(home: Path, missing: str) -> None:
    (home / ".pi/agent/certs" / missing).unlink()
    assert read_at(home, AI_SERVER_URL="https://ai.example.org").certificate_files == ()
    assert len(read_at(home).certificate_files) == 3


def test_a_url_by_flag_does_not_inherit_the_usual_folder(home: Path) -> None:
    assert read_at(home, SettingsFlags(url="https://ai.example.org")).certificate_files == ()


@pytest.mark.parametrize("url", ["https://ai.example.org", DEFAULT_URL])
def test_an_empty_folder_means_none(home: Path, url: str) -> None:
    assert read_at(home, AI_SERVER_URL=url, AI_SERVER_CERTS_DIR="").certificate_files == ()


def test_without_a_default_server_the_other_variables_describe_the_unnamed_one(home: Path) -> None:
    chosen = read_settings(SettingsFlags(), {"AI_SERVER_TIMEOUT_MS": "1000"}, home, home)
    assert (chosen.server.url, chosen.server.timeout, chosen.ignored) == (DEFAULT_URL, 1.0, ())


def test_an_empty_variable_chooses_nothing(read: Read) -> None:
    assert read(env={"AI_SERVER_URL": ""}, config=TWO_SERVERS).server.name == "home"


def test_flag_server_beats_the_environment_and_takes_nothing_from_it(read: Read) -> None:
    env = {"AI_SERVER_URL": "http://x", "AI_SERVER_API_KEY": "sk-x", "AI_SERVER_SSH_HOST": "x"}
    server = read(SettingsFlags(server="lab"), env=env, config=TWO_SERVERS).server
    assert (server.url, server.api_key, server.ssh_host) == ("http://lab:8080", None, "")


def test_flag_url_beats_the_default_server_of_the_config(read: Read) -> None:
    assert read(SettingsFlags(url="http://x"), config=TWO_SERVERS).server.url == "http://x"


def test_server_and_url_together_are_refused(wrong: Wrong) -> None:
    assert "expected only one of them" in wrong(
        SettingsFlags(server="lab", url="http://x"), config=TWO_SERVERS
    )


def test_a_server_that_config_has_not_is_answered_with_the_nearest(wrong: Wrong) -> None:
    message = wrong(SettingsFlags(server="hme"), config=TWO_SERVERS)
    assert message.startswith("--server hme (flag): expected perhaps home")
    assert "lab" in message


def test_a_default_that_config_has_not_is_wrong_even_where_another_is_chosen(wrong: Wrong) -> None:
    message = wrong(SettingsFlags(url="http://x"), config='default = "hme"\n')
    assert message.startswith("default = hme (config.toml, line 1): expected")


def test_a_key_switches_between_the_unnamed_and_all_named_servers(read: Read) -> None:
    assert [server.identity for server in read(config=TWO_SERVERS).servers] == ["home", "lab"]
    chosen = read(env={"AI_SERVER_URL": "http://x"}, config=TWO_SERVERS)
    assert [server.identity for server in chosen.servers] == ["http://x", "home", "lab"]
    assert chosen.server in chosen.servers


def test_read_only_by_flag_holds_for_every_server(read: Read) -> None:
    servers = read(SettingsFlags(read_only=True), config=TWO_SERVERS).servers
    assert all(server.read_only for server in servers)
    assert {server.origins["read_only"] for server in servers} == {"flag --read-only"}


def test_read_only_of_one_server_is_its_own(read: Read) -> None:
    servers = read(config=TWO_SERVERS + "read_only = true\n").servers
    assert [server.name for server in servers if server.read_only] == ["lab"]


def test_a_named_server_at_the_default_url_has_no_defaults_of_it(read: Read) -> None:
    server = read(SettingsFlags(server="x"), config=f'[servers.x]\nurl = "{DEFAULT_URL}"\n').server
    assert (server.ca, server.ssh_host, server.is_default) == (None, "", False)


def test_no_certificate_is_used_without_tls(read: Read) -> None:
    env = {"AI_SERVER_CERTS_DIR": "/certs", "AI_SERVER_URL": "http://localhost:8080"}
    assert read(env=env).server.certificate_files == ()


def test_missing_certificates_are_those_of_the_default_server(read: Read, tmp_path: Path) -> None:
    settings = read(env={"AI_SERVER_CERTS_DIR": str(tmp_path)})
    (tmp_path / "client.pem").touch()
    assert settings.missing_certificates == (
        ("certificate authority", tmp_path / "root-ca.pem"),
        ("client key", tmp_path / "client-key.pem"),
    )


def test_missing_certificates_are_looked_for_each_time(read: Read, tmp_path: Path) -> None:
    settings = read(env={"AI_SERVER_CERTS_DIR": str(tmp_path)})
    assert settings.missing_certificates
    for name in ("root-ca.pem", "client.pem", "client-key.pem"):
        (tmp_path / name).touch()
    assert settings.missing_certificates == ()


def test_another_server_misses_no_certificates(read: Read) -> None:
    env = {"AI_SERVER_URL": "https://x", "AI_SERVER_CERTS_DIR": "/nowhere"}
    assert read(env=env).missing_certificates == ()


def test_a_typed_url_is_a_server_with_nothing_else_known() -> None:
    template = Server("", "", read_only=True)
    server = server_at("localhost:8080/", HOME, template)
    assert (server.url, server.read_only, server.certificate_files) == (
        "http://localhost:8080",
        True,
        (),
    )


@given(by_flag=st.booleans(), by_variable=st.booleans(), by_config=st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_later_source_wins(
    read: Read, by_flag: bool, by_variable: bool, by_config: bool
) -> None:
    chosen = read(
        SettingsFlags(url="http://flag") if by_flag else SettingsFlags(),
        env={"AI_SERVER_URL": "http://environment"} if by_variable else {},
        config=TWO_SERVERS if by_config else "",
    )
    origins = [
        ("http://flag", "flag --url", by_flag),
        ("http://environment", "environment AI_SERVER_URL", by_variable),
        ("https://home.example.org", "config.toml [servers.home]", by_config),
        (DEFAULT_URL, "default", True),
    ]
    url, origin, _ = next(source for source in origins if source[2])
    assert (chosen.server.url, chosen.server.origins["url"]) == (url, origin)


def test_without_a_certificate_file_nothing_names_a_server(tmp_path: Path) -> None:
    settings = read_settings(SettingsFlags(), {}, tmp_path, tmp_path)
    assert not settings.has_server
    assert settings.servers == ()
    with pytest.raises(SettingsError) as caught:
        require_server(settings)
    assert (caught.value.what, caught.value.exit_code) == ("There is no server yet", 2)


@pytest.mark.parametrize("name", ["root-ca.pem", "client.pem", "client-key.pem"])
def test_one_certificate_file_names_the_default_server(tmp_path: Path, name: str) -> None:
    folder = tmp_path / ".pi/agent/certs"
    folder.mkdir(parents=True)
    (folder / name).touch()
    settings = read_settings(SettingsFlags(), {}, tmp_path, tmp_path)
    assert require_server(settings).url == DEFAULT_URL
    assert settings.origins["server"] == "its certificate files"
    assert len(settings.missing_certificates) == 2


def test_certificate_files_yield_to_a_default_of_config_toml(home: Path) -> None:
    (home / "config.toml").write_text(TWO_SERVERS)
    assert read_settings(SettingsFlags(), {}, home, home).server.name == "home"


@pytest.mark.parametrize(
    "variable", [{"AI_SERVER_API_KEY": "x"}, {"AI_SERVER_CERTS_DIR": "/nowhere"}]
)
def test_other_variables_choose_no_server_and_are_named(
    read: Read, variable: dict[str, str]
) -> None:
    settings = read(env=variable)
    assert not settings.has_server
    assert settings.ignored == tuple(variable)


def test_the_directory_of_a_variable_counts_like_the_usual_one(read: Read, home: Path) -> None:
    settings = read(env={"AI_SERVER_CERTS_DIR": str(home / ".pi/agent/certs")})
    assert require_server(settings).url == DEFAULT_URL


def test_without_a_default_the_servers_of_config_toml_are_named(read: Read) -> None:
    settings = read(config=TWO_SERVERS.replace('default = "home"', ""))
    assert [server.name for server in settings.servers] == ["home", "lab"]
    with pytest.raises(SettingsError) as caught:
        require_server(settings)
    assert caught.value.why == "config.toml has home, lab, and no default"


def test_a_server_without_certificate_knows_where_one_is(home: Path) -> None:
    usual = home / ".pi/agent/certs"
    flag = SettingsFlags(url="https://ai.example.org")
    assert read_at(home, flag).unused_certificates == usual
    assert read_at(home, SettingsFlags(url="http://ai.example.org")).unused_certificates is None
    assert read_at(home, AI_SERVER_URL="https://a.example.org").unused_certificates is None
    (usual / "client-key.pem").rename(home / "client-key.pem")
    (usual / "client.pem").rename(home / "client.pem")
    assert read_at(home, flag).unused_certificates is None
    another = {"AI_SERVER_URL": "https://a.example.org", "AI_SERVER_CERTS_DIR": str(home)}
    assert read_at(home, flag, **another).unused_certificates == home
