"""What the slash commands of the prompt do."""

import json
from pathlib import Path

import pytest

from aitui.domain.snapshot import Server
from stand_in import FixedResponse, StandIn
from ui.chat.pane import ENDLESS, FAST, OTHER, Pane, chatting

WIDE = (120, 36)


async def test_status_tells_what_runs(pane: Pane) -> None:
    await pane.ask("hi")
    await pane.app.until_ready(FAST)
    await pane.send("/status")
    await pane.app.see("1 ready of 8 models", "Model", "Ctx")


@pytest.mark.parametrize("command", ["/load", "/ai-server-load"])
async def test_load_loads(pane: Pane, command: str) -> None:
    await pane.send(f"{command} {OTHER}")
    await pane.app.told(f"{OTHER} is ready")


async def test_unload_unloads(pane: Pane) -> None:
    await pane.ask("hi")
    await pane.app.until_ready(FAST)
    await pane.send(f"/unload {FAST}")
    await pane.app.told(f"{FAST} is unloaded")


async def test_refresh_asks_for_everything_again(pane: Pane) -> None:
    before = len(pane.stand_in.requests)
    await pane.send("/ai-server-refresh")
    await pane.app.until(lambda: len(pane.stand_in.requests) > before, "asked")


async def test_an_id_that_is_unknown_gets_the_nearest(pane: Pane) -> None:
    await pane.send("/load fast-8b")
    await pane.app.told(FAST)


async def test_a_command_that_is_unknown_gets_the_nearest_and_stays_written(pane: Pane) -> None:
    await pane.send("/statsu")
    await pane.app.told("did you mean /status?")
    assert pane.written == "/statsu"
    assert pane.asked == []


async def test_a_command_without_what_it_needs_says_how_it_is_written(pane: Pane) -> None:
    await pane.send("/load")
    await pane.app.told("/load ID")


@pytest.mark.parametrize("command", ["/ctx fast-7b 4096", "/preset", "/ai-server-restart"])
async def test_what_needs_the_machine_says_so(pane: Pane, command: str) -> None:
    await pane.send(command)
    await pane.app.told("no SSH host is set")


async def test_a_path_is_no_command(pane: Pane) -> None:
    await pane.ask("/ is the root, what is below it?")
    assert pane.said[0] == "/ is the root, what is below it?"


async def test_model_goes_on_with_another_one(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path, size=WIDE) as pane:
        await pane.ask("one")
        await pane.app.until_ready(FAST)
        await pane.send(f"/model {OTHER}")
        await pane.app.see(f"─ {OTHER} ─")
        await pane.open(FAST)
        assert pane.said == []
        await pane.open(OTHER)
        assert pane.said[0] == "one"


async def test_system_goes_along_and_is_remembered_for_the_model(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path) as pane:
        await pane.send("/system Be brief.")
        await pane.app.told("System prompt set")
        await pane.ask("hi")
        assert pane.asked[0][0] == {"role": "system", "content": "Be brief."}
    async with chatting(stand_in, server, tmp_path) as pane:
        await pane.ask("again")
        assert pane.asked[-1][0] == {"role": "system", "content": "Be brief."}


async def test_parameters_go_along_and_are_remembered_for_the_model(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path) as pane:
        await pane.send("/set temperature 0.2")
        await pane.app.told("temperature 0.2")
        await pane.app.see("with  temperature 0.2")
        await pane.ask("hi")
        assert pane.bodies[0]["temperature"] == 0.2
    async with chatting(stand_in, server, tmp_path) as pane:
        await pane.ask("again")
        assert pane.bodies[-1]["temperature"] == 0.2


async def test_a_parameter_without_a_value_is_cleared(pane: Pane) -> None:
    await pane.send("/set temperature 0.2")
    await pane.app.told("temperature 0.2")
    await pane.send("/set temperature")
    await pane.app.told("defaults of the server")
    await pane.ask("hi")
    assert "temperature" not in pane.bodies[0]


async def test_a_value_that_is_none_is_refused(pane: Pane) -> None:
    await pane.send("/set temperature hot")
    await pane.app.told("temperature")
    assert pane.written == "/set temperature hot"


async def test_clear_begins_a_new_conversation(pane: Pane) -> None:
    await pane.ask("hi")
    await pane.send("/clear")
    await pane.app.until(lambda: pane.said == [], "new")
    await pane.app.see("Start typing")


async def test_nothing_cuts_an_answer_without_saying(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path, ENDLESS) as pane:
        await pane.send("go on")
        await pane.streams()
        await pane.send("/clear")
        await pane.app.told("^c in its chat stops it")
        assert pane.chat.busy
        assert pane.written == "/clear"


async def test_retry_answers_again_and_branch_walks(pane: Pane) -> None:
    await pane.ask("hi")
    first = pane.chat.conversation.shown
    await pane.send("/retry")
    await pane.app.until(lambda: len(pane.bodies) == 2, "asked again")
    await pane.ended()
    second = pane.chat.conversation.shown
    await pane.app.see("2 of 2, /branch shows the next")
    await pane.send("/branch")
    await pane.app.see("1 of 2, /branch shows the next")
    assert pane.chat.conversation.shown == first
    await pane.send("/branch")
    await pane.app.see("2 of 2")
    assert pane.chat.conversation.shown == second


async def test_one_branch_is_nothing_to_walk(pane: Pane) -> None:
    await pane.ask("hi")
    await pane.send("/branch")
    await pane.app.told("there is only one reply")


