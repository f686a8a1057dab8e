"""Profiles: listed with their pins, and switched after a question that names what changes."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from aitui.demo.certificates import Certificates
from aitui.demo.dialect import Dialect
from aitui.domain.models import Model, ModelKind
from aitui.domain.profiles import Profiles, ServerProfile
from aitui.domain.snapshot import Server
from aitui.errors import AituiError, NotSupported
from aitui.services.profiles import switch_profile
from catalogue import ALIAS, CATALOGUE, QUICK, STEADY
from cli.command_line import CommandLine
from stand_in import StandIn
from ui.driven import driven
from watched import Watched, no, nobody, yes

PROFILES = f"""
profiles:
  evening:
    description: Slow and careful
    pins: {{{ALIAS}: {STEADY}, drafts: ""}}
  day:
    pins: {{drafts: {QUICK}}}
"""


@pytest.fixture
async def stand_in(certificates: Certificates) -> AsyncIterator[StandIn]:
    async with StandIn(CATALOGUE + PROFILES, Dialect.HEAD, certificates) as running:
        yield running


def test_only_names_that_lead_elsewhere_are_named() -> None:
    models = (Model("big", aliases=("coder",)), Model("drafts", kind=ModelKind.PROFILE))
    profiles = Profiles(
        "a",
        (ServerProfile("a", "", (("drafts", "big"),)), ServerProfile("b", "", (("coder", ""),))),
    )
    assert profiles.changes("b", models) == ("coder: big → refused", "drafts: big → unknown")
    assert profiles.changes("a", models) == ()


async def test_a_switch_names_what_changes_and_reaches_the_snapshot(watch: Watched) -> None:
    ask = yes(watch)
    assert await switch_profile(watch.session, "evening", ask)
    assert ask.questions[0].facts[:2] == (
        "drafts: unknown → refused",
        f"{ALIAS}: {QUICK} → {STEADY}",
    )
    assert watch.snapshot.profile == "evening"
    assert (await watch.session.client.profiles()).active == "evening"
    assert await switch_profile(watch.session, "evening", nobody)
    assert await switch_profile(watch.session, "", yes(watch))
    await watch.until(lambda snapshot: snapshot.profile == "")


async def test_a_no_and_an_unknown_name_change_nothing(watch: Watched) -> None:
    assert not await switch_profile(watch.session, "day", no(watch))
    with pytest.raises(AituiError, match="no profile “evning”") as caught:
        await switch_profile(watch.session, "evning", nobody)
    assert caught.value.remedy == "did you mean evening?"
    assert (await watch.session.client.profiles()).active == ""


async def test_a_profile_that_another_client_switches_to_arrives_with_an_event(
    watch: Watched,
) -> None:
    await watch.session.client.choose_profile("day")
    await watch.until(lambda snapshot: snapshot.profile == "day")


async def test_an_older_server_says_which_version_brings_profiles(
    certificates: Certificates, server: Server
) -> None:
    from aitui.llamaswap.client import LlamaSwapClient

    async with (
        StandIn(CATALOGUE, Dialect.V218, certificates) as old,
        LlamaSwapClient(replace(server, url=old.url)) as client,
    ):
        with pytest.raises(NotSupported, match="no profiles") as caught:
            await client.profiles()
        assert "v241" in caught.value.why


async def test_a_read_only_server_keeps_its_profile(server: Server, tmp_path: Path) -> None:
    async with driven(replace(server, read_only=True), tmp_path) as app:
        await app.see(" ms ", QUICK)
        await app.press("P")
        await app.see("drafts → refused", "Slow and careful")
        await app.press("up", "enter")
        await app.told("switching the profile is refused")


async def test_the_key_lists_profiles_and_the_header_names_the_active_one(
    server: Server, tmp_path: Path
) -> None:
    async with driven(server, tmp_path, size=(120, 36)) as app:
        await app.see(" ms ", QUICK)
        await app.press("P")
        await app.see("Profiles", "no profile")
        await app.press("home", "down", "enter")
        await app.armed()
        await app.see(f"drafts: unknown → {QUICK}")
        await app.press("y")
        await app.told("The profile day is active")
        await app.until(lambda: "profile day" in app.strips[0].text, "in the header")


async def test_the_command_lists_and_switches(server: Server, tmp_path: Path) -> None:
    aitui = CommandLine.towards(server, tmp_path / "home")
    listed = await aitui.run("profile", "--json")
    assert json.loads(listed.out)["profiles"][0]["pins"] == {ALIAS: STEADY, "drafts": ""}
    refused = await aitui.run("profile", "evening")
    assert (refused.status, "pass --yes" in refused.err) == (6, True)
    switched = await aitui.run("profile", "evening", "--yes")
    assert switched.out == "the profile evening is active\n"
    left = await aitui.run("profile", "--none", "--yes")
    assert (left.status, left.out) == (0, "no profile is active\n")
    both = await aitui.run("profile", "evening", "--none")
    assert both.status == 2
