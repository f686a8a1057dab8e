"""config.toml: its servers, and errors that name file, line and the nearest key."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitui.errors import SettingsError
from aitui.settings import Settings, SettingsFlags
from aitui.settings.toml import LARGEST_FILE, line_numbers, read_config_file

Read = Callable[..., Settings]
Wrong = Callable[..., str]

HOME = Path("/home/ada")


def test_a_server_has_the_same_settings_as_the_environment(read: Read) -> None:
    config = """
        default = "home"
        [servers.home]
        url = "https://home.example.org"
        certs_dir = "~/certs"
        client_key_password = "pass"
        api_key = "sk"
        timeout_ms = 1000
        ssh_host = "local"
        preset_path = "/p"
        service_unit = "s.service"
        models_path = "/m"
        unload_path = "/u/<id>"
        colour = "green"
        read_only = true
    """
    server = read(config=config).server
    assert server.ca == HOME / "certs/root-ca.pem"
    assert (server.client_key_password, server.api_key) == ("pass", "sk")
    assert (server.timeout, server.ssh_host, server.preset_path) == (1.0, "local", "/p")
    assert (server.service_unit, server.endpoints.models) == ("s.service", "/m")
    assert (server.endpoints.unload, server.color, server.read_only) == ("/u/<id>", "green", True)
    assert server.origins["timeout"] == "config.toml [servers.home]"


def test_a_relative_path_starts_at_the_file(read: Read, tmp_path: Path) -> None:
    config = '[servers.home]\nurl = "https://h"\nca = "certs/ca.pem"\n'
    assert read(SettingsFlags(server="home"), config=config).server.ca == tmp_path / "certs/ca.pem"


def test_notifications_are_on_unless_turned_off(read: Read) -> None:
    assert read().notifications
    off = read(config="notifications = false\n")
    assert not off.notifications
    assert off.origins["notifications"] == "config.toml"


def test_notifications_that_are_no_switch_are_refused(wrong: Wrong) -> None:
    config = 'notifications = "no"\n'
    assert wrong(config=config).endswith(
        "notifications = no (config.toml, line 1): expected true or false"
    )


def test_programs_with_llama_servers_flags_are_a_list(read: Read, wrong: Wrong) -> None:
    assert read().server.llama_servers == frozenset()
    given = read(config='llama_server_programs = ["run-wolf.sh", "/opt/fox"]\n')
    assert given.server.llama_servers == {"run-wolf.sh", "/opt/fox"}
    assert given.template.llama_servers == given.server.llama_servers
    for text in ('"run-wolf.sh"', "[1]", '[""]'):
        assert "(config.toml, line 1): expected names or paths of programs" in wrong(
            config=f"llama_server_programs = {text}\n"
        )


def test_clients_are_names_by_address(read: Read, wrong: Wrong) -> None:
    config = '[clients]\n"::ffff:10.0.0.20" = "phone"\n"fd00::0012" = "laptop"\n'
    settings = read(config=config)
    assert settings.server.clients == {"10.0.0.20": "phone", "fd00::12": "laptop"}
    assert read(config="").server.clients == {}
    for value in ('{phone = "10.0.0.20"}', '{"10.0.0.20" = 7}', '"phone"', '{"10.0.0.20" = ""}'):
        assert "names by IP address" in wrong(config=f"clients = {value}\n")


def test_color_is_a_colour(read: Read) -> None:
    config = '[servers.home]\nurl = "https://h"\ncolor = "#0a0"\n'
    assert read(SettingsFlags(server="home"), config=config).server.color == "#0a0"


def test_colour_and_color_together_are_refused(wrong: Wrong) -> None:
    config = '[servers.home]\nurl = "https://h"\ncolor = "red"\ncolour = "red"\n'
    assert "not both" in wrong(config=config)


def test_another_file_by_flag(read: Read, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text('[servers.lab]\nurl = "http://lab"\n', encoding="utf-8")
    settings = read(SettingsFlags(config=other, server="lab"), config="broken [")
    assert settings.server.origins["url"] == "other.toml [servers.lab]"
    assert settings.config_file == other


def test_no_file_is_no_error(read: Read) -> None:
    assert read().config_file is None


def test_a_file_by_flag_that_is_not_there_is_an_error(wrong: Wrong, tmp_path: Path) -> None:
    assert "there is no such file" in wrong(SettingsFlags(config=tmp_path / "none.toml"))


def test_broken_toml_is_named_with_line_and_column(wrong: Wrong, tmp_path: Path) -> None:
    message = wrong(config='default = "home"\n[servers.home\n')
    assert message.startswith(f"{tmp_path}/config.toml, line 2, column ")


def test_toml_that_ends_too_early_is_named_with_its_last_line(wrong: Wrong) -> None:
    assert "line 2, column 4" in wrong(config="a = 1\nb =")


@pytest.mark.parametrize(
    ("config", "line", "expected"),
    [
        ('[servers.home]\nurl = "http://h"\ntimeout = 5\n', 3, "expected timeout_ms"),
        ('[servers.home]\nurl = "http://h"\nSSH-Host = "x"\n', 3, "expected ssh_host"),
        ('defualt = "home"\n', 1, "expected default"),
        ('\nurl = "http://h"\n', 2, "under a [servers.NAME]"),
        ('[server.home]\nurl = "http://h"\n', 1, "expected servers"),
        ('[servers]\nhome = "http://h"\n', 2, "expected a table, like [servers.home]"),
        ("servers = 1\n", 1, "expected tables"),
        ('[servers."a/b"]\nurl = "http://h"\n', 1, "expected a name"),
        ("[servers.home]\n", 1, "expected a url"),
    ],
)
def test_a_wrong_key_is_named_with_its_line_and_what_was_meant(
    wrong: Wrong, config: str, line: int, expected: str
) -> None:
    message = wrong(config=config)
    assert f"config.toml, line {line}: " in message
    assert expected in message


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("timeout_ms = 0", "milliseconds from 1"),
        ("timeout_ms = nan", "whole number of milliseconds"),
        ("timeout_ms = true", "whole number of milliseconds"),
        ("read_only = 1", "true or false"),
        ('colour = "mauve"', "#rrggbb or one of red"),
        ("ca = 1", "a path in quotes"),
        ("ssh_host = [1]", "in quotes"),
        ("service_unit = {}", "text in quotes"),
        ("client_key_password = 1", "a password in quotes"),
    ],
)
def test_a_wrong_value_is_named_with_table_and_line(
    wrong: Wrong, written: str, expected: str
) -> None:
    message = wrong(config=f'[servers.home]\nurl = "https://h"\n{written}\n')
    assert "(config.toml [servers.home], line 3): expected" in message
    assert expected in message


def test_an_empty_url_is_refused(wrong: Wrong) -> None:
    assert "like https://" in wrong(config='[servers.home]\nurl = ""\n')


def test_what_is_written_in_the_file_steers_no_terminal(wrong: Wrong) -> None:
    assert "\x1b" not in wrong(config='"\\u001b]0;x\\u0007" = 1\n')
    assert "\x1b" not in wrong(config='[servers."\\u001b[2J"]\nurl = "http://h"\n')


def test_a_byte_order_mark_and_crlf_are_read(read: Read, tmp_path: Path) -> None:
    text = '\ufeffdefault = "home"\r\n[servers.home]\r\nurl = "http://h"\r\n'
    (tmp_path / "config.toml").write_bytes(text.encode())
    assert read().server.name == "home"


def test_bytes_that_are_no_text_are_named_with_their_line(wrong: Wrong, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(b"# a\n# \xff\n")
    assert "line 2: expected UTF-8 text" in wrong()


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_what_is_no_file_in_its_place_is_an_error(
    wrong: Wrong, tmp_path: Path, make: Callable[[Path], object]
) -> None:
    make(tmp_path / "config.toml")
    assert "can't be read" in wrong()


def test_a_file_without_an_end_is_refused(wrong: Wrong) -> None:
    assert "larger than 1 MiB" in wrong(SettingsFlags(config=Path("/dev/zero")))


def test_endless_nesting_is_refused(wrong: Wrong) -> None:
    assert "expected TOML" in wrong(config=f"a = {'[' * 100_000}\n")


def test_lines_are_found_in_tables_and_dotted_keys() -> None:
    text = 'a = 1\n[servers.home]\n# b = 2\nurl = 1\n[ servers . "x y" ]\nc.d = 1\n'
    assert line_numbers(text) == {
        ("a",): 1,
        ("servers",): 2,
        ("servers", "home"): 2,
        ("servers", "home", "url"): 4,
        ("servers", "x y"): 5,
        ("servers", "x y", "c"): 6,
        ("servers", "x y", "c", "d"): 6,
    }


PIECES = st.sampled_from(
    ["default", "servers", ".home", "[", "]", "=", '"', "url", "fps", "1", "\n", " ", "'", "{", "}"]
)


@given(st.one_of(st.binary(max_size=60), st.lists(PIECES).map(lambda p: "".join(p).encode())))
def test_no_content_raises_anything_but_a_settings_error(content: bytes) -> None:
    read_end, write_end = os.pipe()
    os.write(write_end, content[:LARGEST_FILE])
    os.close(write_end)
    try:
        with suppress(SettingsError):
            read_config_file(Path(f"/dev/fd/{read_end}"), required=True)
    finally:
        os.close(read_end)
