"""View 5: the config file as it stands on the host, and what can be changed there."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aitui.domain.snapshot import Server
from domain.memory.files import BIG
from e2e.config_change.answering import running_commands
from e2e.config_change.conftest import Administered
from e2e.service.user_manager import CONFIG
from stand_in import StandIn
from ui.driven import Driven, driven


async def open_view(app: Driven, model_id: str) -> None:
    await app.see(model_id)
    app.go_to(model_id)
    await app.press("5")
    await app.see("globalTTL: 1800")


@pytest.fixture
async def viewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Administered]:
    """A file that the settings name, for what is only shown: its server is one of this process."""
    config = tmp_path / "home" / "config.yaml"
    config.parent.mkdir()
    config.write_text(CONFIG)
    monkeypatch.setenv("HOME", str(config.parent))
    async with StandIn(CONFIG) as running:
        server = Server(
            running.url, identity="here", name="here", ssh_host="local", preset_path=str(config)
        )
        yield Administered(server, config, config.parent)


async def test_the_block_of_the_model_under_the_cursor_is_in_focus(
    viewed: Administered, tmp_path: Path
) -> None:
    async with driven(viewed.server, tmp_path / "aitui") as app:
        await open_view(app, "from-the-environment")
        marked = [line.text for line in app.strips if "▎" in line.text]
        assert "from-the-environment:" in marked[0]
        assert "LLAMA_ARG_CTX_SIZE=16384" in marked[1]


async def test_without_colors_it_is_shown_as_well(
    viewed: Administered, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    viewed.config.write_text(f"\n{CONFIG}")
    async with driven(viewed.server, tmp_path / "aitui") as app:
        await open_view(app, "small")
        await app.see("line ")


async def test_a_line_that_goes_on_says_so_until_its_end_is_in_sight(
    viewed: Administered, tmp_path: Path
) -> None:
    viewed.config.write_text(f"# {'x' * 70} the end\n{CONFIG}")
    async with driven(viewed.server, tmp_path / "aitui") as app:
        await open_view(app, "small")
        await app.press("g")
        await app.see("line 1 of")
        assert app.line_of("xxx").rstrip(" ▁▂▃▄▅▆▇█").endswith("›")
        await app.press("right")
        await app.see("the end")
        assert "›" not in app.line_of("the end")


async def test_words_are_found_and_walked_through(viewed: Administered, tmp_path: Path) -> None:
    async with driven(viewed.server, tmp_path / "aitui") as app:
        await open_view(app, "small")
        await app.press("slash", *"gguf", "enter")
        await app.see("line 7 of")
        await app.press("n")
        await app.see("line 14 of")
        await app.press("N")
        await app.see("line 7 of")


async def test_finding_says_which_of_how_many_lines_it_is_on(
    viewed: Administered, tmp_path: Path
) -> None:
    async with driven(viewed.server, tmp_path / "aitui") as app:
        await open_view(app, "small")
        await app.press("slash", *"gguf")
        await app.see("of 14  1 of 2")
        await app.press("enter", "n")
        await app.see("of 14  2 of 2")
        await app.press("k")
        await app.see("– of 2")
        await app.press("escape")
        await app.unsee("– of 2")


async def test_nothing_found_is_said(viewed: Administered, tmp_path: Path) -> None:
    async with driven(viewed.server, tmp_path / "aitui") as app:
        await open_view(app, "small")
        await app.press("slash", *"nowhere")
        await app.see("not found")
        await app.press(*["backspace"] * 7, *"small.gguf")
        await app.see("of 14  1 of 1")
        viewed.config.write_text("models: {}\n")
        await app.press("enter", "f5")
        await app.see("not found")


async def test_mistakes_are_marked_and_said(viewed: Administered, tmp_path: Path) -> None:
    viewed.config.write_text(CONFIG.replace("globalTTL", "globalTtl"))
    async with driven(viewed.server, tmp_path / "aitui") as app:
        await app.see("small")
        await app.press("5")
        await app.see("problem in this file: p goes to the next")
        await app.press("p")
        await app.see("line 2 of", "globalTTL")


async def test_a_file_that_cannot_be_parsed_is_shown_all_the_same(
    viewed: Administered, tmp_path: Path
) -> None:
    viewed.config.write_text(f"{CONFIG}\nbroken: [1, 2\n")
    async with driven(viewed.server, tmp_path / "aitui") as app:
        await app.see("small")
        await app.press("5")
        await app.see("--ctx-size 65536", "problem")


async def test_a_hostile_file_steers_no_terminal(viewed: Administered, tmp_path: Path) -> None:
    viewed.config.write_bytes(CONFIG.encode() + b"# \x1b[2J\x1b]52;c;aGk=\x07 [bold]x[/]\n")
    async with driven(viewed.server, tmp_path / "aitui") as app:
        await app.see("small")
        await app.press("5")
        await app.see("[bold]x[/]")
        assert "\x1b" not in app.text
        assert "\x07" not in app.text


async def test_a_model_is_added_from_the_files_that_no_block_names(
    on_this_machine: Administered, tmp_path: Path
) -> None:
    models = tmp_path / "models"
    models.mkdir()
    for name in ("small.gguf", "other.gguf", "new-Q4_K_M.gguf", "mmproj-x.gguf", "notes.txt"):
        (models / name).write_bytes(BIG)
    before = CONFIG.replace("/models/", f"{models}/")
    on_this_machine.config.write_text(before)
    async with driven(on_this_machine.server, tmp_path / "aitui", size=(120, 36)) as app:
        await open_view(app, "small")
        await app.press("a")
        await app.see("Which file should become a model?", "new-Q4_K_M.gguf")
        assert "mmproj-x.gguf" not in app.text
        await app.press("enter")
        await app.armed()
        await app.see("new-Q4_K_M:", "its flags are copied from", "memory; ")
        await app.answer("y")
        await app.see("✓ verify")
        text = on_this_machine.config.read_text()
        assert text.startswith(before)
        assert f"{models}/new-Q4_K_M.gguf" in text
        commands = await running_commands(on_this_machine.server.url)
        assert f"{models}/new-Q4_K_M.gguf" in commands["new-Q4_K_M"]


async def test_the_palette_adds_a_model_by_its_file(
    on_this_machine: Administered, tmp_path: Path
) -> None:
    file = tmp_path / "New one-Q8_0.gguf"
    file.write_bytes(BIG)
    async with driven(on_this_machine.server, tmp_path / "aitui", size=(120, 36)) as app:
        await app.see("small")
        await app.press(":", *"add a model", "enter")
        await app.see("Add a model", "AUTHOR/REPO")
        await app.press(*str(file), "enter")
        await app.see("its flags are copied from")
        await app.armed()
        await app.answer("y")
        await app.see("✓ verify")
        commands = await running_commands(on_this_machine.server.url)
        assert str(file) in commands["New one-Q8_0"]


async def test_the_palette_preloads_the_selected_model(
    on_this_machine: Administered, tmp_path: Path
) -> None:
    async with driven(on_this_machine.server, tmp_path / "aitui", size=(120, 36)) as app:
        await app.see("small")
        app.go_to("small")
        await app.press(":", *"preload")
        await app.see("load the selected model whenever it starts")
        await app.press("enter")
        await app.see("Preload small?", "on_startup")
        await app.answer("y")
        await app.see("✓ reload", "– load")
        assert on_this_machine.config.read_text().endswith("preload:\n      - small\n")


async def test_a_model_is_removed_after_a_dialog(
    on_this_machine: Administered, tmp_path: Path
) -> None:
    async with driven(on_this_machine.server, tmp_path / "aitui") as app:
        await open_view(app, "from-the-environment")
        await app.press("delete")
        await app.answer("y")
        await app.see("✓ reload", "– load")
        assert "from-the-environment" not in on_this_machine.config.read_text()
        await app.press("escape", "escape")
        await app.unsee("from-the-environment")


async def test_a_file_newer_than_what_the_server_runs_is_pointed_out(
    on_this_machine: Administered, tmp_path: Path
) -> None:
    async with driven(on_this_machine.server, tmp_path / "aitui") as app:
        await app.see("small")
        await app.unsee("the server still runs an older version")
