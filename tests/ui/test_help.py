"""Help: the keys of this place first, in columns, made of the keymap."""

from pathlib import Path

from aitui.domain.snapshot import Server
from ui.driven import driven


async def test_the_place_where_one_is_comes_first(server: Server, tmp_path: Path) -> None:
    async with driven(server, tmp_path, size=(120, 36)) as app:
        await app.press("question_mark")
        await app.see("Models   you are here", "Logs ─")
        await app.press("escape", "4", "question_mark")
        await app.see("Hardware   you are here", "Logs ─")
