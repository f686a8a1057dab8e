"""A chat over a connection: asking, refusals, ends."""

import asyncio

import pytest
from aiohttp import web
from msgspec.structs import replace

from aitui.domain.chat.conversation import ChatRequest, SamplingParameters
from aitui.errors import (
    AituiError,
    BadResponse,
    ConnectionLost,
    ContextExceeded,
    LoadFailed,
    NoSuchModel,
    ProxyError,
    ReplyInterrupted,
    ServerError,
    TooManyRequests,
    Unauthorized,
    Unreachable,
)
from aitui.llamaswap.chat import ChatClient
from services.chat.recorded_streams import body
from services.chat.replaying import (
    REQUEST,
    Replaying,
    ends,
    event,
    heard,
    heard_by,
    refuses,
    replaying,
    says,
    stream_of,
    streaming,
)

WHOLE = (says("Hello "), says("world"), ends())


async def test_what_streams_is_heard() -> None:
    async with replaying(stream_of(*WHOLE)) as there:
        result, error = await heard(there.server)
    assert error is None
    assert (result.text, result.finish) == ("Hello world", "stop")


async def test_the_request_holds_messages_parameters_and_extras() -> None:
    asked = replace(REQUEST, sampling=SamplingParameters.of({"temperature": 0.5, "stop": ["x"]}))
    async with replaying(stream_of(*WHOLE)) as there:
        await heard(there.server, asked)
    assert there.bodies == [
        {
            "model": "m",
            "messages": [{"role": "user", "content": "hi"}],
            "stream": True,
            "temperature": 0.5,
            "stop": ["x"],
            "timings_per_token": True,
            "return_progress": True,
            "stream_options": {"include_usage": True},
        }
    ]


async def test_a_prompt_that_no_json_can_hold_is_sent_all_the_same() -> None:
    odd = ChatRequest("m", ({"role": "user", "content": "a\udcffb"},))
    async with replaying(stream_of(*WHOLE)) as there:
        _, error = await heard(there.server, odd)
    assert error is None
    assert there.bodies[0]["messages"][0]["content"] == "a?b"


@pytest.mark.parametrize(
    ("refusal", "kept"),
    [
        ("Unrecognized request argument supplied: timings_per_token", {"stream_options"}),
        ("body.stream_options: Extra inputs are not permitted", {"return_progress"}),
        ("[{'type': 'extra_forbidden'}]", set()),
    ],
)
async def test_a_server_that_refuses_fields_is_asked_again_without_them(
    refusal: str, kept: set[str]
) -> None:
    async def respond(there: Replaying, request: web.Request) -> web.StreamResponse:
        if len(there.bodies) == 1:
            return await refuses(400, {"error": {"message": refusal}})(there, request)
        return await stream_of(*WHOLE)(there, request)

    async with replaying(respond) as there, ChatClient(there.server) as client:
        result, error = await heard_by(client)
        assert (result.text, error) == ("Hello world", None)
        await heard_by(client)
    extras = {"timings_per_token", "return_progress", "stream_options"}
    assert [kept & set(body) for body in there.bodies[1:]] == [kept, kept]
    assert all(set(body) & extras < extras for body in there.bodies[1:])
    assert len(there.bodies) == 3


async def test_a_server_that_refuses_for_another_reason_is_asked_once() -> None:
    async with replaying(refuses(400, {"error": {"message": "temperature is too hot"}})) as there:
        _, error = await heard(there.server)
    assert isinstance(error, ServerError)
    assert "too hot" in error.why
    assert len(there.bodies) == 1


async def test_a_prompt_too_long_says_by_how_much() -> None:
    told = {
        "code": 400,
        "message": "request (1517 tokens) exceeds the available context size (512 tokens)",
        "type": "exceed_context_size_error",
        "n_prompt_tokens": 1517,
        "n_ctx": 512,
    }
    async with replaying(refuses(400, {"error": told})) as there:
        _, error = await heard(there.server)
    assert isinstance(error, ContextExceeded)
    assert (error.prompt_tokens, error.context_size) == (1517, 512)


async def test_a_context_that_fills_up_midway_keeps_what_came() -> None:
    full = event(error={"code": 500, "message": "Context size has been exceeded.", "type": "x"})
    async with replaying(stream_of(says("so far"), full)) as there:
        result, error = await heard(there.server)
    assert result.text == "so far"
    assert isinstance(error, ContextExceeded)
    assert error.prompt_tokens is None


