"""Everything that keeps a unit from coming up is recognized and explained, on a real systemd."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from aitui.errors import HostError, ServiceFailed
from aitui.host.service import SystemdService
from e2e.service.inside import Inside
from e2e.service.installed import UNIT_TEXT
from e2e.service.user_manager import ACCOUNT, UNIT, UserManager

pytestmark = [pytest.mark.real_server("systemd"), pytest.mark.real_server("openssh-server")]

SLEEPS = "ExecStart=/bin/sleep 100"
LLAMA_SWAP = "ExecStart=%h/bin/llama-swap"


async def trouble_of(
    systemd: UserManager, host: Inside, name: str, *settings: str
) -> ServiceFailed:
    """What is said of a unit with these settings once it has been started."""
    lines = "\n".join(settings)
    systemd.write_unit(f"[Service]\n{lines}\n[Install]\nWantedBy=default.target\n", name)
    service = SystemdService(host, name)
    try:
        await service.restart()
    except ServiceFailed as failed:
        return failed
    async with asyncio.timeout(10):
        while (trouble := await service.find_failure()) is None:
            await asyncio.sleep(0.02)
    return trouble


async def test_a_unit_that_runs_has_no_trouble(service: SystemdService) -> None:
    assert await service.find_failure() is None
    assert await service.faults() == ()


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("other-user.service", "User=nobody"),
        ("no-such-user.service", "User=nobody-at-all"),
        ("other-group.service", "Group=daemon"),
        ("no-such-group.service", "Group=nobody-at-all"),
    ],
)
async def test_a_user_or_group_in_a_users_unit(
    systemd: UserManager, host: Inside, name: str, setting: str
) -> None:
    failed = await trouble_of(systemd, host, name, SLEEPS, setting)
    assert f"{setting} is set in a user unit" in failed.why
    assert "can't switch users" in failed.why
    assert "remove that line" in failed.remedy


async def test_a_program_that_is_not_there(systemd: UserManager, host: Inside) -> None:
    failed = await trouble_of(
        systemd, host, "no-program.service", "ExecStart=/opt/no/llama-swap -listen :1"
    )
    assert failed.what == "no-program.service did not start"
    assert failed.why.startswith("/opt/no/llama-swap can't be run")
    assert "no-program.service" in failed.remedy
    assert any("No such file" in line for line in failed.journal)


async def test_the_flags_of_the_guide_which_llama_swap_does_not_have(
    systemd: UserManager, host: Inside
) -> None:
    failed = await trouble_of(
        systemd, host, "guide.service", f"{LLAMA_SWAP} --host 0.0.0.0 --port 8080"
    )
    assert failed.why == "llama-swap has no option --host and --port"
    assert "-listen ADDRESS:PORT" in failed.remedy


async def test_another_flag_that_is_unknown(systemd: UserManager, host: Inside) -> None:
    failed = await trouble_of(systemd, host, "flag.service", f"{LLAMA_SWAP} -watch")
    assert failed.why == "its command has a flag that is unknown: -watch"
    assert any("flag provided but not defined" in line for line in failed.journal)


async def test_a_port_that_is_taken(machine: UserManager, host: Inside) -> None:
    failed = await trouble_of(
        machine,
        host,
        "taken.service",
        f"{LLAMA_SWAP} -listen 127.0.0.1:{machine.port} -config %h/.config/llama-swap/config.yaml",
    )
    assert "address already in use" in failed.why
    assert "ss -ltnp" in failed.remedy


async def test_a_config_file_that_is_not_there(systemd: UserManager, host: Inside) -> None:
    failed = await trouble_of(systemd, host, "lost.service", f"{LLAMA_SWAP} -config /no/such.yaml")
    assert "its config file was rejected" in failed.why
    assert "/no/such.yaml" in failed.why


async def test_a_unit_that_ends_again_and_again(systemd: UserManager, host: Inside) -> None:
    failed = await trouble_of(
        systemd, host, "again.service", "ExecStart=/bin/sh -c 'exit 3'", "Restart=always"
    )
    async with asyncio.timeout(10):
        while "in a row" not in failed.why:
            failed = await SystemdService(host, "again.service").find_failure() or failed
            await asyncio.sleep(0.02)
    assert "with exit status 3" in failed.why
    assert failed.remedy.endswith("systemctl --user reset-failed again.service, and restart it")


async def test_a_unit_that_systemd_does_not_start_again_so_soon(
    systemd: UserManager, host: Inside
) -> None:
    systemd.write_unit("[Service]\nExecStart=/bin/sleep 100\n", "often.service")
    service = SystemdService(host, "often.service")
    for _ in range(5):
        await service.restart()
    with pytest.raises(ServiceFailed) as refused:
        await service.restart()
    assert refused.value.what == "often.service can't be restarted"
    assert "too often" in refused.value.why
    assert "reset-failed often.service" in refused.value.remedy


async def test_a_masked_unit(systemd: UserManager, host: Inside) -> None:
    systemd.unit_file.with_name("masked.service").symlink_to("/dev/null")
    systemd.systemctl("daemon-reload")
    with pytest.raises(ServiceFailed, match=r"masked\.service can't be restarted") as refused:
        await SystemdService(host, "masked.service").restart()
    assert "it is masked" in refused.value.why
    assert refused.value.remedy == "systemctl --user unmask masked.service"


async def test_a_setting_that_systemd_refuses(systemd: UserManager, host: Inside) -> None:
    failed = await trouble_of(systemd, host, "refused.service", "Type=oneshot-or-so", "Restart=on")
    assert "bad unit file setting" in failed.why
    assert "systemd-analyze --user verify refused.service" in failed.remedy


async def test_a_unit_that_was_never_started(systemd: UserManager, host: Inside) -> None:
    systemd.write_unit(f"[Service]\n{SLEEPS}\n[Install]\nWantedBy=default.target\n", "idle.service")
    service = SystemdService(host, "idle.service")
    failed = await service.find_failure()
    assert failed is not None
    assert failed.what == "idle.service isn't running"
    assert "isn't enabled" in failed.why
    assert failed.remedy == "systemctl --user enable --now idle.service"
    with pytest.raises(ServiceFailed, match="can't be reloaded: it isn't running"):
        await service.reload()


async def test_a_unit_that_cannot_be_enabled(systemd: UserManager, host: Inside) -> None:
    systemd.write_unit(f"[Service]\n{SLEEPS}\n", "static.service")
    service = SystemdService(host, "static.service")
    assert not (await service.facts()).enabled
    failed = await service.find_failure()
    assert failed is not None
    assert "can't be enabled" in failed.why
    assert "WantedBy=default.target" in failed.remedy


async def test_the_unit_that_runs_llama_swap_is_named_for_a_wrong_name(
    service: SystemdService, host: Inside
) -> None:
    with pytest.raises(ServiceFailed) as refused:
        await SystemdService(host, "llamaswap").restart()
    assert refused.value.what == "There is no unit llamaswap.service on the machine"
    assert refused.value.why == f"{UNIT} runs llama-swap"
    assert "AI_SERVER_SERVICE_UNIT" in refused.value.remedy


async def test_a_limit_that_systemd_does_not_know_is_a_fault_and_no_trouble(
    systemd: UserManager, host: Inside
) -> None:
    name = "limit.service"
    systemd.write_unit(f"[Service]\n{SLEEPS}\nLimitMEMLOCK_BYTES=infinity\n", name)
    service = SystemdService(host, name)
    assert (await service.restart()).running
    (fault,) = await service.faults()
    assert "systemd has no setting LimitMEMLOCK_BYTES=" in fault.what
    assert "LimitMEMLOCK=infinity" in fault.remedy
    assert not fault.fatal
    systemd.systemctl("stop", name)


async def test_the_unit_as_the_guide_prints_it(machine: UserManager, host: Inside) -> None:
    machine.write_unit(
        UNIT_TEXT.replace("-listen 127.0.0.1:{port}", "--host 0.0.0.0 --port 8080")
        .replace("LimitNOFILE=1024", "User=ai-server\nGroup=ai-server\nLimitMEMLOCK_BYTES=infinity")
        .replace("default.target", "multi-user.target")
    )
    faults = await SystemdService(host, UNIT).faults()
    assert [fault.fatal for fault in faults] == [True, True, True, False, False]


@pytest.mark.parametrize(
    "call",
    [SystemdService.facts, SystemdService.reload, SystemdService.restart, SystemdService.journal],
)
@pytest.mark.parametrize(
    "name", ["*", "llama-?wap", "a b", "$(touch /tmp/x)", "a;b", "x\ny", "", "../x", "a" * 300, "é"]
)
async def test_a_name_that_is_none_is_never_sent(
    systemd: UserManager,
    host: Inside,
    name: str,
    call: Callable[[SystemdService], Awaitable[object]],
) -> None:
    with pytest.raises(ServiceFailed, match="is not a valid unit name"):
        await call(SystemdService(host, name))
    assert host.commands == []


async def test_a_name_like_an_option_is_no_option(systemd: UserManager, host: Inside) -> None:
    facts = await SystemdService(host, "--all").facts()
    assert not facts.exists
    assert facts.unit == "--all.service"


async def test_no_systemd_on_the_machine(systemd: UserManager) -> None:
    bare = Inside(systemd, surroundings=("PATH=/nowhere:/mnt/home/nothing",))
    with pytest.raises(HostError):
        await SystemdService(bare, UNIT).facts()


async def test_no_systemctl_among_the_programs(systemd: UserManager) -> None:
    programs = systemd.home / "programs"
    programs.mkdir(exist_ok=True)
    for name in ("env", "id", "cat"):
        link = programs / name
        link.unlink(missing_ok=True)
        link.symlink_to(f"/usr/bin/{name}")
    bare = Inside(systemd, surroundings=("PATH=/mnt/home/programs",))
    with pytest.raises(ServiceFailed, match="There is no systemd on the machine") as failed:
        await SystemdService(bare, UNIT).restart()
    assert "systemctl is missing" in failed.value.why


async def test_a_login_whose_systemd_does_not_run_is_told_of_lingering(
    systemd: UserManager,
) -> None:
    stranger = Inside(systemd, session=False, number=1)
    with pytest.raises(ServiceFailed, match="user's systemd does not respond") as failed:
        await SystemdService(stranger, UNIT).facts()
    assert "unless lingering is on" in failed.value.why
    assert "loginctl enable-linger" in failed.value.remedy


async def test_a_service_without_a_readable_journal_shows_its_status(machine: UserManager) -> None:
    programs = machine.home / "mute"
    programs.mkdir(exist_ok=True)
    (programs / "journalctl").write_text("#!/bin/sh\nexit 1\n")
    (programs / "journalctl").chmod(0o755)
    mute = Inside(machine, surroundings=("PATH=/mnt/home/mute:/usr/bin:/bin",))
    lines = await SystemdService(mute, UNIT).journal(20)
    assert any("Active: active (running)" in line for line in lines)


async def test_lingering_of_another_login_counts_for_nothing(
    machine: UserManager, service: SystemdService
) -> None:
    linger = machine.there / "var/lib/systemd/linger"
    (linger / f"{ACCOUNT}2").touch()
    assert (await service.facts()).linger is False


async def test_a_login_that_lingers_and_whose_systemd_does_not_run_is_told_so(
    systemd: UserManager,
) -> None:
    linger = systemd.there / "var/lib/systemd/linger/daemon"
    linger.touch()
    with pytest.raises(ServiceFailed, match="user's systemd does not respond") as failed:
        await SystemdService(Inside(systemd, session=False, number=1), UNIT).facts()
    linger.unlink()
    assert failed.value.why == "lingering is on, but it isn't running"
    assert "systemctl restart user@" in failed.value.remedy


async def test_a_unit_of_the_whole_system_is_told_from_one_that_does_not_exist(
    systemd: UserManager,
) -> None:
    programs = systemd.home / "system-wide"
    programs.mkdir(exist_ok=True)
    program = programs / "systemctl"
    program.write_text(
        '#!/bin/sh\n[ "$1" = --user ] && exec /usr/bin/systemctl "$@"\necho LoadState=loaded\n'
    )
    program.chmod(0o755)
    host = Inside(systemd, surroundings=("PATH=/mnt/home/system-wide:/usr/bin:/bin",))
    with pytest.raises(ServiceFailed, match="not a user unit of this login") as refused:
        await SystemdService(host, "everybodys.service").restart()
    assert refused.value.why == "it is a system unit"
    assert "sudo systemctl restart everybodys.service" in refused.value.remedy
