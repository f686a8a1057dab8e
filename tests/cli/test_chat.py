"""`aitui chat` and `aitui status --line` as processes, over TLS with a client certificate."""

import asyncio
import io
import json
import os
import re
import signal
import subprocess
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from aitui.cli.args import parse
from aitui.cli.chat import ReplyPrinter
from aitui.demo.certificates import Certificates
from aitui.domain.chat.reply import GrowingText, Reply
from aitui.domain.snapshot import Server
from cli.command_line import CommandLine, Outcome, finish, interrupt, read_until
from other_client import OtherClient
from services.chat.chatting import BROKEN, CONFIG, DIES, ENDLESS, FAST, LONG
from stand_in import FixedResponse, StandIn
from watched import eventually

DONE, FAILED, USAGE, UNREACHABLE, NO_MODEL, REFUSED, INTERRUPTED = 0, 1, 2, 3, 5, 6, 130


@dataclass
class Shell:
    """Somebody at a shell, and the server that they use."""

    aitui: CommandLine
    stand_in: StandIn
    other: OtherClient

    async def run(self, *arguments: str) -> Outcome:
        return await self.aitui.run(*arguments)

    async def pipe(self, text: str, *arguments: str) -> Outcome:
        """Run aitui with that text on its standard input."""
        process = await self.aitui._start(arguments, stdin=PIPE, stdout=PIPE, stderr=PIPE)
        assert process.stdin is not None
        process.stdin.write(text.encode())
        process.stdin.close()
        return await finish(process)

    @property
    def asked(self) -> list[dict[str, Any]]:
        """The bodies of the chats so far."""
        requests = self.stand_in.requests
        return [json.loads(r.body) for r in requests if r.path.startswith("/v1/chat")]

    def busy_slots(self, model: str) -> int:
        return self.stand_in._active_runtime.swap.processes[model].busy_slots


@pytest.fixture
async def shell(certificates: Certificates, tmp_path: Path) -> AsyncIterator[Shell]:
    async with StandIn(CONFIG, certificates=certificates) as stand_in:
        server = Server(
            url=stand_in.url,
            identity="",
            ca=certificates.root_ca,
            client_cert=certificates.client_cert,
            client_key=certificates.client_key,
        )
        aitui = CommandLine.towards(server, tmp_path / "home")
        yield Shell(aitui, stand_in, OtherClient(stand_in, certificates))


@pytest.fixture
async def loaded(shell: Shell) -> Shell:
    """The same with FAST loaded."""
    await shell.other.load(FAST)
    return shell


async def test_the_loaded_model_answers_on_standard_output(loaded: Shell) -> None:
    outcome = await loaded.run("chat", "hello", "there")
    assert (outcome.status, outcome.err) == (DONE, "")
    assert outcome.out.startswith("This answer comes from a **stand-in**")
    assert outcome.out.endswith("\n")
    assert "The user wants" not in outcome.out
    assert loaded.asked[0]["messages"] == [{"role": "user", "content": "hello there"}]


async def test_standard_input_is_joined_to_the_prompt(loaded: Shell) -> None:
    outcome = await loaded.pipe("+ a line\n", "chat", "a commit message")
    assert outcome.status == DONE
    assert loaded.asked[0]["messages"][0]["content"] == "a commit message\n\n+ a line"


async def test_without_anything_to_ask_it_is_wrong_usage(loaded: Shell) -> None:
    outcome = await loaded.run("chat")
    assert (outcome.status, outcome.out) == (USAGE, "")
    assert "No prompt was given" in outcome.err
    assert loaded.asked == []


async def test_parameters_go_into_the_request(loaded: Shell) -> None:
    arguments = ["--set", "temperature=0.2", "--set", "stop=END", "--system", "Be brief."]
    await loaded.run("chat", *arguments, "--max-tokens", "5", "hi")
    (asked,) = loaded.asked
    assert (asked["temperature"], asked["stop"], asked["max_tokens"]) == (0.2, "END", 5)
    assert asked["messages"][0] == {"role": "system", "content": "Be brief."}


async def test_a_wrong_parameter_is_wrong_usage(loaded: Shell) -> None:
    outcome = await loaded.run("chat", "--set", "temperature=hot", "hi")
    assert outcome.status == USAGE
    assert loaded.asked == []


async def test_as_json_it_is_one_object(loaded: Shell) -> None:
    outcome = await loaded.run("chat", "--json", "--max-tokens", "8", "hi")
    said = json.loads(outcome.out)
    assert (said["state"], said["finish_reason"], said["model"]) == ("done", "length", FAST)
    assert said["reasoning"] == "The user "
    assert said["text"].startswith("This answer")
    assert said["usage"]["completion_tokens"] == 8
    assert said["timings"]["tokens"] == 8
    assert said["error"] is None


