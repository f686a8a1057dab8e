"""status, load and unload on the command line, over TLS with a client certificate."""

import asyncio
import json
import os
import time
from pathlib import Path

import pytest

from aitui.demo.certificates import Certificates
from aitui.demo.dialect import Dialect
from aitui.domain.snapshot import Server
from aitui.settings import DEFAULT_URL
from catalogue import (
    ALIAS,
    HIDDEN,
    ODD,
    OUT_OF_MEMORY,
    OUT_OF_MEMORY_REASON,
    PEER,
    QUICK,
    SLASH,
    SLOW,
    STEADY,
    dialects,
    each_dialect,
)
from certificates import make_foreign_certificates
from cli.command_line import CommandLine, finish, interrupt, read_until
from other_client import OtherClient
from stand_in import FixedResponse, Hang, HtmlPage, StandIn
from watched import asked_for, eventually

DONE, FAILED, USAGE, UNREACHABLE, TLS, NO_MODEL, REFUSED, INTERRUPTED = 0, 1, 2, 3, 4, 5, 6, 130


async def test_status_shows_every_model_and_its_state(
    aitui: CommandLine, other: OtherClient
) -> None:
    await other.load(STEADY)
    outcome = await aitui.run("status")
    assert (outcome.status, outcome.err) == (DONE, "")
    head, _, first, *_ = outcome.out.splitlines()
    assert "1 ready of" in head
    assert first.split()[:4] == ["●", STEADY, "ready", "128k"]
    assert QUICK in outcome.out


@each_dialect
async def test_status_as_json_is_for_scripts(
    aitui: CommandLine, stand_in: StandIn, other: OtherClient
) -> None:
    await other.load(STEADY)
    outcome = await aitui.run("status", "--json")
    assert (outcome.status, outcome.err) == (DONE, "")
    said = json.loads(outcome.out)
    assert said["server"].keys() == {"url", "identity", "version", "latency_ms", "read_only"}
    assert said["server"]["url"] == stand_in.url
    assert said["server"]["version"] == stand_in.dialect.traits.version["version"]
    models = {model["id"]: model for model in said["models"]}
    steady = models[STEADY]
    command = steady.pop("command")
    assert "--ctx-size 131072" in command
    since = steady.pop("ready_since")
    if stand_in.dialect is Dialect.V263:
        assert abs(since - time.time()) < 60
    else:
        assert since is None
    # Before v235 servers report only how many requests there are.
    assert steady.pop("requests") == (
        None if stand_in.dialect in {Dialect.V217, Dialect.V218} else 0
    )
    assert steady == {
        "id": STEADY,
        "name": "",
        "description": "takes a third of a second",
        "kind": "model",
        "state": "ready",
        "loading_progress": None,
        "loading_message": None,
        "aliases": [],
        "context_size": 131072,
        "context_source": "running_command",
        "ttl": 0,
        "reasoning": False,
        "unlisted": False,
        "memory_bytes": None,
        "rate": None,
    }
    assert models[QUICK]["state"] == "stopped"
    assert {SLASH, ODD} <= models.keys()
    assert any(model["kind"] == "peer" for id_, model in models.items() if PEER in id_)


async def test_status_loads_nothing(aitui: CommandLine, stand_in: StandIn) -> None:
    await aitui.run("status")
    assert stand_in.running() == {}
    assert {request.method for request in stand_in.requests} == {"GET"}
    assert not asked_for(stand_in, "/upstream/")


async def test_the_server_is_told_who_asks(aitui: CommandLine, stand_in: StandIn) -> None:
    await aitui.run("status")
    agents = {request.headers["User-Agent"] for request in stand_in.requests}
    assert len(agents) == 1
    assert agents.pop().startswith("aitui/")


async def test_load_waits_until_the_model_is_ready(aitui: CommandLine, stand_in: StandIn) -> None:
    outcome = await aitui.run("load", STEADY)
    assert (outcome.status, outcome.err) == (DONE, "")
    assert outcome.out.startswith(f"{STEADY} is ready after ")
    assert stand_in.running() == {STEADY: "ready"}


