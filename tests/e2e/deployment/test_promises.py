"""What only real deployments showed to be broken, gone through with keys, on each build."""

import asyncio
import base64
import os
import re
import shlex
import signal
import sys

import pytest

from aitui.demo.dialect import Dialect
from e2e.deployment.deployment import Deployment, answer, find_detail, paste, read_messages
from e2e.pseudo_terminal.terminal import PATIENCE, Terminal, terminal
from watched import beside

pytestmark = [
    pytest.mark.real_server("systemd"),
    pytest.mark.real_server("openssh-server"),
]

ESCAPE = "\x1b"
CLEAR = "\x15"
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


async def reload(shown: Terminal) -> None:
    """Have the server read its config file again."""
    shown.press("H")
    await answer(shown, "Reload the server's config file?")
    await shown.see("✓ reload", "✓ answer", "Reloaded")
    shown.press(ESCAPE)
    await shown.unsee("✓ answer")


async def clear_size(shown: Terminal) -> None:
    """Empty the field of a size, and see it empty: Textual handles letters before earlier ^u."""
    shown.press(CLEAR)
    await shown.see("64k, 0.25M, or")


async def ask_for_context(shown: Terminal, size: int) -> None:
    """Type another context size for the model under the cursor."""
    shown.press("c")
    await shown.see("⏎ Review", "Esc Cancel")
    await clear_size(shown)
    shown.press(f"{size}\r")


async def open_chat(shown: Terminal) -> None:
    """Chat with the model under the cursor."""
    shown.press("\r")
    await shown.see("⏎ sends")


async def undo(shown: Terminal) -> None:
    """Choose Undo in the palette."""
    shown.press(":")
    await shown.see("type to find")
    shown.press("undo")
    await shown.unsee("cancel a request")
    shown.press("\r")


@pytest.mark.deployment
async def test_a_file_that_llama_swap_refuses_is_neither_reloaded_nor_started(
    deployment: Deployment,
) -> None:
    good = deployment.config
    async with deployment.table("small") as shown:
        deployment.machine.write_config("models: [nonsense\n")
        shown.press("H")
        await shown.told("Not reloaded: llama-swap would reject its config file")
        await read_messages(shown, "config.yaml:2:1: while parsing a flow sequence")
        shown.press("R")
        await shown.told("Not restarted: llama-swap would reject its config file")
        await read_messages(shown, "fix that line first (5)")
        for command in ("reload", "restart"):
            status, words = await deployment.shell(command, "--yes")
            assert status == 1
            assert "config.yaml:2:1: while parsing a flow sequence" in words
            assert "fix that line first (aitui preset)" in words
        assert deployment.machine.answers()
        deployment.machine.write_config(good)
        await reload(shown)


@pytest.mark.deployment
async def test_a_load_goes_on_without_being_watched(deployment: Deployment) -> None:
    async with deployment.table("napping") as shown:
        shown.press("l")
        await shown.see("napping", "loading")
        shown.press(ESCAPE * 2)
        await shown.told("napping is still loading. Press u to abort.")
        shown.press("q")
        await shown.see("Quit aitui?", "napping is still loading.", "▸ n Stay")
        shown.press("n")
        await shown.told("napping is ready after")
        await find_detail(shown, "● ready", "unloads in 5")


@pytest.mark.deployment
async def test_an_unload_that_nobody_asked_for_is_explained(deployment: Deployment) -> None:
    goes_at_once = not deployment.dialect.traits.load_counts_as_use
    async with deployment.table("napping") as other:
        async with deployment.table("napping") as shown:
            shown.press("l")
            await shown.see("loading")
            shown.press("q")
            fate = "may unload it" if goes_at_once else "keeps loading it"
            await answer(shown, f"llama-swap {fate}")
            assert await shown.ends() == 0
        await other.see("● napping")
        if goes_at_once:
            await other.see("○ napping", "unloaded")
            await find_detail(other, "as soon as it was ready: the client that requested it")
        else:
            await find_detail(other, "● ready", "unloads in 5")


