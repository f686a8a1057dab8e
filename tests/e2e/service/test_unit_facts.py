"""What is read out of systemd's words, and out of the text of a unit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitui.host.service import diagnose_unit
from aitui.host.unit import (
    PROPERTIES,
    UnitInfo,
    build_unit_facts,
    read_properties,
    server_flags,
)

SHOWN = b"""\
MainPID=812
Result=success
NRestarts=2
ExecMainStartTimestamp=Mon 2026-11-23 01:24:58 UTC
ExecMainStatus=0
ExecStart={ path=/x/llama-swap ; argv[]=/x/llama-swap -listen :8080 -config /a b/c.yaml ; \
ignore_errors=no ; start_time=[n/a] ; stop_time=[n/a] ; pid=812 ; code=(null) ; status=0/0 }
LoadState=loaded
ActiveState=active
SubState=running
UnitFileState=enabled
WorkingDirectory=!/home/ai-server
"""


def test_systemds_lines_become_facts() -> None:
    facts = build_unit_facts("llama-swap.service", read_properties(SHOWN))
    assert facts.running
    assert (facts.main_pid, facts.restarts) == (812, 2)
    assert facts.started_at == 1795397098.0
    assert facts.exec_start[:3] == ("/x/llama-swap", "-listen", ":8080")
    assert facts.working_directory == "/home/ai-server"


def test_the_words_of_the_process_keep_the_blanks_that_systemds_lose() -> None:
    process = ("/x/llama-swap", "-config", "/a b/c.yaml")
    assert (
        build_unit_facts("u", read_properties(SHOWN), process=process).config_path == "/a b/c.yaml"
    )


def test_nothing_known_is_a_unit_that_is_not_found() -> None:
    facts = build_unit_facts("u", read_properties(b""))
    assert facts == UnitInfo("u")
    assert not facts.exists
    assert facts.watches_config is None
    assert facts.config_path is None


@given(st.binary(max_size=400))
def test_any_bytes_are_read_and_are_harmless(output: bytes) -> None:
    properties = read_properties(output)
    build_unit_facts("u", properties)
    assert not any(ord(letter) < 32 for value in properties.values() for letter in value)


@given(
    st.dictionaries(
        st.sampled_from(PROPERTIES), st.text(st.characters(categories=["L", "N", "P"])), min_size=1
    )
)
def test_each_value_is_read_as_it_stands(values: dict[str, str]) -> None:
    output = "".join(f"{name}={value}\n" for name, value in values.items()).encode()
    assert read_properties(output) == values


@pytest.mark.parametrize(
    ("command", "path", "watches"),
    [
        ("/x/llama-swap -config /c.yaml", "/c.yaml", False),
        ("/x/llama-swap --config=/c.yaml -watch-config", "/c.yaml", True),
        ("/x/llama-swap -watch-config=false -config /c.yaml", "/c.yaml", False),
        ("/x/llama-swap -watch-config --config /c.yaml", "/c.yaml", True),
        ("/x/llama-swap -config old.yaml -config ./new.yaml", "/srv/new.yaml", False),
        ("/x/llama-swap", "/srv/config.yaml", False),
        ("docker run ghcr.io/mostlygeek/llama-swap:cuda -config /c.yaml", "/c.yaml", False),
        ("/x/llama-swap -listen :80 stray -config /c.yaml", "/srv/config.yaml", False),
        ("/usr/bin/start-it -config /c.yaml", None, None),
        ("/x/llama-swap -config", "/srv/true", False),
    ],
)
def test_the_flags_are_read_as_llama_swap_reads_them(
    command: str, path: str | None, watches: bool | None
) -> None:
    words = tuple(command.split())
    facts = UnitInfo("u", exec_start=words, working_directory="/srv")
    assert (facts.config_path, facts.watches_config) == (path, watches)


def test_a_config_file_without_a_working_directory_is_below_the_home() -> None:
    facts = UnitInfo("u", exec_start=("llama-swap", "-config", "c.yaml"))
    assert facts.config_path == "~/c.yaml"


@given(st.lists(st.text(max_size=8), max_size=8))
def test_any_words_have_flags_or_none(words: list[str]) -> None:
    flags = server_flags(["/x/llama-swap", *words])
    assert flags is not None
    assert not any(name.startswith("--") for name in flags)


@pytest.mark.parametrize(
    ("facts", "journal", "why"),
    [
        (UnitInfo("u", result="oom-kill"), (), "ran out of memory"),
        (UnitInfo("u", result="signal", active_state="failed"), (), "a signal killed it"),
        (UnitInfo("u", result="core-dump", active_state="failed"), (), "it crashed"),
        (UnitInfo("u", result="timeout", active_state="failed"), (), "took too long"),
        (UnitInfo("u", result="exit-code", exit_status=9), (), "status 9"),
        (UnitInfo("u", exit_status=200), (), "working directory"),
        (UnitInfo("u", exit_status=217), (), "another user or group"),
        (
            UnitInfo("u", exit_status=2),
            ('invalid value "x" for flag -listen: no',),
            "invalid value",
        ),
        (
            UnitInfo("u", exit_status=1),
            ("[ERROR] Error loading config: yaml: line 3: found a tab",),
            "line 3",
        ),
    ],
)
def test_what_is_known_is_told(facts: UnitInfo, journal: tuple[str, ...], why: str) -> None:
    failed = diagnose_unit(facts, journal, ())
    assert why in failed.why
    assert failed.remedy
    assert failed.journal == journal
