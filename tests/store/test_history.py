"""Conversations on disk: kept, found, changed, broken."""

import asyncio
import itertools
import os
import sqlite3
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from aitui.domain.chat import conversation as edits
from aitui.domain.chat.conversation import (
    Attachment,
    Conversation,
    SamplingParameters,
    Turn,
    TurnState,
)
from aitui.domain.chat.reply import GenerationTimings, TokenUsage
from aitui.errors import HistoryError
from aitui.store.history import FILE_NAME, ConversationHistory
from aitui.store.history_db import PROMPTS_KEPT, STEPS


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / FILE_NAME


@pytest.fixture
async def history(path: Path) -> AsyncIterator[ConversationHistory]:
    opened = await ConversationHistory.open(path)
    yield opened
    await opened.close()


@pytest.fixture
def new_id() -> Callable[[], str]:
    numbers = itertools.count()
    return lambda: f"new-{next(numbers)}"


def talk(name: str = "c", question: str = "Why?", answer: str = "Because.") -> Conversation:
    """A question with its answer."""
    empty = Conversation(name, server="home", model="m", created=1.0)
    asked = edits.add_prompt(empty, f"{name}-q", question, 2.0)
    running = edits.with_reply(asked, f"{name}-a", 3.0)
    return running if answer == "…" else ended(running, answer)


def ended(conversation: Conversation, answer: str) -> Conversation:
    turn = conversation.turns[conversation.shown]
    done = replace(turn, text=answer, state=TurnState.DONE, ended=4.0)
    return replace(conversation.with_turn(done), changed=4.0)


async def reopened(history: ConversationHistory, path: Path) -> ConversationHistory:
    await history.close()
    return await ConversationHistory.open(path)


async def test_a_conversation_comes_back_as_it_was(
    history: ConversationHistory, path: Path
) -> None:
    image = Attachment("a.png", "image/png", "data:image/png;base64,AA")
    conversation = talk(question="größer ☃?")
    question = replace(conversation.turns["c-q"], attachments=(image,))
    answer = replace(
        conversation.turns["c-a"],
        reasoning="hm",
        finish="stop",
        usage=TokenUsage(1, 2, 3),
        timings=GenerationTimings(tokens=2, rate=48.3, drafted=1),
        sampling=SamplingParameters.of({"temperature": 0.5}),
    )
    conversation = replace(
        conversation.with_turn(question).with_turn(answer),
        system="Be brief.",
        sampling=SamplingParameters.of({"top_k": 3}),
    )
    await history.save(conversation)
    again = await reopened(history, path)
    assert await again.read("c") == conversation
    await again.close()


async def test_nobody_else_reads_it(history: ConversationHistory, path: Path) -> None:
    await history.save(talk())
    files = [file for file in path.parent.iterdir() if file.is_file()]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_what_came_of_a_running_answer_survives_as_cut(
    history: ConversationHistory, path: Path
) -> None:
    await history.save(talk(answer="…"))
    await history.append("c-a", "so ", "hm ")
    await history.append("c-a", "far", "hm")
    again = await reopened(history, path)
    turn = (await again.read("c")).turns["c-a"]
    assert (turn.text, turn.reasoning, turn.state) == ("so far", "hm hm", TurnState.CUT)
    await again.close()


async def test_an_answer_that_ended_replaces_its_pieces(history: ConversationHistory) -> None:
    running = talk(answer="…")
    await history.save(running)
    await history.append("c-a", "so far")
    await history.save(ended(running, "so far and on"))
    assert (await history.read("c")).turns["c-a"].text == "so far and on"


async def test_an_answer_that_goes_on_keeps_what_it_had(history: ConversationHistory) -> None:
    cut = talk()
    cut = cut.with_turn(replace(cut.turns["c-a"], state=TurnState.CUT, text="so "))
    await history.save(cut)
    await history.save(edits.reopen_reply(cut, "c-a"))
    await history.append("c-a", "far")
    assert (await history.read("c")).turns["c-a"].text == "so far"


