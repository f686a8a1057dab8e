"""The text of a unit: what is wrong with it, what is changed, and a new one."""

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitui.host.unit_file import find_faults, new_unit, parse_settings, repair_unit

GUIDE = """\
[Unit]
Description=Llama Swap Service
After=network.target

[Service]
Type=simple
User=ai-server
Group=ai-server
ExecStart=/home/ai-server/bin/llama-swap --config /home/ai-server/.config/llama-swap/config.yaml --host 0.0.0.0 --port 8080
Restart=on-failure
RestartSec=5
LimitNOFILE=65536
LimitMEMLOCK_BYTES=infinity

[Install]
WantedBy=default.target
"""
"""The unit of the set-up guide."""


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[Service]\nUser=me\n", ["User=me is set in a user unit"]),
        ("[Service]\n  Group = me\r\n", ["Group=me is set in a user unit"]),
        ("[Service]\n#User=me\n;Group=me\nUser=\n", []),
        ("[Unit]\nUser=me\n", []),
        ("[Service]\nLimitMEMLOCK_BYTES=1\n", ["systemd has no setting LimitMEMLOCK_BYTES="]),
        ("[Service]\nExecStart=%h/bin/llama-swap \\\n  --port 1\n", ["no option --port"]),
        ('[Service]\nExecStart=/x/llama-swap "--host\n', []),
        ("[Service]\nExecStart=/x/other --port 1\n", []),
        ("[Service]\nLimitMEMLOCK=unlimited\n", ["LimitMEMLOCK=unlimited"]),
        ("[Install]\nWantedBy=multi-user.target\n", ["WantedBy=multi-user.target"]),
        ("[Install]\nWantedBy=default.target\n", []),
    ],
)
def test_the_faults_of_a_unit_are_found_in_its_text(text: str, found: list[str]) -> None:
    faults = find_faults(text)
    assert len(faults) == len(found)
    for fault, words in zip(faults, found, strict=True):
        assert words in fault.what


@given(st.text(max_size=300))
def test_any_text_is_read_as_a_unit(text: str) -> None:
    find_faults(f"[Service]\n{text}")
    assert all("\n" not in setting.value for setting in parse_settings(text))


@given(st.lists(st.sampled_from(["-listen", ":80", "a b", "$x", "%h"]), max_size=4))
def test_settings_keep_their_value(words: list[str]) -> None:
    command = shlex.join(["/x/llama-swap", *words])
    (setting,) = parse_settings(f"[Service]\nExecStart={command}\n")
    assert setting.value == command


def test_of_the_guides_unit_only_the_faulty_lines_change() -> None:
    before, after = GUIDE.splitlines(), repair_unit(GUIDE).splitlines()
    assert [line for line in before if line not in after] == [
        "User=ai-server",
        "Group=ai-server",
        before[8],
        "LimitMEMLOCK_BYTES=infinity",
    ]
    assert [line for line in after if line not in before] == [
        before[8].replace("--host 0.0.0.0 --port 8080", "-listen 0.0.0.0:8080"),
        "LimitMEMLOCK=infinity",
    ]
    assert find_faults(repair_unit(GUIDE)) == ()


START = "[Service]\nExecStart=/x/llama-swap"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f"{START} --port 1\n", f"{START} -listen 0.0.0.0:1\n"),
        (f"{START} --host ::1\n", f"{START} -listen [::1]:8080\n"),
        (f"{START} -host='a' -port=9 -v\n", f"{START} -listen a:9 -v\n"),
        (f"{START} --listen :1 --port 2\n", f"{START} --listen :1\n"),
        (
            f"{START} \\\n  --port 1 \\\n  --host a \\\n  --config c\n",
            f"{START} \\\n  -listen a:1 \\\n  --config c\n",
        ),
        ("[Service]\nExecStart=/x/other --port 1\n", None),
        ("[Service]\n# User=me\n# LimitMEMLOCK_BYTES=1 \\\nUser=\n", None),
        ("[X]\nUser=me\n", None),
        ("[Service]\r\nUser=me\r\nGroup=a \\\r\n b\r\nType=exec\r\n", "[Service]\r\nType=exec\r\n"),
        ("[Service]\nLimitMEMLOCK=unlimited", "[Service]\nLimitMEMLOCK=infinity"),
        (
            "[Service]\nLimitMEMLOCK=1G\nLimitMEMLOCK_BYTES=infinity\n",
            "[Service]\nLimitMEMLOCK=1G\n",
        ),
        ("[Install]\nWantedBy=multi-user.target\n", "[Install]\nWantedBy=default.target\n"),
    ],
)
def test_a_repair(before: str, after: str | None) -> None:
    assert repair_unit(before) == (before if after is None else after)


@given(st.text(st.sampled_from('[Service]\nUser=Exc Sta/llam-w#\\\r\t"ph1'), max_size=200))
def test_any_text_can_be_repaired_once(text: str) -> None:
    once = repair_unit(f"[Service]\n{text}")
    assert repair_unit(once) == once


@pytest.mark.real_server("systemd")
@pytest.mark.parametrize("text", [repair_unit(GUIDE), None], ids=["guide", "new"])
def test_systemd_finds_nothing_wrong_with_it(tmp_path: Path, text: str | None) -> None:
    program = tmp_path / "a b%c" / "llama-swap"
    program.parent.mkdir()
    shutil.copy("/bin/true", program)
    unit = tmp_path / "llama-swap.service"
    made = text or new_unit(str(program), "127.0.0.1:8080", "~/.config/llama-swap/config.yaml")
    unit.write_text(made.replace("/home/ai-server/bin/llama-swap", "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "--user", "verify", str(unit)],
        capture_output=True,
        text=True,
        env={"XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