async def test_without_a_loaded_model_it_says_so(shell: Shell) -> None:
    outcome = await shell.run("chat", "hi")
    assert outcome.status == FAILED
    assert "No model is loaded" in outcome.err
    assert shell.asked == []


async def test_with_several_loaded_models_it_names_them(
    certificates: Certificates, tmp_path: Path
) -> None:
    both = f'groups:\n  "pair":\n    swap: false\n    members: ["{FAST}", "{DIES}"]\n'
    async with StandIn(CONFIG + both, certificates=certificates) as stand_in:
        other = OtherClient(stand_in, certificates)
        await other.load(FAST)
        await other.load(DIES)
        server = Server(
            url=stand_in.url,
            identity="",
            ca=certificates.root_ca,
            client_cert=certificates.client_cert,
            client_key=certificates.client_key,
        )
        outcome = await CommandLine.towards(server, tmp_path).run("chat", "hi")
    assert outcome.status == FAILED
    assert FAST in outcome.err
    assert DIES in outcome.err


async def test_it_never_evicts_unasked(loaded: Shell) -> None:
    outcome = await loaded.run("chat", "-m", ENDLESS, "hi")
    assert outcome.status == REFUSED
    assert FAST in outcome.err
    assert loaded.stand_in.running() == {FAST: "ready"}
    assert loaded.asked == []


async def test_asked_to_evict_it_does(loaded: Shell) -> None:
    outcome = await loaded.run("chat", "-m", ENDLESS, "--evict", "--max-tokens", "8", "hi")
    assert outcome.status == DONE
    assert loaded.stand_in.running() == {ENDLESS: "ready"}


async def test_where_nothing_is_loaded_a_named_model_loads(shell: Shell) -> None:
    outcome = await shell.run("chat", "-m", FAST, "hi")
    assert outcome.status == DONE
    assert shell.stand_in.running() == {FAST: "ready"}


async def test_read_only_it_loads_nothing(shell: Shell) -> None:
    outcome = await shell.run("chat", "--read-only", "-m", FAST, "hi")
    assert outcome.status == REFUSED
    assert shell.asked == []


async def test_an_unknown_model_is_no_such_model(loaded: Shell) -> None:
    outcome = await loaded.run("chat", "-m", "fats", "hi")
    assert outcome.status == NO_MODEL
    assert FAST in outcome.err


async def test_a_load_that_fails_says_why(shell: Shell) -> None:
    outcome = await shell.run("chat", "-m", BROKEN, "hi")
    assert outcome.status == FAILED
    assert "out of memory" in outcome.err


async def test_a_cut_answer_is_printed_and_told(shell: Shell) -> None:
    outcome = await shell.run("chat", "-m", DIES, "hi")
    assert outcome.status == FAILED
    assert outcome.out.startswith("This answer")
    assert "cut off after 20 tokens" in outcome.err


def stream(*frames: str) -> FixedResponse:
    """A chat's stream that came to its regular end."""
    role = 'data: {"id":"x","model":"m","choices":[{"delta":{"role":"assistant"}}]}'
    body = "\n\n".join((role, *frames, "data: [DONE]", ""))
    return FixedResponse(200, body.encode(), "text/event-stream")


@pytest.mark.parametrize(
    "frame",
    [
        'error: {"code":400,"message":"engine core died"}',
        'data: {"object":"error","message":"engine core died"}',
        "event: error\ndata: engine core died",
        "data: engine core died",
    ],
)
async def test_an_error_in_the_stream_is_a_failure_in_the_servers_words(
    loaded: Shell, frame: str
) -> None:
    loaded.stand_in.fault("/v1/chat/completions", stream(frame))
    outcome = await loaded.run("chat", "hi")
    assert outcome.status == FAILED
    assert "engine core died" in outcome.err


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (
            'data: {"choices":[{"delta":{"tool_calls":[{"function":{"name":"get_weather"}}]}}]}',
            "the model called the tool get_weather instead of answering",
        ),
        ('data: {"choices":[]}', "the reply is empty"),
    ],
)
async def test_an_answer_without_text_is_not_passed_over(
    loaded: Shell, frame: str, words: str
) -> None:
    loaded.stand_in.fault("/v1/chat/completions", stream(frame))
    outcome = await loaded.run("chat", "hi")
    assert outcome.status == DONE
    assert words in outcome.err


async def test_an_interrupt_stops_the_answer_and_frees_the_slot(shell: Shell) -> None:
    process = await shell.aitui.start("chat", "-m", ENDLESS, "hi")
    await eventually(lambda: shell.busy_slots(ENDLESS))
    interrupt(process)
    outcome = await finish(process)
    assert outcome.status == INTERRUPTED
    assert "Stopped after" in outcome.err
    assert "Traceback" not in outcome.err
    await eventually(lambda: not shell.busy_slots(ENDLESS))


