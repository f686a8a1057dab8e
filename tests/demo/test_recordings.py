"""The stand-in answers every recorded request as the recorded build did."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import aiohttp
import pytest
from yarl import URL

from aitui.demo.dialect import Dialect
from demo.lab import Lab, lab_config, open_lab
from demo.recorded_answers import (
    RECORDINGS,
    Recording,
    differences,
    essence,
    events_essence,
    read_events,
    read_recording,
)
from demo.situations import GEMMA, situation_of

EXCEPTIONS = {
    ("v217", "upstream_health_other_model_while_stopping"): (
        "the recorded build killed a load by accident of timing"
    ),
    ("v218", "loading_chat_no_binary_stream"): (
        "the recorded build crashed in the middle of its loading text"
    ),
}
"""Recordings that the stand-in doesn't follow, and why."""

SCENARIOS = {
    "api_events_full",
    "reload_sighup_chat_stream",
    "sigterm_chat_stream",
    "sigterm_while_loading_chat",
}
"""Recordings of many steps, which have tests of their own."""


@dataclass(frozen=True)
class Answer:
    """What the stand-in said."""

    status: int
    content_type: str
    body: str


def all_recordings() -> list[object]:
    return [
        pytest.param(dialect, path.stem, id=f"{dialect.value}-{path.stem}")
        for dialect in Dialect
        for path in sorted((RECORDINGS / dialect.value).glob("*.txt"))
        if (dialect.value, path.stem) not in EXCEPTIONS
        and path.stem not in SCENARIOS
        and read_recording(path) is not None
    ]


@pytest.mark.parametrize(("dialect", "name"), all_recordings())
async def test_answers_as_the_real_server_did(dialect: Dialect, name: str) -> None:
    recording = read_recording(RECORDINGS / dialect.value / f"{name}.txt")
    assert recording is not None
    async with asyncio.timeout(5), open_lab(dialect, config_for(dialect, name)) as lab:
        await situation_of(name, dialect.value)(lab)
        answer = await ask(lab, recording)

    assert answer.status == recording.status
    assert answer.content_type == recording.content_type
    if recording.method != "HEAD" and not (
        cut_in_a_stream_of_text(recording) or is_a_text_of_its_own(recording)
    ):
        said = essence(answer.content_type, answer.body)
        expected = essence(recording.content_type, recording.answer)
        assert not differences(said, expected)


@pytest.mark.parametrize("dialect", Dialect)
async def test_first_events_come_in_the_recorded_order(dialect: Dialect) -> None:
    recording = read_recording(RECORDINGS / dialect.value / "api_events_idle_initial.txt")
    assert recording is not None
    expected = [kind for kind, _ in read_events(recording.answer)]
    async with open_lab(dialect) as lab:
        answer = await ask(lab, recording)

    assert [kind for kind, _ in read_events(answer.body)] == expected


@pytest.mark.parametrize("dialect", Dialect)
async def test_all_recorded_event_types_are_told_with_the_recorded_keys(dialect: Dialect) -> None:
    recording = read_recording(RECORDINGS / dialect.value / "api_events_full.txt")
    assert recording is not None
    expected = events_essence(read_events(recording.answer))
    async with open_lab(dialect) as lab:
        body = lab.beside(read_until_quiet(lab))
        await asyncio.sleep(0.02)
        await lab.load("qwen3-8b" if dialect is Dialect.V263 else "slow-start")
        await lab.chat("slow-start")
        await lab.chat("no-such-model")
        await lab.chat("dies-midstream")
        await lab.send("PUT", "/api/profiles/active", {"name": "coding"})
        await lab.load(GEMMA)
        await lab.post(f"/api/models/unload/{GEMMA}")
        said = events_essence(read_events(await body))

    assert not differences(said, expected)


def config_for(dialect: Dialect, name: str) -> str:
    """The configuration that was in force when a recording was made."""
    if name.startswith("keys_"):
        return lab_config(dialect, "keys", preload=True)
    if name == "loading_client_leaves_while_loading":
        text = lab_config(dialect, "loading").replace("--load-delay 0.15", "--load-delay 30")
        return text.replace("healthCheckTimeout: 0.5", "healthCheckTimeout: 60")
    if name.startswith("loading_"):
        return lab_config(dialect, "loading")
    text = lab_config(dialect)
    if name.startswith("noperf_"):
        text = text.replace("every: 5s", "disabled: true")
        text = text.replace("captureBuffer: 5", "captureBuffer: 0")
        text = text.replace("includeAliasesInList: false", "includeAliasesInList: true")
    return text


async def ask(lab: Lab, recording: Recording) -> Answer:
    """Send the recorded request; of a stream that has no end read as much as was recorded."""
    url = URL(f"{lab.server.url}{recording.target}", encoded=True)
    headers = {"User-Agent": "curl/7.88.1", **recording.headers}
    async with lab.client.request(
        recording.method,
        url,
        headers=headers,
        data=recording.body,
        allow_redirects=False,
        skip_auto_headers={"Content-Type", "Accept"},
    ) as response:
        content_type = response.headers.get("Content-Type", "")
        if not recording.cut_short:
            body = await response.text()
        elif cut_in_a_stream_of_text(recording):
            body = (await response.content.readany()).decode()
        else:
            body = await read_events_like(recording, response.content)
        return Answer(response.status, content_type, body)


async def read_events_like(recording: Recording, content: aiohttp.StreamReader) -> str:
    """Read as many events as were recorded, or until no more come."""
    body = ""
    while body.count("data:") < recording.answer.count("data:"):
        try:
            async with asyncio.timeout(0.5):
                body += (await content.readuntil(b"\n\n")).decode()
        except TimeoutError:
            break
    return body


async def read_until_quiet(lab: Lab) -> str:
    """Read events until nothing happens any more."""
    body = b""
    async with lab.client.get(f"{lab.server.url}/api/events") as response:
        while True:
            try:
                async with asyncio.timeout(0.6):
                    body += await response.content.readuntil(b"\n\n")
            except TimeoutError:
                return body.decode()


def cut_in_a_stream_of_text(recording: Recording) -> bool:
    """Whether the recording is part of an endless log."""
    return recording.cut_short and recording.content_type.startswith("text/plain")


def is_a_text_of_its_own(recording: Recording) -> bool:
    """Whether the recording is a log or a page of figures, which no other server repeats."""
    return recording.content_type.startswith("text/plain") and len(recording.answer) > 300