async def test_a_deleted_turn_is_gone(history: ConversationHistory) -> None:
    conversation = talk()
    await history.save(conversation)
    await history.save(edits.delete_turn(conversation, "c-a"))
    assert list((await history.read("c")).turns) == ["c-q"]
    assert await history.search("because") == {}


async def test_the_list_begins_with_the_latest_of_that_server(history: ConversationHistory) -> None:
    await history.save(talk("old"))
    await history.save(replace(talk("new", "What now?"), changed=9.0))
    await history.save(replace(talk("other"), server="lab"))
    await history.save(Conversation("empty", server="home", changed=99.0))
    found = await history.conversations("home")
    assert [(summary.id, summary.heading, summary.turns) for summary in found] == [
        ("new", "What now?", 2),
        ("old", "Why?", 2),
    ]
    assert len(await history.conversations()) == 3


async def test_a_title_stays_when_the_conversation_goes_on(history: ConversationHistory) -> None:
    conversation = talk()
    await history.save(conversation)
    await history.rename("c", "Skies")
    await history.save(replace(conversation, changed=9.0))
    assert (await history.conversations())[0].heading == "Skies"


async def test_a_deleted_conversation_is_gone(history: ConversationHistory) -> None:
    await history.save(talk())
    await history.delete("c")
    assert await history.conversations() == ()
    assert await history.search("because") == {}
    with pytest.raises(HistoryError, match="no longer exists"):
        await history.read("c")


@pytest.mark.parametrize("full_text", [True, False])
@pytest.mark.parametrize("words", ["λ⁻⁴ scat", "SCATTER short", '100% "blue"', "a_b"])
async def test_words_are_found(path: Path, words: str, full_text: bool) -> None:
    history = await ConversationHistory.open(path, full_text=full_text)
    await history.save(talk("x", answer='Short waves scatter: λ⁻⁴. 100% "blue" a_b'))
    await history.save(talk("y", answer="100 axb"))
    assert list(await history.search(words)) == ["x"]
    await history.close()


async def test_the_last_texts_are_a_prompt_and_a_reply(history: ConversationHistory) -> None:
    once = talk(answer="First.")
    again = ended(edits.add_alternative_reply(once, "c-a", "c-b", 5.0), "Second.")
    await history.save(again)
    assert await history.last_texts("c") == (("user", "Why?"), ("assistant", "Second."))
    await history.save(edits.add_prompt(again, "c-r", "And then?", 6.0))
    assert await history.last_texts("c") == (("assistant", "Second."), ("user", "And then?"))


@pytest.mark.parametrize("full_text", [True, False])
async def test_a_conversation_with_many_matches_hides_no_other(path: Path, full_text: bool) -> None:
    history = await ConversationHistory.open(path, full_text=full_text)
    await history.save(talk("rare", answer="A long text in which the word blue stands once."))
    often = replace(talk("often", answer="blue"), changed=9.0)
    for number in range(300):
        often = often.with_turn(replace(often.turns["often-a"], id=f"o{number}"))
    await history.save(often)
    found = await history.search("blue")
    assert found.keys() == {"rare", "often"}
    assert "word blue stands" in found["rare"]
    await history.close()


@pytest.mark.parametrize("full_text", [True, False])
@pytest.mark.parametrize("words", ["", "  ", "nothing", '"', "*", "a OR b", "NEAR(", "\0"])
async def test_what_is_nowhere_is_not_found(path: Path, words: str, full_text: bool) -> None:
    history = await ConversationHistory.open(path, full_text=full_text)
    await history.save(talk())
    assert await history.search(words) == {}
    await history.close()


async def test_what_was_written_without_an_index_is_found_later(path: Path) -> None:
    without = await ConversationHistory.open(path, full_text=False)
    await without.save(talk())
    await without.close()
    history = await ConversationHistory.open(path)
    assert len(await history.search("because")) == 1
    await history.close()


async def test_settings_are_remembered_for_each_model(history: ConversationHistory) -> None:
    cool = SamplingParameters.of({"temperature": 0.1})
    await history.remember_settings("home", "m", "Be brief.", cool)
    assert await history.settings("home", "m") == ("Be brief.", cool)
    assert await history.settings("home", "n") == ("", SamplingParameters())


