"""Commands on a host, on this machine and over SSH: the same answers from both."""

import asyncio
import time
from pathlib import Path

import pytest

from aitui.errors import HostError, HostTimedOut
from aitui.host.base import Host
from host.test_files import HOSTILE_NAMES


async def test_a_command_has_two_outputs_and_a_status(host: Host) -> None:
    finished = await host.run(["sh", "-c", "echo out; echo err >&2; exit 3"])
    assert (finished.stdout, finished.stderr, finished.status) == (b"out\n", b"err\n", 3)


async def test_a_command_without_input_does_not_wait_for_any(host: Host) -> None:
    assert (await host.run(["cat"])).stdout == b""


@pytest.mark.parametrize("word", ["", *HOSTILE_NAMES])
async def test_a_word_arrives_as_it_is(host: Host, word: str) -> None:
    finished = await host.run(["printf", "%s|", word, "next"])
    assert finished.stdout == f"{word}|next|".encode()


async def test_a_word_does_no_harm_as_a_program(host: Host, folder: Path) -> None:
    finished = await host.run([f"$(touch {folder}/harm)"])
    assert finished.status == 127
    assert not list(folder.iterdir())


async def test_a_program_that_is_not_there(host: Host) -> None:
    finished = await host.run(["no-such-program"])
    assert finished.status == 127
    assert b"no-such-program" in finished.stderr


async def test_no_word_contains_a_nul(host: Host) -> None:
    with pytest.raises(HostError):
        await host.run(["echo", "a\0b"])


async def test_a_signal_that_ends_a_command_is_its_status(host: Host) -> None:
    assert (await host.run(["sh", "-c", "kill -s KILL $$"])).status == 128 + 9


async def test_output_is_kept_up_to_a_limit(host: Host) -> None:
    finished = await host.run(["sh", "-c", "head -c 3000000 /dev/zero"], largest=1000)
    assert finished.stdout == b"\0" * 1000
    assert finished.is_truncated


async def test_output_up_to_the_limit_is_whole(host: Host) -> None:
    finished = await host.run(["printf", "12345"], largest=5)
    assert finished.stdout == b"12345"
    assert not finished.is_truncated


async def test_commands_run_side_by_side(host: Host, folder: Path) -> None:
    # Each waits for the other one.
    def waits(own: str, other: str) -> list[str]:
        script = 'touch "$0"; until [ -e "$1" ]; do sleep 0.01; done'
        return ["sh", "-c", script, f"{folder}/{own}", f"{folder}/{other}"]

    both = await asyncio.gather(host.run(waits("a", "b")), host.run(waits("b", "a")))
    assert [finished.status for finished in both] == [0, 0]


# Writes the numbers of two processes: its own and that of a child that holds the pipes.
SLEEPERS = 'sleep 600 & echo $! > "$0.new"; echo $$ >> "$0.new"; mv "$0.new" "$0"; wait'


async def are_gone(path: Path) -> bool:
    for _ in range(500):
        if not any(_runs(int(number)) for number in path.read_text().split()):
            return True
        await asyncio.sleep(0.02)
    return False


def _runs(number: int) -> bool:
    try:
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def test_a_command_that_takes_too_long_is_ended_with_its_children(
    host: Host, folder: Path
) -> None:
    started = folder / "numbers"
    with pytest.raises(HostTimedOut) as caught:
        await host.run(["sh", "-c", SLEEPERS, str(started)], seconds=1.0)
    assert "sh did not end within 1 seconds" in str(caught.value)
    assert await are_gone(started)


async def test_a_cancelled_command_is_ended_with_its_children(host: Host, folder: Path) -> None:
    started = folder / "numbers"
    running = asyncio.create_task(host.run(["sh", "-c", SLEEPERS, str(started)]))
    while not started.exists():
        await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await are_gone(started)


@pytest.mark.parametrize("turns", range(6))
async def test_a_command_cancelled_while_it_starts_is_ended_with_its_children(
    host: Host, folder: Path, turns: int
) -> None:
    await host.run(["true"])  # connected
    started = folder / "numbers"
    running = asyncio.create_task(host.run(["sh", "-c", SLEEPERS, str(started)]))
    for _ in range(turns):
        await asyncio.sleep(0)
    time.sleep(0.2)  # noqa: ASYNC251 - the command gets further than the loop
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    if started.exists():
        assert await are_gone(started)


async def test_a_command_that_writes_for_ever_is_ended(host: Host) -> None:
    with pytest.raises(HostTimedOut):
        await host.run(["yes"], seconds=0.5, largest=100)


async def test_the_host_answers_after_a_command_was_ended(host: Host) -> None:
    with pytest.raises(HostTimedOut):
        await host.run(["sleep", "600"], seconds=0.2)
    assert (await host.run(["echo", "here"])).stdout == b"here\n"
