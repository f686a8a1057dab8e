"""A context size changed from the table and from the shell: written, in force, and taken back."""

import asyncio
import re
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from aitui.demo.dialect import Dialect
from aitui.ui.screens.steps import StepsScreen
from cli.command_line import CommandLine
from e2e.config_change.answering import running_commands
from e2e.config_change.conftest import Administered
from e2e.service.user_manager import CONFIG
from ui.driven import Driven, driven

CHANGED = CONFIG.replace("--ctx-size 65536", "--ctx-size 131072")


async def change(app: Driven, size: str) -> None:
    await app.see("small")
    app.go_to("small")
    app.burst("c", *size, "enter")
    await app.armed()
    await app.see(f"+ --ctx-size {size}", "− --ctx-size 65536")
    await app.answer("y")


async def test_keys_change_exactly_these_digits_and_the_model_runs_with_them(
    administered: Administered, tmp_path: Path
) -> None:
    await keys_change_the_size(administered, tmp_path)


@pytest.mark.parametrize(
    "on_this_machine", [Dialect.V217, Dialect.HEAD, Dialect.V263], indirect=True
)
async def test_every_build_runs_with_the_new_size(
    on_this_machine: Administered, tmp_path: Path
) -> None:
    await keys_change_the_size(on_this_machine, tmp_path)


async def keys_change_the_size(administered: Administered, tmp_path: Path) -> None:
    async with driven(administered.server, tmp_path / "aitui") as app:
        await change(app, "131072")
        await app.see("✓ verify", "runs with a context of 131,072")
        assert administered.config.read_text() == CHANGED
        commands = await running_commands(administered.server.url)
        assert "--ctx-size 131072" in commands["small"]
        await app.press("escape")
        await app.until(lambda: app.model("small").context.tokens == 131072)
        await app.see("128k")


async def test_a_prompt_that_is_too_long_is_sent_after_one_key_has_made_room(
    on_this_machine: Administered, tmp_path: Path
) -> None:
    prompt = "a line of what was pasted\n" * 11_000
    async with driven(on_this_machine.server, tmp_path / "aitui", size=(120, 36)) as app:
        await app.see("small")
        app.go_to("small")
        await app.press("enter")
        await app.until(lambda: app.controllers.chat.chat is not None, "chatting")
        app.models.chat.prompt.set_text(prompt)
        await app.press("enter")
        await app.told("^g makes it 128k")
        assert app.models.chat.prompt.text == prompt
        await app.press("ctrl+g")
        await app.see("131072")
        await app.answer("y")
        await app.see("✓ verify", "runs with a context of 131,072")
        await app.press("escape", "enter")
        await app.until(lambda: app.models.chat.is_replying, "sent")
        chat = app.controllers.chat.chat
        assert chat is not None
        await app.until(lambda: bool(chat.reply and len(chat.reply.reasoning)), "answered")
        assert "more context" not in app.text


async def test_undo_restores_the_file_byte_for_byte_and_the_model_runs_as_before(
    on_this_machine: Administered, tmp_path: Path
) -> None:
    async with driven(on_this_machine.server, tmp_path / "aitui") as app:
        await change(app, "131072")
        await app.see("✓ verify")
        await app.press("escape")
        app.app.action_undo_change()
        await app.armed()
        await app.see("Undo the last change", "small", ["131072", "→", "65536"][0])
        await app.answer("y")
        await app.see("✓ verify", "runs with a context of 65,536")
        assert isinstance(app.app.screen, StepsScreen)
        assert app.app.screen.expected_load_time is not None
        assert on_this_machine.config.read_text() == CONFIG
        commands = await running_commands(on_this_machine.server.url)
        assert "--ctx-size 65536" in commands["small"]


async def test_a_value_that_kills_the_model_ends_with_the_old_one_and_the_reason(
    on_this_machine: Administered, tmp_path: Path
) -> None:
    async with driven(on_this_machine.server, tmp_path / "aitui") as app:
        await change(app, "262144")
        await app.see("Put the old value back?", "out of memory")
        await app.answer("y")
        await app.see("The old value is back", "✓ verify", "out of memory")
        assert on_this_machine.config.read_text() == CONFIG
        await app.press("escape")
        await app.until_ready("small")
        commands = await running_commands(on_this_machine.server.url)
        assert "--ctx-size 65536" in commands["small"]


async def test_the_environment_of_a_model_is_changed_and_proven_by_the_model_itself(
    on_this_machine: Administered, tmp_path: Path
) -> None:
    async with driven(on_this_machine.server, tmp_path / "aitui") as app:
        await app.see("from-the-environment")
        app.go_to("from-the-environment")
        await app.press("c", *"32768", "enter")
        await app.answer("y")
        await app.see("✓ verify", "runs with a context of 32,768 tokens")
        expected = CONFIG.replace("CTX_SIZE=16384", "CTX_SIZE=32768")
        assert on_this_machine.config.read_text() == expected


async def test_a_change_is_shown_with_the_numbers_of_its_lines(
    on_this_machine: Administered, tmp_path: Path
) -> None:
    async with driven(on_this_machine.server, tmp_path / "aitui", size=(120, 36)) as app:
        await app.see("small")
        app.go_to("small")
        await app.press("c", *"131072", "enter")
        await app.armed()
        await app.see("+ --ctx-size 131072", "the new value is verified")
        assert re.search(r"\d +−", app.text)


