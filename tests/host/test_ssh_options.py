"""What an SSH config says about a machine, compared with what `ssh -G` makes of the same file."""

import getpass
import os
import pwd
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aitui.errors import HostError
from aitui.host.ssh.address import SshAddress, SshConfigPaths
from aitui.host.ssh.config import read_target
from aitui.host.ssh.options import SshOptions

pytestmark = pytest.mark.real_server("openssh-client")

NAMES = (
    *("hostname", "port", "user", "hostkeyalias", "proxyjump", "proxycommand", "identitiesonly"),
    *("identityfile", "certificatefile", "userknownhostsfile", "serveraliveinterval"),
)


def by_ssh(config: Path, host: str) -> dict[str, list[str]]:
    """Each option with its values, as OpenSSH prints them."""
    shown = subprocess.run(
        ["ssh", "-F", config, "-G", host],
        capture_output=True,
        text=True,
        check=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "SHELL": "/bin/sh"},
    )
    found: dict[str, list[str]] = {}
    for line in shown.stdout.splitlines():
        name, _, value = line.partition(" ")
        found.setdefault(name, []).append(value)
    return found


def by_aitui(config: Path, host: str) -> dict[str, list[str]]:
    """The same of ours, without what the config leaves at its default."""
    paths = SshConfigPaths(config.parent, config, system=None)
    options = SshOptions(SshAddress(host), paths)
    found = {name: list(words) for name in NAMES if (words := options.words(name)) is not None}
    if "proxycommand" in found:
        found["proxycommand"] = [options["proxycommand"].raw]
    if "userknownhostsfile" in found:
        home = pwd.getpwuid(os.getuid()).pw_dir
        found["userknownhostsfile"] = [" ".join(found["userknownhostsfile"]).replace("~", home)]
    if found.get("proxyjump") == []:
        del found["proxyjump"]
    if "serveraliveinterval" in found:
        found["serveraliveinterval"] = [str(options.seconds("serveraliveinterval"))]
    if "identitiesonly" in found:
        found["identitiesonly"] = ["yes" if options.flag("identitiesonly") else "no"]
    return {
        **found,
        "hostname": [options.host],
        "port": [str(options.port)],
        "user": [options.user],
    }


def compare(folder: Path, text: str, *hosts: str) -> None:
    config, empty = folder / "config", folder / "empty"
    config.write_text(text)
    config.chmod(0o600)
    empty.write_text("")
    for host in hosts:
        expected, default, ours = by_ssh(config, host), by_ssh(empty, host), by_aitui(config, host)
        for name in NAMES:
            wanted = expected.get(name)
            assert ours.get(name, default.get(name)) == wanted, (name, host, text)


FINAL = {
    "a port": "Host gpu\n  HostName 127.0.0.1\nMatch final host 127.0.0.1\n  Port 2201\n",
    "a key by its first name": (
        "Match final originalhost gpu\n  IdentityFile ~/.ssh/last\n"
        "Host gpu\n  HostName barn.example\n  IdentityFile ~/.ssh/first\n"
    ),
    "the first pass counts before it": (
        "Match final\n  Port 2201\n  User late\nHost gpu\n  Port 2202\n"
    ),
    "a host by its resolved name": (
        "Match host barn.example\n  User resolved\nHost gpu\n  HostName barn.example\n"
        "Match final all\n  Port 2203\n"
    ),
    "a name that comes too late": "Match final\n  HostName other.example\nHost gpu\n  User me\n",
    "not the final pass": "Match !final\n  Port 2204\nMatch final\n  User late\n",
    "asked for by a block of another host": (
        "Match host nowhere final\n  User x\nMatch host barn.example\n  Port 2205\n"
        "Host gpu\n  HostName Barn.Example\n"
    ),
}


@pytest.mark.parametrize("text", FINAL.values(), ids=FINAL)
def test_the_final_pass_adds_what_the_first_left_open(tmp_path: Path, text: str) -> None:
    compare(tmp_path, text, "gpu", "GPU", "127.0.0.1", "elsewhere")


COMMENTS = {
    "behind values": "Host gpu # the barn\n  HostName 10.0.0.4 # by cable\n  Port 2211\t#x\n",
    "a port": "Host gpu # the barn\n  HostName 10.0.0.4 # by cable\n  Port 2211#no\n",
    "a number sign in a word": "Host gpu\n  User a#b\n  IdentityFile ~/.ssh/id#2 # key\n",
    "quoted": "Host gpu\n  IdentityFile \"~/.ssh/id # 2\" # key\n  HostKeyAlias 'a b' #x\n",
    "escaped": 'Host gpu\n  IdentityFile ~/.ssh/my\\ key\\#2 # x\n  CertificateFile "a\\"b"\n',
    "behind Match": "Match originalhost gpu # the barn\n  Port 2212\n",
    "a command keeps it": "Host gpu\n  ProxyCommand nc %h %p # hop\n",
    "equal signs": "Host=gpu\n  Port = 2213 # x\n  User= fox\n  HostName =10.0.0.5\n",
    "quoted keyword and tabs": '\tHost\tgpu\t# x\n\t"Port"\t2214\t# y\n',
    "several files": "Host gpu\n  UserKnownHostsFile ~/.ssh/a ~/.ssh/b # two\n",
}