@pytest.mark.deployment
async def test_the_memory_of_a_model_stays_what_it_is(deployment: Deployment) -> None:
    async with deployment.table("small") as shown:
        for _ in range(3):
            shown.press("l")
            await shown.see("● small")
            await find_detail(shown, "7.8 GB", "weights")
            shown.press("u")
            await shown.see("▌○ small")
            await find_detail(shown, "7.8 GB")
        shown.press("q")
        assert await shown.ends() == 0
    async with deployment.table("small") as shown:
        await find_detail(shown, "7.8 GB")


@pytest.mark.deployment
async def test_the_reason_of_a_failure_is_that_of_the_last_run(deployment: Deployment) -> None:
    async with deployment.table("broken") as shown:
        shown.press("l")
        await find_detail(shown, "out of memory: 4096.00 MiB did not fit")
        deployment.write_config("--fail-oom 0.1", "--fail-missing-file")
        await reload(shown)
        shown.press("l")
        detail = await find_detail(shown, "the file /models/broken.gguf does not exist")
        assert "out of memory" not in detail
        deployment.write_config("--fail-missing-file", "--fail-oom 0.1")
        await reload(shown)
        shown.press("l")
        await find_detail(shown, "out of memory: 4096.00 MiB did not fit")


async def test_a_load_that_is_given_up_in_the_queue_is_removed_from_it(
    deployment: Deployment,
) -> None:
    async with deployment.chatting("talking"), deployment.table("small") as shown:
        shown.press("l")
        await shown.see("the load waits for it")
        await answer(shown, "Load small?")
        await shown.see("waits ")
        await find_detail(shown, "the server has not started loading it", "u aborts")
        shown.press("u")
        await shown.told("Stopped waiting for small")
        if deployment.dialect is Dialect.V218:
            await shown.see("queued ")
            await find_detail(shown, "still queued", "will load it later and evict talking")
            shown.press("u")
            await shown.told("small is no longer queued at the server")
        await shown.see("▌○ small")
    assert await deployment.running() == {"talking": "ready"}


async def test_an_image_that_is_refused_is_named_and_detached(deployment: Deployment) -> None:
    image = deployment.home / "cat.png"
    image.write_bytes(PNG)
    async with deployment.table("talking") as shown:
        await open_chat(shown)
        shown.press(f"/file {image}\r")
        await shown.see("▣ cat.png ×")
        shown.press("what is that?\r")
        await shown.told("talking rejected an image: cat.png is detached")
        await shown.unsee("▣ cat.png")
        shown.press("\r")
        await shown.see("tok/s")


@pytest.mark.deployment
async def test_a_change_that_was_cut_off_is_told_at_once_and_undone(
    deployment: Deployment,
) -> None:
    before = deployment.config
    async with deployment.table("small") as shown:
        await ask_for_context(shown, 32768)
        folder = deployment.machine.config.parent
        confirming = answer(shown, "Change --ctx-size of small to 32k?")
        async with beside(confirming), asyncio.timeout(PATIENCE):
            while len(list(folder.iterdir())) == 1:
                await asyncio.sleep(0.001)
            # Each answer of the machine takes its time now: the file is renamed, and nobody knows yet.
            deployment.ssh.delay = 0.05
            while deployment.config == before:
                await asyncio.sleep(0.001)
            os.kill(shown.pid, signal.SIGKILL)
        await shown.ends()
        deployment.ssh.delay = 0.0
    async with deployment.table("small") as shown:
        await shown.told("The change of small")
        await read_messages(shown, "was interrupted: the new file is in place")
        await undo(shown)
        await shown.see("Undo the last change to the config file?", "--ctx-size 65536 → 32768")
        await answer(shown, "Undo the last change to the config file?")
        await shown.see("✓ verify", "Undone")
    assert deployment.config == before


@pytest.mark.deployment
async def test_only_a_file_that_was_not_read_is_called_newer(deployment: Deployment) -> None:
    newer = "the server still runs an older version"
    async with deployment.table("small") as shown:
        await asyncio.sleep(2.1)  # later than the start by what systemd and file systems round away
        deployment.write_config("65536", "32768")
        shown.press("5")
        await shown.see(newer, "H reload")
        deployment.machine.systemctl("kill", "--kill-whom=main", "--signal=HUP", "llama-swap")
        await asyncio.sleep(0.3)
        shown.press("\x1b[15~")
        await shown.unsee(newer)
        assert "is unknown whether" not in shown.text
        await asyncio.sleep(2.1)
        deployment.write_config("32768", "16384")
        shown.press("\x1b[15~")
        await shown.see(newer)
        assert (await deployment.shell("reload", "--yes"))[0] == 0
        shown.press("\x1b[15~")
        await shown.unsee(newer)
        assert "is unknown whether" not in shown.text