async def test_back_returns_to_the_field_with_its_text(
    on_this_machine: Administered, tmp_path: Path
) -> None:
    async with driven(on_this_machine.server, tmp_path / "aitui") as app:
        await app.see("small")
        app.go_to("small")
        await app.press("c", *"128k", "enter")
        await app.answer("n")
        await app.see("128k", "131,072 tokens", "● value")
        await app.press("enter")
        await app.answer("escape")
        await app.until(lambda: app.app.screen is app.models, "cancelled")


async def test_no_changes_nothing(on_this_machine: Administered, tmp_path: Path) -> None:
    async with driven(on_this_machine.server, tmp_path / "aitui") as app:
        await app.see("small")
        app.go_to("small")
        await app.press("c", *"131072", "enter")
        await app.answer("escape")
        await app.unsee("Change --ctx-size")
        assert on_this_machine.config.read_text() == CONFIG
        assert not await running_commands(on_this_machine.server.url)


@pytest.fixture
def shell(administered: Administered) -> CommandLine:
    """A user whose environment names the server and its machine."""
    line = CommandLine.towards(administered.server, administered.home)
    line.environment["AI_SERVER_SSH_HOST"] = administered.server.ssh_host
    return line


async def test_the_command_line_changes_it_proves_it_and_takes_it_back(
    administered: Administered, shell: CommandLine
) -> None:
    changed = await shell.run("ctx", "small", "128k", "--yes")
    assert changed.status == 0, changed.err
    assert "✔ verify" in changed.err
    assert administered.config.read_text() == CHANGED
    assert "--ctx-size 131072" in (await running_commands(administered.server.url))["small"]
    undone = await shell.run("undo", "--yes")
    assert undone.status == 0, undone.err
    assert administered.config.read_text() == CONFIG
    journal = await shell.run("journal")
    assert [line.split()[2] for line in journal.out.splitlines()] == ["undone", "done"]


async def test_the_command_line_puts_back_what_kills_the_model_and_fails_with_the_reason(
    administered: Administered, shell: CommandLine
) -> None:
    outcome = await shell.run("ctx", "small", "262144", "--yes")
    assert outcome.status == 1
    assert "out of memory" in outcome.err
    assert administered.config.read_text() == CONFIG
    assert "--ctx-size 65536" in (await running_commands(administered.server.url))["small"]


@asynccontextmanager
async def proxy_with_an_outage(url: str) -> AsyncIterator[str]:
    """A proxy that answers the first load, and everything for a second after it, with 502."""
    loop = asyncio.get_running_loop()
    port, refused_until = int(url.rpartition(":")[2]), [float("inf")]

    async def relay(reader: StreamReader, writer: StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", port)

        async def answer() -> None:
            while data := await server_reader.read(65536):
                writer.write(data)

        answering = asyncio.create_task(answer())
        while request := await reader.read(65536):
            if refused_until[0] == float("inf") and b"/upstream/small/health" in request:
                refused_until[0] = loop.time() + 1.0
            if refused_until[0] < float("inf") and loop.time() < refused_until[0]:
                writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
                break
            server_writer.write(request)
        answering.cancel()
        server_writer.close()
        writer.close()

    async with await asyncio.start_server(relay, "127.0.0.1", 0) as listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        assert refused_until[0] < float("inf")


async def test_a_short_outage_of_the_proxy_does_not_take_a_good_change_back(
    on_this_machine: Administered,
) -> None:
    async with proxy_with_an_outage(on_this_machine.server.url) as url:
        line = CommandLine.towards(replace(on_this_machine.server, url=url), on_this_machine.home)
        line.environment["AI_SERVER_SSH_HOST"] = "local"
        outcome = await line.run("ctx", "small", "128k", "--yes")
    assert outcome.status == 0, outcome.err
    assert "✔ verify" in outcome.err
    assert on_this_machine.config.read_text() == CHANGED


async def test_without_yes_and_terminal_nothing_is_written(
    administered: Administered, shell: CommandLine
) -> None:
    outcome = await shell.run("ctx", "small", "131072")
    assert outcome.status == 6
    assert "--yes" in outcome.err
    assert administered.config.read_text() == CONFIG


async def test_no_reload_writes_and_stops_and_needs_no_server(
    on_this_machine: Administered,
) -> None:
    shell = CommandLine(
        on_this_machine.home,
        {"AI_SERVER_SSH_HOST": "local", "AI_SERVER_URL": "http://127.0.0.1:1"},
    )
    outcome = await shell.run("ctx", "small", "131072", "--yes", "--no-reload")
    assert outcome.status == 0, outcome.err
    assert on_this_machine.config.read_text() == CHANGED


async def test_a_wrapper_that_ignores_the_size_is_not_called_verified(
    on_this_machine: Administered, tmp_path: Path
) -> None:
    text = CONFIG.replace("--ctx-size 65536", "--ctx-size 65536 --pinned-context 4096")
    on_this_machine.config.write_text(text)
    async with driven(on_this_machine.server, tmp_path / "aitui", size=(120, 36)) as app:
        await change(app, "131072")
        await app.see("tokens, not 131,072", "ignores the value", "Put the old value back?")
        await app.press("n")