async def test_two_at_once_write_one_database(history: ConversationHistory, path: Path) -> None:
    other = await ConversationHistory.open(path)
    for number in range(20):
        await history.save(talk(f"a{number}"))
        await other.save(talk(f"b{number}"))
    assert len(await history.conversations()) == 40
    await other.close()


async def test_a_conversation_that_is_open_elsewhere_forks(
    history: ConversationHistory, path: Path, new_id: Callable[[], str]
) -> None:
    await history.save(talk())
    other = await ConversationHistory.open(path)
    opened = await other.resume("c", new_id)
    assert opened.forked
    assert opened.conversation.forked_from == "c"
    assert [turn.text for turn in opened.conversation.path] == ["Why?", "Because."]
    await other.save(edits.add_prompt(opened.conversation, "more", "And?", 9.0))
    assert len((await history.read("c")).turns) == 2
    await other.close()


async def test_a_running_answer_forks_with_what_came(
    history: ConversationHistory, path: Path, new_id: Callable[[], str]
) -> None:
    await history.save(talk(answer="…"))
    await history.append("c-a", "so far")
    other = await ConversationHistory.open(path)
    opened = await other.resume("c", new_id)
    assert opened.conversation.path[-1].text == "so far"
    await history.append("c-a", " and on")
    await history.save(ended(talk(answer="…"), "so far and on"))
    assert (await history.read("c")).path[-1].text == "so far and on"
    await other.close()


async def test_a_released_conversation_is_gone_on_with(
    history: ConversationHistory, path: Path, new_id: Callable[[], str]
) -> None:
    await history.save(talk())
    await history.release("c")
    other = await ConversationHistory.open(path)
    assert not (await other.resume("c", new_id)).forked
    with pytest.raises(HistoryError, match="Another aitui"):
        await history.save(talk())
    with pytest.raises(HistoryError, match="can't be deleted"):
        await history.delete("c")
    await other.close()


async def test_locks_leave_no_files(history: ConversationHistory, path: Path) -> None:
    await history.save(talk())
    await history.release("c")
    assert list(path.with_name(f"{FILE_NAME}.locks").iterdir()) == []


async def test_what_is_no_database_is_set_aside(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database at all" * 100)
    warnings: list[str] = []
    history = await ConversationHistory.open(path, on_warning=warnings.append)
    assert f"{FILE_NAME}.broken" in warnings[0]
    await history.save(talk())
    assert len(await history.conversations()) == 1
    await history.close()


UNALLOCATABLE = "047f47bf152f4b7bdc9cfb88ee216553128fed2040ebdc049476a60cc8e457e267d228eb79469f04"
"""A block of the index in which SQLite reads a size that it can't allocate."""


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE words_data SET block = randomblob(40)",
        f"UPDATE words_data SET block = x'{UNALLOCATABLE}'",
        "DELETE FROM words_data",
        "DROP TABLE words_config",
        "DROP TABLE words_docsize",
    ],
)
async def test_a_damaged_index_is_rebuilt_and_reported(path: Path, statement: str) -> None:
    first = await ConversationHistory.open(path)
    await first.save(talk())
    await first.close()
    with closing(sqlite3.connect(path)) as database:
        database.execute(statement)
        database.commit()
    warnings: list[str] = []
    history = await ConversationHistory.open(path, on_warning=warnings.append)
    await history.save(talk("more"))
    found = set(await history.search("because"))
    assert found == {"c", "more"}
    assert warnings == ["The search index of the conversations was damaged and is rebuilt"]
    assert len(await history.conversations()) == 2
    await history.delete("c")
    assert set(await history.search("because")) == {"more"}
    await history.close()