async def test_a_broken_pipe_is_no_traceback(shell: Shell) -> None:
    reads, writes = os.pipe()
    process = await shell.aitui.start("chat", "-m", LONG, "hi", stdout=writes)
    os.close(writes)
    os.close(reads)
    outcome = await finish(process)
    assert outcome.status == FAILED
    assert "Traceback" not in outcome.err
    assert "Broken pipe" not in outcome.err
    assert not shell.busy_slots(LONG)


async def test_the_conversation_goes_on(loaded: Shell) -> None:
    first = await loaded.run("chat", "one")
    await loaded.run("chat", "--continue", "two")
    assert [message["content"] for message in loaded.asked[-1]["messages"]] == [
        *("one", first.out.removesuffix("\n"), "two")
    ]


async def test_a_cut_answer_goes_on_without_a_prompt(loaded: Shell) -> None:
    first = await loaded.run("chat", "--max-tokens", "12", "one")
    second = await loaded.run("chat", "--continue", "--max-tokens", "12")
    assert second.status == DONE
    assert loaded.asked[-1]["messages"][-1]["role"] == "assistant"
    assert loaded.asked[-1]["messages"][-1]["content"] == first.out.removesuffix("\n")


async def test_there_may_be_nothing_to_go_on_with(loaded: Shell) -> None:
    outcome = await loaded.run("chat", "--continue", "two")
    assert outcome.status == FAILED
    assert "no conversation" in outcome.err


async def test_a_history_that_cannot_be_written_stops_no_answer(loaded: Shell) -> None:
    data = loaded.aitui.home / ".local/share"
    data.mkdir(parents=True)
    (data / "aitui").write_text("in the way")
    outcome = await loaded.run("chat", "hi")
    assert outcome.status == DONE
    assert outcome.out.startswith("This answer")
    assert "is not saved" in outcome.err


async def test_on_a_terminal_the_reasoning_is_dim(loaded: Shell) -> None:
    ours, theirs = os.openpty()
    process = await loaded.aitui._start(["chat", "hi"], stdin=DEVNULL, stdout=theirs, stderr=PIPE)
    os.close(theirs)
    shown = await read_until(ours, "This answer")
    process.send_signal(signal.SIGKILL)
    await process.communicate()
    os.close(ours)
    reasoning = shown.partition("This answer")[0]
    assert reasoning.startswith("\x1b[2mThe ")
    assert reasoning.endswith("\x1b[22m\r\n\r\n")


async def test_the_status_line_tells_what_runs(loaded: Shell) -> None:
    outcome = await loaded.run("status", "--line")
    (line,) = outcome.out.splitlines()
    assert "●" in line
    assert line.endswith(f"● {FAST}")


async def test_the_status_line_tells_of_a_server_that_is_lost(shell: Shell) -> None:
    await shell.stand_in.stop()
    outcome = await shell.run("status", "--line")
    assert outcome.status == UNREACHABLE
    assert "✘" in outcome.out


def test_a_chat_from_the_shell_loads_no_screen() -> None:
    code = "import sys, aitui.cli.chat, aitui.llamaswap.chat; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert not {"textual", "asyncssh", "aiohttp"} & set(done.stdout.split())


async def test_on_a_terminal_the_reply_ends_with_tokens_and_rate(loaded: Shell) -> None:
    ours, theirs = os.openpty()
    process = await loaded.aitui._start(["chat", "hi"], stdin=DEVNULL, stdout=PIPE, stderr=theirs)
    os.close(theirs)
    shown = await read_until(ours, "tok/s")
    out, _ = await process.communicate()
    os.close(ours)
    assert re.search(r"\d+ tokens · [\d.]+ tok/s", shown)
    # What is piped stays as the model wrote it.
    assert b"\x1b" not in out


class Terminal(io.StringIO):
    """Collects what is written to a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("no_color", "styles"), [("", 1), ("1", 0)])
async def test_reasoning_without_a_reply_ends_its_line(
    monkeypatch: pytest.MonkeyPatch, no_color: str, styles: int
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", no_color)
    done = asyncio.get_running_loop().create_future()
    printer = ReplyPrinter(out := Terminal(), quiet=False)
    printer.show(Reply("a", FAST, 0.0, reasoning=GrowingText("Hm").view()))
    done.set_result(None)
    await printer.write_until(done)
    assert re.sub(r"\x1b\[\d+m", "", out.getvalue()) == "Hm\n"
    assert out.getvalue().count("\x1b[2m") == styles


async def test_a_prompt_beyond_the_context_names_the_model_and_the_size_that_holds_it(
    loaded: Shell,
) -> None:
    outcome = await loaded.pipe("word " * 8_000, "chat", "--json")
    assert outcome.status == FAILED
    assert f"tokens, the context of {FAST} holds 8,192" in outcome.err
    command = outcome.err.splitlines()[-1].strip()
    assert command == f"aitui ctx {FAST} 16k"
    assert parse(command.split()[1:]).size == "16k"