async def test_a_ready_model_that_dies_has_crashed(deployment: Deployment) -> None:
    async with deployment.table("frail") as shown:
        await open_chat(shown)
        shown.press("hello\r")
        await shown.told("frail crashed: upstream exited unexpectedly")
        await shown.see("✘ frail", "crashed")
        shown.press(ESCAPE)
        await shown.see("i write")
        shown.press(ESCAPE)
        await find_detail(shown, "upstream exited unexpectedly", "CUDA error: an illegal memory")


async def test_a_value_that_stands_already_unloads_nobody(deployment: Deployment) -> None:
    async with deployment.table("small") as shown:
        shown.press("l")
        await shown.see("● small")
        await ask_for_context(shown, 65536)
        await shown.told("It is 65536 already")
        assert await deployment.running() == {"small": "ready"}
        deployment.write_config("65536", "32768")
        await ask_for_context(shown, 32768)
        await shown.see("Reload the server's config file?", "▌small")


@pytest.mark.deployment
async def test_a_short_outage_takes_nothing_back(deployment: Deployment) -> None:
    async with deployment.table("napping") as shown:
        await ask_for_context(shown, 8192)
        await answer(shown, "Change --ctx-size of napping to 8k?")
        await shown.see("✓ reload", "◑ load")
        await deployment.http.cut()
        await shown.until(lambda: re.search(r"✘ lost for [0-4] s", shown.text), "just lost")
        await asyncio.sleep(2.5)
        await deployment.http.open()
        await shown.see("✓ load", "✓ verify", "ctx-size is 8k now")
    assert "--ctx-size 8192" in deployment.config


@pytest.mark.deployment
async def test_only_a_failed_load_offers_the_old_value(deployment: Deployment) -> None:
    before = deployment.config
    async with deployment.table("small") as shown:
        await ask_for_context(shown, 262144)
        await answer(shown, "Change --ctx-size of small to 256k?")
        await answer(shown, "Put the old value back?")
        await shown.see("The old value is back and works.", "out of memory")
        shown.press(ESCAPE)
        await shown.unsee("The old value is back")
        shown.press("c")
        await shown.see("⏎ Review", "Esc Cancel")
        await clear_size(shown)
        shown.press("262144")
        await shown.see("✘", "it ran out of memory with 262,144")
    assert deployment.config == before


@pytest.mark.deployment
async def test_a_restart_says_for_what_it_waits(deployment: Deployment) -> None:
    async with deployment.table("talking") as shown:
        async with deployment.chatting("talking"):
            await shown.see("● talking")
            await open_chat(shown)
            shown.press("hello\r")
            await shown.see("^c stop")
            shown.press(ESCAPE)
            await shown.see("i write")
            shown.press(ESCAPE)
            await shown.see("u unload")
            shown.press("R")
            await shown.see("llama-swap first waits up to 30 s for 2 running requests to end")
            await answer(shown, "Restart llama-swap.service?")
            await shown.see("waits for 2 running requests, at most 2")
            shown.press(ESCAPE)
            await shown.unsee("at most 2")
            await shown.see("◌ restarts, ≤ 2")
            shown.press("\r")
            await shown.see("waiting, the server restarts within 2")
            assert "0.00 tok/s" not in shown.text
            shown.press("\x03")
        await shown.told("Restarted")
        await shown.unsee("◌ restarts")


def editor_of(deployment: Deployment, ours: str, theirs: str) -> str:
    """An editor that makes one change, while somebody else makes another one in the file itself."""
    script = deployment.home / "editor"
    config = shlex.quote(str(deployment.machine.config))
    script.write_text(f'#!/bin/sh\nsed -i "{ours}" "$1"\nsed -i "{theirs}" {config}\n')
    script.chmod(0o755)
    return str(script)


