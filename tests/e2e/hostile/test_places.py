"""Every place that shows a server's text: nothing of it steers the terminal, and columns stay."""

import asyncio
import json

from e2e.hostile.payloads import EVIL, MARKUP, SEQUENCES, leaks
from e2e.pseudo_terminal.terminal import Terminal
from stand_in import FixedResponse, StandIn

WAITS = 0.3


async def harmless(shown: Terminal) -> None:
    """Nothing leaked, nothing ran, and what is shown is what would be drawn anew."""
    await asyncio.sleep(WAITS)
    assert shown.is_running, shown.text
    assert not leaks(bytes(shown.sent))


def rows(shown: Terminal) -> list[str]:
    """The table's rows, without its border."""
    return [line[1:70] for line in shown.screen.display if line[2:4].strip() in {"○", "●", "◇"}]


async def go_to(shown: Terminal, words: str) -> None:
    shown.press("/")
    await shown.see("filter by id")
    shown.press(words)
    await shown.unsee("○ 10")
    shown.press("\r")
    # The table's keys are offered again once it has the focus.
    await shown.see("s sort", "? help")


async def test_the_table_and_the_detail_of_every_model(shown: Terminal) -> None:
    for _ in range(len(SEQUENCES) + 5):
        shown.press("j")
        await harmless(shown)
    assert len(rows(shown)) == len(SEQUENCES) + 5
    # Only now: the columns moved when the list became longer than the screen.
    column = next(line for line in shown.screen.display if "STATE" in line).index("STATE")
    for line in rows(shown):
        assert line[column - 1] in "–p", line


async def test_what_is_shown_is_what_a_whole_redraw_shows(shown: Terminal) -> None:
    for _ in range(5):
        shown.press("j")
    # What the detail asks for comes later, on a busy machine much later.
    await shown.quiet(2)
    before, sent = shown.text.split("\n")[1:-1], len(shown.sent)
    shown.press("\x1b[15~")
    await shown.until(lambda: len(shown.sent) > sent + 3000, "drawn anew")
    assert shown.text.split("\n")[1:-1] == before


async def test_questions_toasts_the_palette_and_help(shown: Terminal) -> None:
    shown.press("y")
    await shown.told("Copied")
    shown.press("l")
    # Cleaned on its way in, an id that can harm is none that the server knows.
    await shown.told("no model “0” on this server")
    await go_to(shown, MARKUP)
    shown.press("l")
    await shown.told("is ready after")
    await harmless(shown)
    shown.press("\x1b")
    await shown.see("○ 10")
    shown.press("gjl")
    await shown.see("Cancel")
    await harmless(shown)
    shown.press("n")
    await shown.unsee("Cancel")
    for key, words in (
        (":", "type to find"),
        ("?", "you are here"),
        ("S", "Servers"),
    ):
        shown.press(key)
        await shown.see(words)
        await harmless(shown)
        shown.press("\x1b")
        await shown.unsee(words)


async def test_a_failed_load_and_its_evidence(hostile: StandIn, shown: Terminal) -> None:
    await go_to(shown, "fails")
    shown.press("l")
    await shown.see("loading")
    hostile.write_log(f"ggml_cuda: failed to allocate {EVIL}\n", source="fails")
    await shown.see("failed", "log")
    await harmless(shown)
    shown.press("L")
    await shown.see("✘ fails could not be loaded")
    await harmless(shown)


async def test_clients_and_their_requests(hostile: StandIn, shown: Terminal) -> None:
    model = next(name for name in _names(hostile) if name.startswith("0"))
    async with hostile.busy(model, user_agent=EVIL), hostile.busy(model, user_agent="x" + EVIL):
        await shown.see("2 running")
        await harmless(shown)
        shown.press("x")
        await harmless(shown)
        shown.press("x")
        await shown.see("Cancel")
        await harmless(shown)


async def test_the_version_and_what_events_tell(hostile: StandIn, shown: Terminal) -> None:
    version = json.dumps({"version": EVIL, "commit": EVIL, "build_date": EVIL}).encode()
    hostile.fault("/api/version", FixedResponse(200, version))
    shown.press("\x1b[15~")
    # A long version goes first where the header has no room.
    shown.resize(200, 36)
    await shown.see("llama-swap evil")
    for kind in ("modelStatus", "logData", "metrics", "inflight", EVIL):
        hostile.publish(kind, {"id": EVIL, "models": [{"id": EVIL, "state": EVIL}], "data": EVIL})
        hostile.publish(kind, [{"id": EVIL, "state": EVIL, "model": EVIL}])
        hostile.publish(kind, EVIL)
    await harmless(shown)


async def test_bodies_of_errors(hostile: StandIn, shown: Terminal) -> None:
    bodies = (EVIL, json.dumps({"error": {"message": EVIL}}), json.dumps({"error": EVIL}))
    for status, body in zip((500, 400, 502), bodies, strict=True):
        hostile.clear_faults()
        hostile.fault("/running", FixedResponse(status, body.encode()))
        shown.press("\x1b[15~")
        await shown.see("✘ lost", f"{status}")
        await harmless(shown)


async def test_the_doctor(hostile: StandIn, shown: Terminal) -> None:
    hostile.fault("/api/version", FixedResponse(200, json.dumps({"version": EVIL}).encode()))
    hostile.fault("/health", FixedResponse(500, EVIL.encode()))
    shown.press("D")
    await shown.see("Checked")
    await harmless(shown)


def _names(stand_in: StandIn) -> list[str]:
    return list(stand_in._active_runtime.swap.processes)