async def test_no_reply_of_an_aitui_that_was_killed_stays_running(path: Path) -> None:
    killed = await ConversationHistory.open(path)
    await killed.save(talk(answer="…"))
    await killed.append("c-a", "so far")
    other = await ConversationHistory.open(path)

    def states() -> list[tuple[str, str]]:
        with closing(sqlite3.connect(path)) as database:
            return database.execute("SELECT state, text FROM turns WHERE id = 'c-a'").fetchall()

    # It still runs: another one leaves it alone.
    assert states() == [("running", "")]
    await other.close()
    killed._locks.release_all()
    again = await ConversationHistory.open(path)
    assert states() == [("cut", "so far")]
    assert list(await again.search("far")) == ["c"]
    assert not (await again.resume("c", lambda: "x")).forked
    await again.close()
    await killed.close()


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/null")])
async def test_what_is_in_the_place_of_a_lock_costs_its_conversation_alone(
    path: Path, make: Callable[[Path], None]
) -> None:
    killed = await ConversationHistory.open(path)
    await killed.save(talk("bad", answer="…"))
    await killed.save(talk("good", answer="…"))
    await killed.close()
    make(path.with_name(f"{path.name}.locks") / "bad.lock")
    warnings: list[str] = []
    async with asyncio.timeout(20):
        history = await ConversationHistory.open(path, on_warning=warnings.append)
        (warning,) = warnings
        assert "bad.lock is not a regular file" in warning
        with pytest.raises(HistoryError) as caught:
            await history.resume("bad", lambda: "x")
        assert "bad.lock is not a regular file" in caught.value.why
        assert (await history.read("bad")).turns["bad-a"].state is TurnState.CUT
        assert not (await history.resume("good", lambda: "x")).forked
        await history.close()


async def test_a_database_of_a_newer_aitui_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    database = sqlite3.connect(path)
    database.execute(f"PRAGMA user_version = {len(STEPS) + 1}")
    database.close()
    before = path.read_bytes()
    with pytest.raises(HistoryError, match="newer aitui"):
        await ConversationHistory.open(path)
    assert path.read_bytes() == before


async def test_where_nothing_can_be_written_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the directory would be")
    with pytest.raises(HistoryError, match="can't be used"):
        await ConversationHistory.open(tmp_path / "data" / FILE_NAME)


async def test_a_closed_history_says_so(path: Path) -> None:
    history = await ConversationHistory.open(path)
    await history.save(talk())
    await history.close()
    with pytest.raises(HistoryError, match="closed"):
        await history.read("c")


async def test_a_turn_of_a_newer_aitui_with_more_facts_is_read(
    history: ConversationHistory, path: Path
) -> None:
    await history.save(talk())
    database = sqlite3.connect(path)
    database.execute("UPDATE turns SET facts = json_set(facts, '$.mood', 'good')")
    database.commit()
    database.close()
    assert isinstance((await history.read("c")).turns["c-a"], Turn)


async def test_a_database_without_drafts_gets_room_for_them(
    history: ConversationHistory, path: Path
) -> None:
    await history.save(talk())
    await history.close()
    database = sqlite3.connect(path)
    database.executescript("DROP TABLE drafts; DROP TABLE prompts; PRAGMA user_version = 1")
    database.close()
    again = await ConversationHistory.open(path)
    await again.save_draft("c", "and")
    assert (await again.draft("c"))[0] == "and"
    assert (await again.read("c")).path[0].text == "Why?"
    await again.close()


async def test_a_draft_is_kept_until_it_is_empty(history: ConversationHistory, path: Path) -> None:
    await history.save_draft("c", "half a", "turn")
    await history.save_draft("c", "half a question", "turn")
    again = await reopened(history, path)
    assert await again.draft("c") == ("half a question", "turn")
    await again.save_draft("c", "")
    assert await again.draft("c") == ("", "")
    await again.close()


async def test_the_latest_prompts_are_kept_in_their_order(history: ConversationHistory) -> None:
    for number in range(PROMPTS_KEPT + 5):
        await history.add_prompt(f"prompt {number}")
    await history.add_prompt("x" * 1_000_000)
    kept = await history.prompts()
    assert kept == tuple(f"prompt {number}" for number in range(5, PROMPTS_KEPT + 5))


async def test_a_deleted_conversation_takes_its_draft_and_prompts_along(
    history: ConversationHistory,
) -> None:
    await history.save(talk())
    for text in ("Why?", "something else"):
        await history.add_prompt(text)
    await history.save_draft("c", "and")
    await history.delete("c")
    assert await history.prompts() == ("something else",)
    assert await history.draft("c") == ("", "")