@pytest.mark.parametrize(
    ("status", "told", "kind"),
    [
        (404, {"src": "llama-swap", "error": "no router for requested model"}, NoSuchModel),
        (400, "could not find suitable inference handler for m", NoSuchModel),
        (401, {"src": "llama-swap", "error": "unauthorized"}, Unauthorized),
        (429, "Too many requests", TooManyRequests),
        (500, {"src": "llama-swap", "error": "upstream command exited"}, LoadFailed),
        (502, "unable to start process: exited prematurely", LoadFailed),
        (500, {"error": {"code": 500, "message": "no images", "type": "x"}}, ServerError),
        (503, {"error": {"code": 503, "message": "Loading model", "type": "x"}}, ServerError),
    ],
)
async def test_a_refusal_is_told_by_its_kind(
    status: int, told: object, kind: type[AituiError]
) -> None:
    async with replaying(refuses(status, told)) as there:
        _, error = await heard(there.server)
    assert type(error) is kind


@pytest.mark.parametrize(
    ("told", "kind", "words"),
    [
        ("", ProxyError, "m crashed, the request was canceled, or llama-swap behind a proxy"),
        ({"src": "llama-swap", "error": {"message": "proxy error: EOF"}}, ServerError, "EOF"),
        ("proxy error: dial tcp 127.0.0.1:5800: connection refused", ServerError, "refused"),
        ("peer proxy error: dial tcp: refused", ServerError, "peer proxy error"),
    ],
)
async def test_a_502_of_a_model_that_crashed_is_not_called_a_failed_load(
    told: object, kind: type[AituiError], words: str
) -> None:
    async with replaying(refuses(502, told)) as there:
        _, error = await heard(there.server)
    assert type(error) is kind
    assert words in error.why
    assert ("disableKeepAlives" in error.remedy) == ("EOF" in error.why)


async def test_too_many_requests_say_when_to_try_again() -> None:
    async with replaying(refuses(429, "Too many requests", Retry_After="7")) as there:
        _, error = await heard(there.server)
    assert isinstance(error, TooManyRequests)
    assert error.remedy == "try again in 7 s"
    assert error.why == "globalConcurrencyLimit or the model's concurrencyLimit is reached"


async def test_a_stream_without_its_end_is_cut_and_says_after_how_much() -> None:
    async with replaying(stream_of(says("Hello "), says("wor"))) as there:
        result, error = await heard(there.server)
    assert result.text == "Hello wor"
    assert isinstance(error, ReplyInterrupted)
    assert (error.tokens, error.characters) == (2, 9)


async def test_a_finish_reason_without_the_end_is_cut_too() -> None:
    finish = ends().partition(b"data: [DONE]")[0]
    async with replaying(stream_of(says("Hello"), finish)) as there:
        result, error = await heard(there.server)
    assert (result.text, result.finish) == ("Hello", "stop")
    assert isinstance(error, ReplyInterrupted)


async def test_an_empty_stream_never_began() -> None:
    async with replaying(stream_of()) as there:
        _, error = await heard(there.server)
    assert isinstance(error, ReplyInterrupted)
    assert error.tokens == 0


async def test_a_load_that_fails_inside_the_stream_did_not_load() -> None:
    content = body("llama-swap/v218/loading_chat_no_binary_stream.txt")
    async with replaying(stream_of(content)) as there:
        _, error = await heard(there.server)
    assert isinstance(error, LoadFailed)
    assert "no such file" in error.why


async def test_a_connection_that_breaks_cuts_the_answer() -> None:
    async def respond(_: Replaying, request: web.Request) -> web.StreamResponse:
        async with streaming(request) as response:
            await response.write(says("so far"))
            assert request.transport is not None
            request.transport.abort()
        return response

    async with replaying(respond) as there:
        result, error = await heard(there.server)
    assert result.text == "so far"
    assert isinstance(error, ReplyInterrupted)
    assert "broke" in error.why