@pytest.mark.parametrize(("name", "model_id"), [(ALIAS, QUICK), (SLASH, SLASH), (ODD, ODD)])
async def test_load_takes_any_id_and_alias(
    aitui: CommandLine, stand_in: StandIn, name: str, model_id: str
) -> None:
    assert (await aitui.run("load", name)).status == DONE
    assert stand_in.running() == {model_id: "ready"}


async def test_load_of_a_ready_model_says_so(aitui: CommandLine, other: OtherClient) -> None:
    await other.load(QUICK)
    assert (await aitui.run("load", QUICK)).out == f"{QUICK} is ready already\n"


@dialects(Dialect.V218, Dialect.V263)
async def test_a_load_that_fails_says_why_and_whom_it_evicted(
    aitui: CommandLine, other: OtherClient
) -> None:
    await other.load(QUICK)
    outcome = await aitui.run("load", "--yes", OUT_OF_MEMORY)
    assert (outcome.status, outcome.out) == (FAILED, "")
    assert OUT_OF_MEMORY_REASON in outcome.err
    assert "cudaMalloc failed" in outcome.err
    assert QUICK in outcome.err
    assert "Traceback" not in outcome.err


async def test_unload_ends_when_the_model_is_gone(
    aitui: CommandLine, stand_in: StandIn, other: OtherClient
) -> None:
    await other.load(STEADY)
    outcome = await aitui.run("unload", STEADY)
    assert (outcome.status, outcome.out, outcome.err) == (DONE, f"unloaded {STEADY}\n", "")
    assert stand_in.running() == {}


@dialects(Dialect.V218, Dialect.V263)
async def test_unload_takes_an_alias(
    aitui: CommandLine, stand_in: StandIn, other: OtherClient
) -> None:
    await other.load(QUICK)
    assert (await aitui.run("unload", ALIAS)).out == f"unloaded {QUICK}\n"
    assert stand_in.running() == {}


async def test_unload_of_what_does_not_run_is_done(aitui: CommandLine) -> None:
    outcome = await aitui.run("unload", QUICK)
    assert (outcome.status, outcome.out) == (
        DONE,
        "nothing to unload: it is not loaded\n",
    )


async def test_unload_all_frees_everything(
    aitui: CommandLine, stand_in: StandIn, other: OtherClient
) -> None:
    await other.load(HIDDEN)
    outcome = await aitui.run("unload", "--all", "--yes")
    assert (outcome.status, outcome.out) == (DONE, f"unloaded {HIDDEN}\n")
    assert stand_in.running() == {}


async def test_unload_all_of_an_idle_server_is_done(aitui: CommandLine) -> None:
    outcome = await aitui.run("unload", "--all", "--yes")
    assert outcome.status == DONE
    assert outcome.out.startswith("nothing to unload")


async def test_a_question_that_nobody_can_answer_is_refused_and_printed(
    aitui: CommandLine, stand_in: StandIn, other: OtherClient
) -> None:
    await other.load(QUICK)
    outcome = await aitui.run("load", STEADY)
    assert (outcome.status, outcome.out) == (REFUSED, "")
    assert f"evicts {QUICK}" in outcome.err
    assert "--yes" in outcome.err
    assert stand_in.running() == {QUICK: "ready"}


async def test_a_model_in_use_is_not_unloaded_without_a_yes(
    aitui: CommandLine, stand_in: StandIn
) -> None:
    async with stand_in.busy(QUICK):
        outcome = await aitui.run("unload", QUICK)
        assert outcome.status == REFUSED
        assert "1 running request will be cut" in outcome.err
        assert stand_in.running() == {QUICK: "ready"}
        assert (await aitui.run("unload", QUICK, "--yes")).status == DONE
        assert stand_in.running() == {}


async def test_a_server_without_events_is_served_all_the_same(
    aitui: CommandLine, stand_in: StandIn
) -> None:
    stand_in.fault("/api/events", FixedResponse(404, b"404 page not found", "text/plain"))
    assert (await aitui.run("load", QUICK)).status == DONE


async def test_yes_answers_the_question(
    aitui: CommandLine, stand_in: StandIn, other: OtherClient
) -> None:
    await other.load(QUICK)
    assert (await aitui.run("load", STEADY, "--yes")).status == DONE
    assert stand_in.running() == {STEADY: "ready"}