async def test_edit_asks_differently_and_keeps_the_old_branch(pane: Pane) -> None:
    await pane.ask("hi")
    await pane.send("/edit")
    await pane.app.until(lambda: pane.written == "hi", "to be edited")
    await pane.app.press(*"!!", "enter")
    await pane.app.until(lambda: len(pane.bodies) == 2, "asked")
    await pane.ended()
    assert pane.said[0] == "hi!!"
    assert len(pane.asked[1]) == 1
    await pane.app.see("2 of 2")
    await pane.send("/branch")
    await pane.app.until(lambda: pane.said[0] == "hi", "the old one")


async def test_an_edit_that_is_emptied_is_dropped(pane: Pane) -> None:
    await pane.ask("hi")
    await pane.send("/edit")
    await pane.app.until(lambda: pane.written == "hi", "to be edited")
    await pane.app.press("backspace", "backspace")
    await pane.app.settle()
    await pane.ask("more")
    assert len(pane.asked[1]) == 3


async def test_delete_drops_the_last_question_and_its_answer(pane: Pane) -> None:
    await pane.ask("one")
    await pane.ask("two")
    await pane.send("/delete")
    await pane.app.unsee("two")
    assert pane.said[::2] == ["one"]


async def test_enter_completes_a_command_that_drops_something_before_it_runs_it(pane: Pane) -> None:
    await pane.ask("one")
    await pane.app.press(*"/dele")
    await pane.app.see("delete the last prompt")
    await pane.app.press("enter")
    await pane.app.settle()
    assert pane.app.models.chat.prompt.text == "/delete"
    assert pane.said[::2] == ["one"]


async def test_continue_goes_on_with_an_answer_that_was_stopped(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path, ENDLESS) as pane:
        await pane.send("/set max_tokens 20")
        await pane.app.told("max_tokens 20")
        await pane.ask("go on")
        before = pane.said[1]
        await pane.app.see("token limit reached", "/continue")
        await pane.send("/continue")
        await pane.app.until(lambda: len(pane.bodies) == 2, "asked")
        await pane.ended()
        assert pane.said[1].startswith(before)
        assert len(pane.said[1]) > len(before)


async def test_continue_of_a_whole_answer_says_so(pane: Pane) -> None:
    await pane.ask("hi")
    await pane.send("/continue")
    await pane.app.told("the last reply is complete")


@pytest.mark.parametrize("command", ["/retry", "/edit", "/delete", "/continue"])
async def test_nothing_to_do_it_with_says_so(pane: Pane, command: str) -> None:
    await pane.send(command)
    await pane.app.told("no prompt" if command != "/continue" else "the last reply is complete")


async def test_rename_gives_a_title(stand_in: StandIn, server: Server, tmp_path: Path) -> None:
    async with chatting(stand_in, server, tmp_path, size=WIDE) as pane:
        await pane.ask("hi")
        await pane.send("/rename about greetings")
        await pane.app.see("about greetings")


async def test_help_lists_the_commands(stand_in: StandIn, server: Server, tmp_path: Path) -> None:
    async with chatting(stand_in, server, tmp_path, size=WIDE) as pane:
        await pane.send("/help")
        await pane.app.see("/set [NAME VALUE]", "/history [WORDS]", "/restart")


async def test_set_lists_parameters_and_refuses_unknown_ones(pane: Pane) -> None:
    await pane.send("/set temprature 0.2")
    await pane.app.told("did you mean temperature?")
    pane.widget.prompt.set_text("")
    await pane.send("/set seed 7")
    await pane.app.told("seed 7")
    await pane.send("/set")
    await pane.app.see("Also:", "top_n_sigma")


async def test_system_is_shown_and_removed(pane: Pane) -> None:
    await pane.send("/system Be brief.")
    await pane.app.told("System prompt set")
    await pane.app.see("with  Be brief.")
    await pane.send("/system")
    await pane.app.see("System prompt", "Be brief.")
    await pane.send("/system off")
    await pane.app.told("System prompt removed")
    await pane.app.unsee("with  Be brief.")
    await pane.ask("hi")
    assert pane.asked[0][0]["role"] == "user"


async def test_copy_takes_the_last_reply_and_never_a_note(pane: Pane) -> None:
    await pane.ask("hi")
    await pane.send("/status")
    await pane.app.see("of 8 models")
    await pane.send("/copy")
    await pane.app.told("opied")
    assert pane.app.app.clipboard == pane.said[1]
    await pane.send("/copy code")
    await pane.app.told("the last reply has no code")


async def test_copy_code_takes_the_last_block_of_the_last_reply(pane: Pane) -> None:
    text = "```py\nx = 1\n```\nand\n```sh\nls\n  -l\n```\nthat is all"
    chunks = [{"content": text}, {}]
    events = [f"data: {json.dumps({'choices': [{'delta': chunk}]})}\n\n" for chunk in chunks]
    body = "".join((*events, "data: [DONE]\n\n")).encode()
    pane.stand_in.fault("/v1/chat", FixedResponse(200, body, "text/event-stream"))
    await pane.ask("hi")
    await pane.send("/copy code")
    await pane.app.told("opied")
    assert pane.app.app.clipboard == "ls\n  -l"


async def test_ctx_without_an_id_means_this_model(pane: Pane) -> None:
    await pane.send("/ctx 64k")
    await pane.app.told("no SSH host is set")


# --- files