async def test_a_connection_that_breaks_before_anything_came_is_lost() -> None:
    async def respond(_: Replaying, request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with replaying(respond) as there:
        _, error = await heard(there.server)
    assert isinstance(error, ConnectionLost)


async def test_nothing_listens() -> None:
    async with replaying(stream_of()) as there:
        server = there.server
    _, error = await heard(server)
    assert isinstance(error, Unreachable)


async def test_a_stream_that_goes_silent_is_cut() -> None:
    async def respond(_: Replaying, request: web.Request) -> web.StreamResponse:
        async with streaming(request) as response:
            await response.write(says("so far"))
            await asyncio.Event().wait()
        return response

    async with replaying(respond) as there:
        result, error = await heard(replace(there.server, timeout=5.0))
    assert result.text == "so far"
    assert isinstance(error, ReplyInterrupted)
    assert "silent for 5 s" in error.why


async def test_waiting_for_a_load_is_no_silence_and_pings_are_none() -> None:
    async def respond(_: Replaying, request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(6)
        async with streaming(request) as response:
            await asyncio.sleep(6)
            for _ping in range(6):
                await response.write(b":\n\n")
                await asyncio.sleep(1)
            await response.write(b"".join(WHOLE))
        return response

    async with replaying(respond) as there:
        result, error = await heard(replace(there.server, timeout=4.0))
    assert (result.text, error) == ("Hello world", None)


@pytest.mark.parametrize("done", [0, 2048])
async def test_a_prompt_that_is_visibly_processed_may_take_longer_than_any_silence(
    done: int,
) -> None:
    progress = {"total": 4096, "cache": 0, "processed": done, "time_ms": 9}

    async def respond(_: Replaying, request: web.Request) -> web.StreamResponse:
        async with streaming(request) as response:
            await response.write(event(choices=[], prompt_progress=progress))
            await asyncio.sleep(8)
            await response.write(b"".join(WHOLE))
        return response

    async with replaying(respond) as there:
        result, error = await heard(replace(there.server, timeout=5.0))
    assert (result.text, error) == ("Hello world", None)


async def test_after_its_prompt_the_silence_of_a_reply_counts() -> None:
    progress = {"total": 4096, "cache": 0, "processed": 4096, "time_ms": 9}

    async def respond(_: Replaying, request: web.Request) -> web.StreamResponse:
        async with streaming(request) as response:
            await response.write(event(choices=[], prompt_progress=progress))
            await asyncio.Event().wait()
        return response

    async with replaying(respond) as there:
        _, error = await heard(replace(there.server, timeout=5.0))
    assert isinstance(error, Unreachable)
    assert "silent for 5 s" in error.what


async def test_leaving_early_closes_the_connection() -> None:
    async def respond(_: Replaying, request: web.Request) -> web.StreamResponse:
        async with streaming(request) as response:
            while not there.hung_up.is_set():
                await response.write(says("more "))
                await asyncio.sleep(0.001)
        return response

    async with replaying(respond) as there, ChatClient(there.server) as client:
        async with client.stream(REQUEST) as batches:
            async for batch in batches:
                if len(batch) and type(batch[0]).__name__ != "ResponseStarted":
                    break
        async with asyncio.timeout(5):
            await there.hung_up.wait()


async def test_a_cancel_while_the_server_queues_closes_the_connection() -> None:
    async def respond(_: Replaying, __: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        return web.Response()

    async with replaying(respond) as there:
        asking = asyncio.create_task(heard(there.server))
        while not there.bodies:
            await asyncio.sleep(0.005)
        asking.cancel()
        await asyncio.wait({asking})
        async with asyncio.timeout(5):
            await there.hung_up.wait()


async def test_a_slow_reader_gets_everything() -> None:
    words = [f"w{number} " for number in range(5_000)]
    pieces = [b"".join(says(word) for word in words[n : n + 100]) for n in range(0, 5_000, 100)]
    async with replaying(stream_of(*pieces, ends())) as there, ChatClient(there.server) as client:
        text = ""
        async with client.stream(REQUEST) as batches:
            async for batch in batches:
                await asyncio.sleep(0.005)
                text += "".join(getattr(delta, "text", "") for delta in batch)
    assert text == "".join(words)


async def test_a_fast_stream_comes_in_few_batches() -> None:
    async def respond(_: Replaying, request: web.Request) -> web.StreamResponse:
        async with streaming(request) as response:
            for number in range(1_000):
                await response.write(says(f"w{number} "))
            await response.write(ends())
        return response

    async with (
        replaying(respond) as there,
        ChatClient(there.server) as client,
        client.stream(REQUEST) as batches,
    ):
        count = len([batch async for batch in batches])
    assert count < 500


async def test_an_answer_that_does_not_stream_is_taken_whole() -> None:
    message = {"role": "assistant", "reasoning_content": "hm", "content": "Hello"}
    whole = {"id": "x", "choices": [{"message": message, "finish_reason": "stop"}]}
    async with replaying(refuses(200, whole)) as there:
        result, error = await heard(there.server)
    assert error is None
    assert (result.text, result.reasoning, result.finish) == ("Hello", "hm", "stop")


async def test_a_web_page_is_no_answer() -> None:
    async def respond(_: Replaying, __: web.Request) -> web.StreamResponse:
        return web.Response(text="<html>sign in</html>", content_type="text/html")

    async with replaying(respond) as there:
        _, error = await heard(there.server)
    assert isinstance(error, BadResponse)
