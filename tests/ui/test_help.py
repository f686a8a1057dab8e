"""Help: the keys of this place first, in columns, made of the keymap."""

from pathlib import Path

from aitui import __version__
from aitui.domain.snapshot import Server
from ui.driven import driven


async def test_the_place_where_one_is_comes_first(server: Server, tmp_path: Path) -> None:
    async with driven(server, tmp_path, size=(120, 36)) as app:
        await app.press("question_mark")
        await app.see("Models   you are here", "Logs ─")
        await app.press("escape", "4", "question_mark")
        await app.see("Hardware   you are here", "Logs ─")


async def test_a_search_shows_the_keys_whose_words_match(server: Server, tmp_path: Path) -> None:
    async with driven(server, tmp_path, size=(120, 36)) as app:
        await app.press("question_mark", "slash", *"reasoning")
        await app.see("show all")
        assert "Chat ─" in app.text
        assert "half a page" not in app.text
        await app.press("escape")
        await app.see("half a page", "find a key")
        await app.press("escape")
        assert app.app.screen is app.models


async def test_a_search_finds_a_key_by_its_sign(server: Server, tmp_path: Path) -> None:
    async with driven(server, tmp_path, size=(120, 36)) as app:
        await app.press("question_mark", "slash", "U", "enter")
        await app.see("U  unload all")
        assert "cancel a request" not in app.text
        # The letter is a key again once the search is entered.
        await app.press("q")
        assert "half a page" in app.text


async def test_a_search_without_a_match_says_so_and_keeps_the_size(
    server: Server, tmp_path: Path
) -> None:
    async with driven(server, tmp_path, size=(120, 36)) as app:
        await app.press("question_mark")
        before = app.app.screen.query_one("#dialog").outer_size
        await app.press("slash", *"qwertz")
        await app.see("nothing matches")
        assert app.app.screen.query_one("#dialog").outer_size == before


async def test_help_says_which_versions_run(server: Server, tmp_path: Path) -> None:
    async with driven(server, tmp_path, size=(120, 36)) as app:
        await app.until(lambda: app.app.snapshot.version, "a version")
        await app.press("question_mark")
        await app.see(f"aitui {__version__} · llama-swap v")