@pytest.mark.parametrize("text", [text for name, text in COMMENTS.items() if name != "a port"])
def test_a_comment_behind_a_value_is_none_of_it(tmp_path: Path, text: str) -> None:
    compare(tmp_path, text, "gpu", "elsewhere")


def test_a_number_sign_in_a_port_is_no_comment(tmp_path: Path) -> None:
    (tmp_path / "config").write_text(COMMENTS["a port"])
    paths = SshConfigPaths(tmp_path, tmp_path / "config", system=None)
    with pytest.raises(HostError) as caught:
        read_target(SshAddress("gpu"), paths)
    assert "config line 3: 2211#no is not a port" in caught.value.why
    assert caught.value.remedy.endswith("ssh -G gpu shows how OpenSSH reads it")


OTHERS = {
    "the first value": "Host gpu\n  Port 1\nHost *\n  Port 2\n  User all\n",
    "negated": "Host * !gpu\n  User others\nHost !gpu\n  Port 7\nHost g?u\n  Port 8\n",
    "the found name": "Host gpu\n  HostName 10.0.0.4\nMatch final\nHost 10.0.0.4\n  Port 6\n",
    "case": "Host GPU\n  Port 9\nMatch originalhost gpu\n  User folded\n",
    "host of the name": "Host gpu\n  HostName %h.example\nMatch host gpu.example\n  Port 11\n",
    "lists": "Match originalhost gpu,cpu,!cpu user *\n  Port 12\nMatch !originalhost gpu\n  Port 13\n",
    "exec": 'Match exec true\n  Port 14\nMatch originalhost gpu exec "test %n = gpu"\n  User ran\n',
    "jump first": "Host gpu\n  ProxyJump a,b\n  ProxyCommand nc %h %p\n",
    "command first": "Host gpu\n  ProxyCommand nc %h %p\n  ProxyJump a\n",
    "no jump": "Host gpu\n  ProxyJump none\nHost *\n  ProxyJump a\n",
    "keys add up": "Host gpu\n  IdentityFile a\n  IdentityFile b\nHost *\n  IdentityFile a\n",
    "only": "Host gpu\n  IdentitiesOnly yes\n  ServerAliveInterval 1m30s\n",
    "of the local user": f"Match localuser {getpass.getuser()} user fox\n  Port 15\nHost gpu\n  User fox\n",
}


@pytest.mark.parametrize("text", OTHERS.values(), ids=OTHERS)
def test_the_rest_is_read_as_openssh_reads_it(tmp_path: Path, text: str) -> None:
    compare(tmp_path, text, "gpu", "GPU", "cpu")


def test_an_included_file_stands_in_its_block(tmp_path: Path) -> None:
    (tmp_path / "b.conf").write_text("Host gpu\n  Port 2\nHost *\n  User from-b\n")
    (tmp_path / "a.conf").write_text("IdentityFile a\nMatch final\n  HostKeyAlias late\n")
    text = f"Host gpu\n  Include {tmp_path}/*.conf # both\n  ServerAliveInterval 5\n"
    compare(tmp_path, text, "gpu", "elsewhere")


BLOCKS = st.one_of(
    st.lists(st.sampled_from(["gpu", "!gpu", "g*", "*", "?pu", "10.0.0.4", "cpu"]), min_size=1, max_size=3)
    .map(lambda words: f"Host {' '.join(words)}"),
    st.lists(
        st.sampled_from(
            [
                *("final", "!final", "host gpu", "host 10.*,b*", "!host 10.0.0.4", "exec false"),
                *("originalhost g*", "!originalhost gpu", "user fox", "localuser *", "exec true"),
            ]
        ),
        min_size=1,
        max_size=3,
    ).map(lambda words: f"Match {' '.join(words)}"),
    st.sampled_from(["Match all", "Match final all"]),
)  # fmt: skip
LINES = st.sampled_from(
    [
        *("Port 2221", "Port=2222 # x", "User fox", "User owl # x", "HostName 10.0.0.4"),
        *("HostName %h.example #", "IdentityFile ~/.ssh/one", "IdentityFile ~/.ssh/two # x"),
        *("IdentitiesOnly yes", "ProxyJump hop", "ProxyCommand nc %h %p", "HostKeyAlias barn"),
    ]
)


@settings(max_examples=60)
@given(st.lists(st.tuples(BLOCKS, st.lists(LINES, max_size=3)), max_size=6))
def test_any_config_is_read_as_openssh_reads_it(blocks: list[tuple[str, list[str]]]) -> None:
    text = "".join(f"{head}\n" + "".join(f"  {line}\n" for line in lines) for head, lines in blocks)
    with tempfile.TemporaryDirectory() as folder:
        compare(Path(folder), text, "gpu")


