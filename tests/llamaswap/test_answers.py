"""Recorded refusals, and those of proxies, as exceptions."""

import json

import pytest
from msgspec.structs import replace

from aitui import errors
from aitui.domain.snapshot import Server
from aitui.llamaswap.errors import (
    certificate_complaint,
    is_model_response,
    load_error,
    response_error,
)
from aitui.llamaswap.response import Response
from llamaswap.recorded import DIALECTS, recorded

SERVER = Server(url="https://ai.example.org", identity="x")


def made(status: int, body: str = "", **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response("GET /running", status, named, body.encode())


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("call", ["unload_unknown", "upstream_unknown_model", "chat_unknown_model"])
def test_an_unknown_model_is_no_such_model(dialect: str, call: str) -> None:
    error = response_error(SERVER, recorded(dialect, call), "no-such-model")
    assert isinstance(error, errors.NoSuchModel)
    assert "no-such-model" in error.what
    assert error.status in {400, 404}


def test_v217_says_it_in_json_when_asked_for_json() -> None:
    error = response_error(SERVER, recorded("v217", "unload_unknown_accept_json"), "no-such-model")
    assert isinstance(error, errors.NoSuchModel)
    assert error.why == "Model not found"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_unknown_log_is_no_such_model(dialect: str) -> None:
    error = response_error(SERVER, recorded(dialect, "logs_stream_unknown"), "no-such-model")
    assert isinstance(error, errors.NoSuchModel)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("call", "reason"),
    [
        ("upstream_health_broken", "upstream command exited prematurely"),
        ("upstream_health_never_healthy", "health check timed out after 15s"),
    ],
)
def test_a_load_that_fails_is_load_failed_in_the_servers_words(
    dialect: str, call: str, reason: str
) -> None:
    error = load_error(SERVER, recorded(dialect, call), "broken")
    assert isinstance(error, errors.LoadFailed)
    assert reason in error.why


@pytest.mark.parametrize("dialect", ["v218", "2026-08-head"])
def test_a_load_that_is_unloaded_meanwhile_is_load_failed(dialect: str) -> None:
    answer = recorded(dialect, "upstream_health_unloaded_while_starting")
    error = load_error(SERVER, answer, "slow-start")
    assert isinstance(error, errors.LoadFailed)
    assert "model unloaded" in error.why


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_404_of_the_models_own_means_that_it_runs(dialect: str) -> None:
    assert is_model_response(recorded(dialect, "upstream_404_from_model"))
    assert not is_model_response(recorded(dialect, "upstream_unknown_model"))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_wrong_key_is_not_authorised(dialect: str) -> None:
    error = response_error(SERVER, recorded(dialect, "keys_wrong_bearer"))
    assert isinstance(error, errors.Unauthorized)
    assert error.why == "unauthorized: invalid or missing API key"


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("call", ["unknown_path", "unload_by_GET", "root"])
def test_an_endpoint_that_is_not_there_is_not_supported(dialect: str, call: str) -> None:
    assert isinstance(response_error(SERVER, recorded(dialect, call)), errors.NotSupported)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_429_is_too_many_requests(dialect: str) -> None:
    error = response_error(SERVER, recorded(dialect, "chat_concurrency_limit_429"))
    assert isinstance(error, errors.TooManyRequests)
    wait = "in 1 s" if dialect == "2026-08-head" else "in a moment"
    assert error.remedy == f"try again {wait}"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_502_in_llama_swaps_words_is_not_the_proxys(dialect: str) -> None:
    error = response_error(SERVER, recorded(dialect, "chat_deadpeer"))
    assert isinstance(error, errors.ServerError)
    assert not isinstance(error, errors.ProxyError)
    assert "connection refused" in error.why


@pytest.mark.parametrize("status", [502, 503, 504])
@pytest.mark.parametrize(
    "body", ["", "<html><body>Bad Gateway</body></html>", "upstream connect error or disconnect"]
)
def test_a_proxy_without_llama_swap_is_a_proxy_error(status: int, body: str) -> None:
    for error in (
        response_error(SERVER, made(status, body)),
        load_error(SERVER, made(status, body), "a"),
    ):
        assert isinstance(error, errors.ProxyError)
        assert "ai.example.org:443" in error.what


def test_a_status_without_a_phrase_in_http_has_words() -> None:
    assert "499 Client Closed Request" in response_error(SERVER, made(499)).what


def test_a_name_that_the_proxy_does_not_serve_is_said_so() -> None:
    error = response_error(SERVER, made(421))
    assert isinstance(error, errors.NotSupported)
    assert "doesn't serve the name ai.example.org" in error.what


def test_a_redirect_names_its_target() -> None:
    error = response_error(SERVER, made(301, location="https://other.example\x1b[31m/"))
    assert isinstance(error, errors.NotSupported)
    assert "https://other.example/" in error.what


def test_http_sent_to_an_https_port_is_said_so() -> None:
    error = response_error(SERVER, made(400, "Client sent an HTTP request to an HTTPS server.\n"))
    assert "https://" in error.remedy


def test_an_error_of_the_model_keeps_its_words() -> None:
    body = json.dumps({"error": {"code": 400, "message": "too long", "type": "x"}})
    error = response_error(SERVER, made(400, body), "a")
    assert isinstance(error, errors.ServerError)
    assert error.why == "too long"