@pytest.mark.deployment
async def test_an_edit_is_merged_with_what_was_written_meanwhile(deployment: Deployment) -> None:
    editor = editor_of(deployment, "s/65536/32768/", "s/ttl: 60/ttl: 90/")
    async with deployment.table("small", EDITOR=editor) as shown:
        shown.press("5")
        await shown.see("# What the machine serves.")
        shown.press("e")
        merged = "your edit, merged with the changes made meanwhile"
        await shown.see("Change the config file?", "--ctx-size 32768")

        async def confirm_both() -> None:
            await answer(shown, "Change the config file?")
            await answer(shown, merged)

        async with beside(confirm_both()):
            await shown.see(merged)
            await shown.see("✓ reload", "The file is changed")
    assert "--ctx-size 32768" in deployment.config
    assert "ttl: 90" in deployment.config


@pytest.mark.deployment
async def test_an_edit_that_conflicts_is_kept(deployment: Deployment) -> None:
    editor = editor_of(deployment, "s/65536/32768/", "s/65536/16384/")
    async with deployment.table("small", EDITOR=editor) as shown:
        shown.press("5")
        await shown.see("# What the machine serves.")
        shown.press("e")
        await answer(shown, "Change the config file?")
        await shown.see("Meanwhile, another program changed the same lines of the file.")
        await answer(shown, "Resolve the conflicts in the editor?", "n")
        await shown.told("The edit is saved in ")
    kept = [path for path in deployment.home.rglob("*.yaml") if "32768" in path.read_text()]
    assert len(kept) == 1
    assert "--ctx-size 16384" in deployment.config


@pytest.mark.deployment
async def test_a_prompt_that_is_too_long_is_sent_after_one_key_has_made_room(
    deployment: Deployment,
) -> None:
    async with deployment.table("talking") as shown:
        await open_chat(shown)
        await paste(shown, "a line of what was pasted\n" * 800)
        await shown.see("what was pasted")
        shown.press("\r")
        await shown.see("^g more context")
        shown.press(CLEAR)
        await shown.unsee("what was pasted")
        shown.press(CLEAR)
        await shown.see("what was pasted")
        shown.press("\x07")
        await answer(shown, "Change --ctx-size of talking to 8")
        await shown.see("✓ verify", "runs with a context of 8,192 tokens")
        shown.press(ESCAPE)
        await shown.unsee("✓ verify")
        shown.press("\r")
        await shown.see("^c stop", "tok/s")


@pytest.mark.deployment
async def test_a_question_whose_facts_change_says_why_it_ignores_a_yes(
    deployment: Deployment,
) -> None:
    anonymous = deployment.dialect is Dialect.V218
    cut = "1 running request will be cut off." if anonymous else "cuts off 1 request: "
    ignored = "! Something changed: read this again, then press y again."
    async with deployment.table("talking") as shown:
        # A yes is too early for the time of reading alone: on a busy machine ours may come later.
        while ignored not in shown.text:
            shown.press("l")
            await shown.see("● talking")
            shown.press("U")
            await shown.see("Unload the only model?", "No active requests.")
            async with deployment.chatting("talking"):
                await shown.see(cut)
                shown.press("y")
                await shown.until(lambda: ignored in shown.text or "▌○ talking" in shown.text)
                expected = {"talking": "ready"} if ignored in shown.text else {}
                assert await deployment.running() == expected


@pytest.mark.deployment
async def test_a_removal_promises_no_load(deployment: Deployment) -> None:
    async with deployment.table("small") as shown:
        shown.press("5")
        await shown.see("--ctx-size 65536")
        shown.press("\x1b[3~")
        await shown.see("Remove small?")
        assert "small is loaded" not in shown.text
        await answer(shown, "Remove small?")
        await shown.see("✓ reload", "– load", "– verify", "The file is changed")
    assert "small:" not in deployment.config


@pytest.mark.deployment
async def test_a_followed_log_ends_with_its_reader(deployment: Deployment) -> None:
    command = f"{sys.executable} -m aitui logs small -f | head -n 1"
    program = ("-c", f"import subprocess; subprocess.run({command!r}, shell=True, check=True)")
    async with deployment.table("small") as shown:
        shown.press("l")
        await shown.see("● small")
    async with terminal((), deployment.environment, program=program) as shown:
        assert await shown.ends() == 0
        assert "build 10605" in shown.text