@pytest.mark.parametrize("command", [("load", QUICK), ("unload", QUICK), ("unload", "--all")])
async def test_read_only_is_refused(
    aitui: CommandLine, stand_in: StandIn, command: tuple[str, ...]
) -> None:
    outcome = await aitui.run(*command, "--read-only")
    assert outcome.status == REFUSED
    assert "--read-only" in outcome.err
    assert {request.method for request in stand_in.requests} == {"GET"}
    assert not asked_for(stand_in, "/upstream/")


@pytest.mark.parametrize("command", ["load", "unload"])
async def test_an_unknown_id_gets_the_nearest_ones(aitui: CommandLine, command: str) -> None:
    outcome = await aitui.run(command, "steady-30b")
    assert outcome.status == NO_MODEL
    assert STEADY in outcome.err


@pytest.mark.parametrize("command", ["load", "unload"])
async def test_a_peers_model_is_refused(aitui: CommandLine, command: str) -> None:
    outcome = await aitui.run(command, PEER)
    assert outcome.status == REFUSED
    assert "peer1" in outcome.err


async def test_a_wrong_setting_is_named_with_its_origin(aitui: CommandLine) -> None:
    aitui.environment["AI_SERVER_TIMEOUT_MS"] = "soon"
    outcome = await aitui.run("status")
    assert outcome.status == USAGE
    assert "AI_SERVER_TIMEOUT_MS" in outcome.err


async def test_a_wrong_command_line_is_usage(aitui: CommandLine) -> None:
    assert (await aitui.run("lod", QUICK)).status == USAGE


async def test_a_dead_port_is_unreachable(aitui: CommandLine, stand_in: StandIn) -> None:
    await stand_in.stop()
    outcome = await aitui.run("status")
    assert outcome.status == UNREACHABLE
    assert "refuses connections" in outcome.err
    assert "Traceback" not in outcome.err


async def test_a_silent_server_is_unreachable(aitui: CommandLine, stand_in: StandIn) -> None:
    stand_in.fault("/", Hang())
    aitui.environment["AI_SERVER_TIMEOUT_MS"] = "300"
    outcome = await aitui.run("status")
    assert outcome.status == UNREACHABLE
    assert "0.3 s" in outcome.err


async def test_a_proxy_without_its_server_is_unreachable(
    aitui: CommandLine, stand_in: StandIn
) -> None:
    stand_in.fault("/", HtmlPage(502))
    outcome = await aitui.run("status")
    assert outcome.status == UNREACHABLE
    assert "502" in outcome.err


async def test_a_web_page_instead_of_json_is_a_failure(
    aitui: CommandLine, stand_in: StandIn
) -> None:
    stand_in.fault("/v1/models", HtmlPage())
    outcome = await aitui.run("status")
    assert outcome.status == FAILED
    assert "HTML" in outcome.err


async def test_an_error_of_the_server_is_a_failure(aitui: CommandLine, stand_in: StandIn) -> None:
    stand_in.fault("/running", FixedResponse(500, b'{"error":"the hamster is tired"}'))
    outcome = await aitui.run("status")
    assert outcome.status == FAILED
    assert "the hamster is tired" in outcome.err


async def test_a_foreign_client_certificate_is_refused_by_tls(
    aitui: CommandLine, stand_in: StandIn, tmp_path: Path
) -> None:
    foreign = make_foreign_certificates(tmp_path / "foreign")
    aitui.environment["AI_SERVER_CLIENT_CERT"] = str(foreign.client_cert)
    aitui.environment["AI_SERVER_CLIENT_KEY"] = str(foreign.client_key)
    outcome = await aitui.run("status")
    assert outcome.status == TLS
    assert str(foreign.client_cert) in outcome.err


async def test_a_server_of_another_authority_is_refused_by_tls(
    aitui: CommandLine, stand_in: StandIn, tmp_path: Path
) -> None:
    foreign = make_foreign_certificates(tmp_path / "foreign")
    aitui.environment["AI_SERVER_CA"] = str(foreign.root_ca)
    outcome = await aitui.run("status")
    assert outcome.status == TLS
    assert str(foreign.root_ca) in outcome.err