@pytest.mark.parametrize(
    "body", ['{"error":{"message":[1]}}', '{"error":5}', "[" * 100_000, '{"error":{}}', "\x00\x1b"]
)
def test_an_error_of_any_shape_is_a_server_error(body: str) -> None:
    error = response_error(SERVER, made(500, body))
    assert isinstance(error, errors.ServerError)
    assert error.why


def test_the_servers_words_are_cleaned_and_shortened() -> None:
    error = response_error(SERVER, made(500, "\x1b]0;evil\x07" + "x" * 5000))
    assert isinstance(error, errors.ServerError)
    assert len(error.why) == 300
    assert "\x1b" not in error.why


def page(title: str, body: str = "") -> str:
    return f"<!DOCTYPE html>\r\n<html><head><title>{title}</title></head><body>{body}</body></html>"


PLAIN = Server(url="http://10.0.0.4:8443/swap", identity="x")


@pytest.mark.parametrize("status", [400, 413, 500, 502, 520, 404, 405])
@pytest.mark.parametrize(
    ("title", "words"),
    [
        ("{status} The barn is closed", "The barn is closed"),
        ("{status} - The barn is closed", "The barn is closed"),
        ("The barn | {status}: closed", "The barn | {status}: closed"),
        ("\x1b[2JClosed", "Closed"),
    ],
)
def test_the_title_of_a_page_is_said_with_every_status(status: int, title: str, words: str) -> None:
    error = response_error(SERVER, made(status, page(title.format(status=status))))
    assert words.format(status=status) in error.why
    assert "\x1b" not in error.why


def test_a_title_that_only_repeats_the_status_is_left_out() -> None:
    error = response_error(SERVER, made(502, page("502 Bad Gateway")))
    assert "502 Bad Gateway" in error.what
    assert error.why == ""


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, page("400 No required SSL certificate was sent")),
        (400, page("400 The SSL certificate error")),
        (496, page("Error", "ask me for one")),
        (495, ""),
        (403, page("403.7 - Forbidden: SSL client certificate is required.")),
    ],
)
def test_a_refused_certificate_is_recognized(status: int, body: str) -> None:
    assert certificate_complaint(made(status, body)) is not None
    error = response_error(PLAIN, made(status, body))
    assert status == 403 or "use https:// in the URL" in error.remedy


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, page("400 Bad Request")),
        (200, page("No required SSL certificate was sent")),
        (500, page("500 The SSL certificate error of an upstream")),
        (400, '{"error":{"message":"bad certificate in the prompt"}}'),
    ],
)
def test_other_refusals_are_none_of_the_certificate(status: int, body: str) -> None:
    assert certificate_complaint(made(status, body)) is None


@pytest.mark.parametrize(
    "body",
    [
        page("400 The plain HTTP request was sent to HTTPS port"),
        "Client sent an HTTP request to an HTTPS server.\n",
        page(
            "400 Bad Request", "Reason: You're speaking plain HTTP to an SSL-enabled server port."
        ),
    ],
)
def test_plain_http_at_a_port_of_tls_names_the_url(body: str) -> None:
    error = response_error(PLAIN, made(400, body))
    assert error.what == "10.0.0.4:8443 speaks TLS, but the URL says http://"
    assert error.remedy == "set url to https://10.0.0.4:8443/swap"


BASIC = 'Basic realm="gpu"'


@pytest.mark.parametrize(
    ("status", "demand", "body", "what", "remedy"),
    [
        (401, BASIC, page("401 Authorization Required"), "requires a user name and pass", "username and"),
        (401, 'basic realm="gpu", charset="UTF-8"', "", "requires a user name and pass", "username and"),
        (403, BASIC, "no", "requires a user name and password (Basic)", "username and password"),
        (401, f"Negotiate, {BASIC}", "", "requires a user name and password", "username and password"),
        (401, f"Bearer, {BASIC}", "", "requires an API key", "api_key"),
        (401, 'Basic realm="llama-swap"', "unauthorized", "requires an API key", "api_key"),
        (401, "", "Unauthorized\n", "requires an API key", "api_key"),
        (401, 'Digest realm="gpu", nonce="x"', "", "requires Digest authentication", "configure the proxy"),
        (401, "Negotiate, NTLM", page("Sign in"), "requires Negotiate or Ntlm auth", "configure the proxy"),
        (403, "", page("Barn door shut"), "The proxy at ai.example.org:443 answers 403", "administrator"),
    ],
)  # fmt: skip
def test_what_a_proxy_wants_is_named(
    status: int, demand: str, body: str, what: str, remedy: str
) -> None:
    error = response_error(SERVER, made(status, body, www_authenticate=demand))
    assert isinstance(error, errors.Unauthorized)
    assert what in error.what
    assert remedy in error.remedy


def test_user_and_password_that_are_not_accepted_stay_unsaid() -> None:
    given = replace(SERVER, basic_auth=("fox", "owl"))
    error = response_error(given, made(401, "", www_authenticate=BASIC))
    assert error.what == "ai.example.org:443 doesn't accept the user name and password (Basic)"
    assert "owl" not in str(error)