def test_the_machines_own_config_comes_after_the_users(tmp_path: Path) -> None:
    system, user = tmp_path / "etc", tmp_path / "home" / ".ssh"
    (system / "ssh_config.d").mkdir(parents=True)
    user.mkdir(parents=True)
    (system / "ssh_config").write_text("Include ssh_config.d/*.conf\nHost *\n  User nobody\n")
    (system / "ssh_config.d" / "barn.conf").write_text(
        "Host gpu\n  HostName 10.0.0.4\n  Port 2231\n  IdentityFile /etc/barn # all\n"
        "Match final host 10.0.0.4\n  HostKeyAlias barn\n"
    )
    paths = SshConfigPaths(tmp_path / "home", user / "config", system=system)
    target = read_target(SshAddress("gpu"), paths)
    assert (target.label, target.port, target.known_name) == ("nobody@10.0.0.4", 2231, "barn")
    (user / "config").write_text("Host gpu\n  User me\n  Port 2232\n  IdentityFile mine\n")
    target = read_target(SshAddress("gpu"), paths)
    assert (target.label, target.port) == ("me@10.0.0.4", 2232)
    assert target.identities == (Path("mine"), Path("/etc/barn"))


@pytest.mark.parametrize(
    ("more", "host"),
    [
        ("", "gpu.barn.example"),
        ("CanonicalizeMaxDots 0\n", "gpu.barn.example"),
        ("CanonicalDomains elsewhere.example\n", "gpu"),
        ("ProxyJump hop\n", "gpu"),
        ("ProxyJump hop\nCanonicalizeHostname always\n", "gpu.barn.example"),
    ],
)
def test_a_short_name_is_completed_before_the_final_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str, host: str
) -> None:
    def look_up(name: str, port: int) -> list[object]:
        del port
        if name != "gpu.barn.example":
            raise OSError(name)
        return [name]

    monkeypatch.setattr("socket.getaddrinfo", look_up)
    (tmp_path / "config").write_text(
        f"{more}CanonicalizeHostname yes\nCanonicalDomains ex.example barn.example\n"
        "Host gpu.barn.example\n  Port 2241\nMatch canonical host *.example\n  User late\n"
    )
    ours = by_aitui(tmp_path / "config", "gpu")
    found = host != "gpu"
    assert (ours["hostname"], ours["port"]) == ([host], ["2241" if found else "22"])
    assert (ours["user"] == ["late"]) is found


def test_a_login_without_a_name_is_an_error_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 1234")

    monkeypatch.setattr("getpass.getuser", nobody)
    with pytest.raises(HostError) as caught:
        read_target(SshAddress("gpu"), SshConfigPaths(tmp_path, tmp_path / "none", system=None))
    assert "set USER" in caught.value.why


def test_the_home_of_an_unknown_user_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("IdentityFile ~no-such-user/key\n")
    paths = SshConfigPaths(tmp_path, tmp_path / "config", system=None)
    assert read_target(SshAddress("gpu"), paths).identities == (Path("~no-such-user/key"),)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("Port many", "line 2: many is not a port"),
        ("Port 70000", "line 2: 70000 is not a port"),
        ("IdentitiesOnly perhaps", "line 2: identitiesonly must be yes or no, not perhaps"),
        ('User "fox', "line 2: a quote is not closed"),
        ("ServerAliveInterval soon", "line 2: soon is not a duration"),
        ("Compression perhaps", "line 2: "),
        ("Match localnetwork 10.0.0.0/8", "line 2: Match localnetwork is not supported here"),
    ],
)
def test_a_line_that_makes_no_sense_is_named(tmp_path: Path, line: str, words: str) -> None:
    (tmp_path / "config").write_text(f"Host gpu\n  {line}\n")
    with pytest.raises(HostError) as caught:
        read_target(SshAddress("gpu"), SshConfigPaths(tmp_path, tmp_path / "config", system=None))
    assert words in caught.value.why


@pytest.mark.parametrize(
    ("address", "arguments"),
    [
        ("gpu", "gpu"),
        ("me@gpu", "me@gpu"),
        ("me@10.0.0.4:2222", "-p 2222 me@10.0.0.4"),
        ("[fe80::1]:2222", "-p 2222 fe80::1"),
        ("ssh://me@gpu:22", "-p 22 me@gpu"),
        ("m'e@gpu", "'m'\"'\"'e@gpu'"),
    ],
)
def test_ssh_takes_the_address_as_its_arguments(address: str, arguments: str) -> None:
    assert SshAddress.read(address).arguments == arguments


def test_a_pattern_of_many_stars_takes_no_time(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("Host *a*a*a*a*b\n  Port 2\nHost *a*a*[a\n  User odd\n")
    begun = time.thread_time()
    assert by_aitui(tmp_path / "config", "a" * 250)["port"] == ["22"]
    assert time.thread_time() - begun < 0.5
    assert by_aitui(tmp_path / "config", "aa[a")["user"] == ["odd"]