async def test_a_missing_certificate_file_is_named(
    aitui: CommandLine, stand_in: StandIn, certificates: Certificates
) -> None:
    aitui.environment["AI_SERVER_CLIENT_KEY"] = "/nonexistent/client-key.pem"
    outcome = await aitui.run("status")
    assert outcome.status == TLS
    assert "/nonexistent/client-key.pem" in outcome.err
    assert not stand_in.requests


async def test_the_default_server_without_two_of_its_files_is_not_asked(tmp_path: Path) -> None:
    folder = tmp_path / ".pi/agent/certs"
    folder.mkdir(parents=True)
    (folder / "root-ca.pem").touch()
    outcome = await CommandLine(tmp_path).run("status")
    assert outcome.status == TLS
    assert f"  there: {folder}/root-ca.pem (certificate authority)\n" in outcome.err
    assert f"  missing: {folder}/client.pem (client certificate)\n" in outcome.err
    assert f"  scp PROXY:CERTS/client.crt {folder}/client.pem\n" in outcome.err
    assert f"  scp PROXY:CERTS/client.key {folder}/client-key.pem\n" in outcome.err
    assert "CERTS/root-ca.pem" not in outcome.err
    assert "--url" in outcome.err


async def test_a_server_that_asks_for_a_certificate_names_the_directory_with_one(
    tmp_path: Path, server: Server, certificates: Certificates
) -> None:
    folder = tmp_path / ".pi/agent/certs"
    folder.mkdir(parents=True)
    for name in ("client.pem", "client-key.pem"):
        (folder / name).touch()
    aitui = CommandLine(tmp_path, {"AI_SERVER_CA": str(certificates.root_ca)})
    outcome = await aitui.run("status", "--url", server.url)
    assert outcome.status == TLS
    assert f"{folder} has one: set certs_dir in config.toml, or AI_SERVER_CERTS_DIR={folder}" in (
        outcome.err
    )


@pytest.mark.parametrize("command", ["status", "gpu", "preset", "doctor"])
async def test_a_command_says_that_there_is_no_server_yet(tmp_path: Path, command: str) -> None:
    outcome = await CommandLine(tmp_path).run(command)
    assert outcome.status == 2
    assert "There is no server yet" in outcome.err + outcome.out
    assert "--url http://localhost:8080" in outcome.err + outcome.out
    assert "example" not in outcome.err + outcome.out
    assert DEFAULT_URL not in outcome.err + outcome.out


async def test_a_reader_that_goes_away_makes_no_traceback(aitui: CommandLine) -> None:
    reading, writing = os.pipe()
    process = await aitui.start("status", "--json", stdout=writing)
    os.close(writing)
    os.close(reading)
    outcome = await finish(process)
    assert outcome.status == FAILED
    assert outcome.err == ""


async def test_an_interrupted_load_says_what_may_become_of_it(
    aitui: CommandLine, stand_in: StandIn
) -> None:
    process = await aitui.start("load", SLOW)
    await eventually(lambda: stand_in.running().get(SLOW) == "starting")
    interrupt(process)
    outcome = await finish(process)
    assert outcome.status == INTERRUPTED
    what, why, *remedy = outcome.err.splitlines()
    assert what == f"aitui: Stopped waiting for {SLOW} before it was ready"
    assert why.endswith("unload it as soon as it is ready")
    assert remedy == [
        f"  aitui load {SLOW} resumes waiting",
        f"  aitui unload {SLOW} aborts the load",
    ]
    assert stand_in.running() == {SLOW: "starting"}


async def test_an_interrupted_status_ends_quietly(aitui: CommandLine, stand_in: StandIn) -> None:
    stand_in.fault("/", Hang())
    process = await aitui.start("status")
    await eventually(lambda: stand_in.requests)
    interrupt(process)
    outcome = await finish(process)
    assert (outcome.status, outcome.err) == (INTERRUPTED, "")


async def test_two_loads_at_once_both_end_well(aitui: CommandLine, stand_in: StandIn) -> None:
    first, second = await asyncio.gather(aitui.run("load", STEADY), aitui.run("load", STEADY))
    assert (first.status, second.status) == (DONE, DONE)


