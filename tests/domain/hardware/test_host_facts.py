"""What a machine is, from the outputs of several, and from both sources together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitui.domain.hardware.info import NATIVE, HostInfo, merge_host_info
from aitui.domain.hardware.info_output import parse_host_info
from aitui.domain.hardware.sample import SampleSource
from aitui.domain.hardware.script import INFO_SCRIPT, host_info_command
from domain.hardware.recorded_outputs import output

KIB = 1 << 10
NOW = 1_788_000_000.0


def facts(name: str) -> HostInfo:
    return parse_host_info(output(f"facts-{name}.txt").encode(), NOW)


def of_section(name: str, *lines: str) -> HostInfo:
    text = "\n".join((f"@aitui {name}", *lines, "@aitui end", ""))
    return parse_host_info(text.encode(), NOW)


def test_a_recorded_machine_is_told_whole() -> None:
    assert facts("debian-container") == HostInfo(
        system="Debian GNU/Linux 12 (bookworm)",
        kernel="Linux 6.18.44-fc-v669",
        architecture="x86_64",
        environment="Docker container",
        processor="AMD EPYC",
        sockets=1,
        cores=2,
        threads=2,
        memory_bytes=24_684_084 * KIB,
        booted_at=NOW - 3202.63,
    )


def test_threads_of_one_core_are_one_core() -> None:
    found = facts("ubuntu-xeon")
    assert (found.sockets, found.cores, found.threads) == (1, 22, 44)
    assert found.processor == "Intel(R) Xeon(R) CPU E5-2699 v4 @ 2.20GHz"
    assert found.environment == NATIVE


def test_cores_of_two_sockets_count_twice() -> None:
    found = facts("fedora-two-sockets")
    assert (found.sockets, found.cores, found.threads) == (2, 48, 96)
    assert found.system == "Fedora Linux 42 (Server Edition)"
    assert found.nvidia_driver == ""


def test_processors_that_have_no_name_in_the_kernel_have_that_of_lscpu() -> None:
    found = facts("gb10")
    assert found.processor == "Cortex-X925 + Cortex-A725"
    assert (found.sockets, found.cores, found.threads) == (None, None, 20)
    assert found.architecture == "aarch64"


@pytest.mark.parametrize(
    ("name", "version"),
    [("ubuntu-xeon", "580.173.02"), ("gb10", "580.95.05"), ("wsl", "581.29"), ("macos", "")],
)
def test_the_driver_is_told_by_its_module_or_by_nvidia_smi(name: str, version: str) -> None:
    assert facts(name).nvidia_driver == version


@pytest.mark.parametrize(
    "said", ["[N/A]", "No devices were found", "", "NVIDIA-SMI has failed", "5"]
)
def test_a_driver_that_does_not_answer_has_no_version(said: str) -> None:
    assert of_section("nvidia", said).nvidia_driver == ""


def test_a_machine_without_systemd_does_not_tell_what_it_runs_in() -> None:
    found = facts("alpine-machine")
    assert found.environment == ""
    assert found.system == "Alpine Linux v3.22"


def test_a_machine_without_proc_tells_its_kernel() -> None:
    assert facts("macos") == HostInfo(kernel="Darwin 24.6.0", architecture="arm64")


@pytest.mark.parametrize(
    ("lines", "name"),
    [
        (['NAME="Arch Linux"', 'PRETTY_NAME="Arch Linux"'], "Arch Linux"),
        (["NAME=NixOS", 'PRETTY_NAME="NixOS 25.05 (Warbler)"'], "NixOS 25.05 (Warbler)"),
        (["NAME='openSUSE Leap'", "VERSION_ID=15.6"], "openSUSE Leap 15.6"),
        (["NAME=Void"], "Void"),
        (['PRETTY_NAME="Pop!_OS \\"22.04\\""'], 'Pop!_OS "22.04"'),
        (['PRETTY_NAME="Cut off'], "Cut off"),
        (['PRETTY_NAME=""', 'NAME="Own"'], "Own"),
        (["PRETTY_NAME"], ""),
        (['PRETTY_NAME="\x1b]0;owned\x07Red"'], "Red"),
    ],
)
def test_a_system_has_the_name_that_it_gives_itself(lines: list[str], name: str) -> None:
    assert of_section("system", *lines).system == name


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["container none", "machine kvm"], "KVM virtual machine"),
        (["container podman", "machine kvm"], "Podman container"),
        (["container systemd-nspawn", "machine none"], "systemd-nspawn container"),
        (["container wsl", "machine none"], "WSL"),
        (["container docker"], "Docker container"),
        (["container none", "machine none"], NATIVE),
        (["container ", "machine "], ""),
        (["container Failed to detect", "machine none"], ""),
    ],
)
def test_a_container_counts_before_the_machine_that_it_is_on(lines: list[str], words: str) -> None:
    assert of_section("environment", *lines).environment == words


@pytest.mark.parametrize("lines", [["cpu\t\t: POWER9, altivec supported"], ["uarch\t: thead,c906"]])
def test_other_architectures_name_their_processor_in_another_place(lines: list[str]) -> None:
    found = of_section("processors", "processor\t: 0", *lines)
    assert found.processor == lines[0].partition(": ")[2]
    assert found.threads == 1


@pytest.mark.parametrize("said", ["", "soon", "-5.0 1", "1e300 2", "nan", "99999999999.0 1"])
def test_a_time_since_the_start_that_no_machine_has_is_unknown(said: str) -> None:
    assert of_section(f"uptime {said}").booted_at is None


@given(st.binary(max_size=400))
def test_no_output_is_broken_enough_to_fail(noise: bytes) -> None:
    whole = output("facts-debian-container.txt").encode()
    for text in (noise, whole[: len(noise)] + noise, noise + b"\n" + whole):
        found = parse_host_info(text, NOW)
        assert "\x1b" not in repr(found.non_empty_fields())
        assert len(found.system) <= 100


@given(st.sampled_from(["system", "processors", "environment", "nvidia", "lscpu"]), st.text())
def test_no_section_is_broken_enough_to_fail(section: str, text: str) -> None:
    for line in (text, f"PRETTY_NAME={text}", f"processor : {text}", f"container {text}"):
        of_section(section, line)


def test_nobody_runs_more_threads_than_there_are_numbers_for() -> None:
    lines = ["processor : 0"] * 70_000
    assert of_section("processors", *lines).threads is None


def test_the_host_counts_before_the_server_and_each_fact_says_who_told_it() -> None:
    host = HostInfo(system="Debian GNU/Linux 12", environment=NATIVE, threads=16, booted_at=5.0)
    server = HostInfo(
        system="Debian 12.11", environment="Docker container", threads=16, cores=8, kernel="Linux 6"
    )
    found = merge_host_info(host, server)
    assert (found.system, found.environment) == ("Debian GNU/Linux 12", NATIVE)
    assert (found.cores, found.kernel, found.booted_at) == (8, "Linux 6", 5.0)
    assert found.origins["system"] is SampleSource.HOST
    assert found.origins["cores"] is found.origins["kernel"] is SampleSource.SERVER
    assert found.origins.keys() == found.non_empty_fields().keys()


def test_cores_of_another_number_of_threads_are_those_of_something_else() -> None:
    found = merge_host_info(HostInfo(threads=20), HostInfo(threads=4, cores=2, sockets=1))
    assert (found.sockets, found.cores, found.threads) == (None, None, 20)


def test_nobody_tells_nothing() -> None:
    assert merge_host_info(None, None) == HostInfo()


def test_nothing_reaches_the_text_of_the_command() -> None:
    assert host_info_command()[2:] == (INFO_SCRIPT, "aitui", "", "8")
    assert host_info_command(without_tools=True, tool_seconds=1)[2:] == (
        INFO_SCRIPT,
        "aitui",
        "tools",
        "1",
    )