async def test_a_load_is_timed_for_the_next_one(
    aitui: CommandLine, stand_in: StandIn, other: OtherClient
) -> None:
    await aitui.run("load", STEADY)
    times = json.loads((aitui.home / ".local/state/aitui/load-times.json").read_text())
    ((tokens, seconds),) = times["servers"][stand_in.url][STEADY]
    assert tokens == 131_072
    assert 0.1 < seconds < 10


@pytest.mark.parametrize("command", ["load", "unload"])
async def test_an_argument_that_could_steer_a_terminal_is_not_repeated(
    aitui: CommandLine, command: str
) -> None:
    outcome = await aitui.run(command, "\x1b]0;X\a\x9b2J")
    assert outcome.status == NO_MODEL, outcome.err
    assert not set("\x1b\a\x9b") & set(outcome.err + outcome.out)


async def test_undo_needs_no_server(aitui: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    before = "models:\n  fox:\n    cmd: llama-server -m fox.gguf -c 4096\n"
    file.write_text(before)
    aitui.environment |= {
        "AI_SERVER_SSH_HOST": "local",
        "AI_SERVER_PRESET_PATH": str(file),
        "AI_SERVER_URL": "http://127.0.0.1:1",
    }
    change = ("ctx", "fox", "16384", "--yes", "--no-reload")
    assert (await aitui.run(*change)).status == DONE
    alone = await aitui.run("undo", "--yes", "--no-reload")
    assert (alone.status, file.read_text()) == (DONE, before), alone.err
    assert "undone: " in alone.out

    assert (await aitui.run(*change)).status == DONE
    undone = await aitui.run("undo", "--yes")
    assert (undone.status, file.read_text()) == (UNREACHABLE, before)
    assert "undone: " in undone.out
    assert "The change was undone, but the server does not respond" in undone.err


async def test_a_script_that_the_settings_name_counts_as_a_llama_server(
    aitui: CommandLine, tmp_path: Path
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("models:\n  fox:\n    cmd: nice /srv/run-fox.sh -c 4096\n")
    aitui.environment |= {"AI_SERVER_SSH_HOST": "local", "AI_SERVER_PRESET_PATH": str(file)}
    change = ("ctx", "fox", "16384", "--yes", "--no-reload")
    refused = await aitui.run(*change)
    assert (refused.status, "llama_server_programs" in refused.err) == (1, True)
    settings = aitui.home / ".config/aitui/config.toml"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text('llama_server_programs = ["run-fox.sh"]\n')
    outcome = await aitui.run(*change)
    assert outcome.status == 0, outcome.err
    assert "run-fox.sh -c 16384" in file.read_text()


async def test_on_a_terminal_a_load_shows_how_far_it_is(aitui: CommandLine) -> None:
    async with aitui.at_terminal("load", SLOW) as (process, terminal):
        shown = await read_until(terminal, "is loading")
        interrupt(process)
        interrupt(process)
    assert f"{SLOW} " in shown


@pytest.mark.parametrize("command", [("status",), ("unload", "fox")])
async def test_a_proxy_that_reads_the_key_is_reported(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    aitui = CommandLine(
        tmp_path,
        {
            "AI_SERVER_URL": "http://ai.example.org",
            "AI_SERVER_API_KEY": "s3cr3t",
            "http_proxy": "http://u:pw@127.0.0.1:9",
        },
    )
    outcome = await aitui.run(*command)
    assert outcome.status == UNREACHABLE
    assert "The proxy 127.0.0.1:9 set in the environment reads the API key" in outcome.err
    assert "The proxy 127.0.0.1:9 set in the environment can't be reached" in outcome.err
    assert not [secret for secret in ("s3cr3t", "pw@") if secret in outcome.err]


async def test_an_unload_says_what_it_waits_for(aitui: CommandLine, stand_in: StandIn) -> None:
    stand_in.fault("/", Hang())
    process = await aitui.start("unload", "--all")
    assert process.stderr is not None
    async with asyncio.timeout(30):
        assert (await process.stderr.readline()).startswith(b"waiting for ")
    interrupt(process)
    assert (await finish(process)).status == INTERRUPTED
