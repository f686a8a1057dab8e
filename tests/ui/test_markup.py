"""No text of a server, a file or a person is ever read as Textual's markup, in any widget."""

import ast
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import rich.console
import rich.text
import textual
import textual.markup
from msgspec.structs import replace
from textual.content import Content
from textual.screen import Screen
from textual.widgets._toast import Toast

import aitui.ui
from aitui.domain.activity import ActivityKind
from aitui.domain.capture import Capture
from aitui.domain.chat.conversation import Attachment, ListedConversation
from aitui.domain.confirmation import Confirmation
from aitui.domain.models import ActiveRequest, ActiveRequests, Model
from aitui.domain.profiles import Profiles, ServerProfile
from aitui.domain.progress import Step, Steps, StepState
from aitui.domain.snapshot import Server, Snapshot
from aitui.errors import AituiError, KeyPasswordNeeded
from aitui.services.first_run import ServerDraft, ServerSetup
from aitui.services.history import deletion_confirmation
from aitui.ui import keymap
from aitui.ui.keymap import KeyGroup
from aitui.ui.plain import plain
from aitui.ui.screens.confirm import ConfirmScreen
from aitui.ui.screens.context_size import ContextSizeScreen
from aitui.ui.screens.dialogs import (
    ChooseScreen,
    KeyPasswordScreen,
    NewModelScreen,
    ProfilesScreen,
    ServerChoice,
    ServersScreen,
)
from aitui.ui.screens.first_run import FirstRunScreen
from aitui.ui.screens.help import HelpGroup, HelpScreen
from aitui.ui.screens.history import ConversationSource, HistoryScreen
from aitui.ui.screens.new_server import NewServerScreen
from aitui.ui.screens.setup import SetupScreen
from aitui.ui.screens.steps import StepsScreen
from stand_in import StandIn
from ui.activity.recorded import event, request, show_record
from ui.driven import REAL_CLOCK, Driven, driven
from ui.hand_made import NOW, SERVER, STILL, live

FOREIGN = "zqx"
"""In every hostile text here, and in none of aitui's own."""
ENDS = f"{FOREIGN}[/]b"
ACTS = f"[@click=app.quit]{FOREIGN}"
UNFINISHED = f"{FOREIGN}[bold"
HOSTILE = (ENDS, ACTS, UNFINISHED)

PARSERS = {
    "_markup_playground.py": 1,
    "command.py": 2,
    "content.py": 3,
    "fuzzy.py": 1,
    "layouts/grid.py": 1,
    "visual.py": 2,
    "widget.py": 4,
    "widgets/_button.py": 2,
    "widgets/_collapsible.py": 2,
    "widgets/_data_table.py": 3,
    "widgets/_key_panel.py": 1,
    "widgets/_option_list.py": 1,
    "widgets/_rich_log.py": 1,
    "widgets/_selection_list.py": 1,
    "widgets/_static.py": 3,
    "widgets/_tabbed_content.py": 3,
    "widgets/_tabs.py": 2,
    "widgets/_text_area.py": 1,
    "widgets/_toast.py": 1,
    "widgets/_toggle_button.py": 1,
    "widgets/_tree.py": 2,
}
"""Calls in Textual that may read a text as markup, by file. A number that changed has a new one:
find out what text reaches it, and give it `plain` text."""


def catalogue() -> str:
    """A server whose ids, names, descriptions, aliases and commands are hostile."""
    return "models:\n" + "".join(
        f'  "{text}":\n'
        f"    cmd: llama-server --port ${{PORT}} --ctx-size 4096 --alias '{text}'\n"
        f'    name: "name {text}"\n    description: "about {text}"\n    aliases: ["alias {text}"]\n'
        for text in HOSTILE
    )


@pytest.fixture
def read_as_markup(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Everything that Textual and Rich are given as markup from now on."""
    seen: list[str] = []

    def spy_on(owner: Any, name: str) -> None:
        before = getattr(owner, name)

        def spy(text: object, *more: Any, **named: Any) -> Any:
            if isinstance(text, str):
                seen.append(text)
            return before(text, *more, **named)

        monkeypatch.setattr(owner, name, spy)

    spy_on(Content, "from_markup")
    spy_on(textual.markup, "to_content")
    spy_on(rich.text.Text, "from_markup")
    spy_on(rich.console, "render_markup")
    return seen


@pytest.fixture
async def hostile(tmp_path: Path, read_as_markup: list[str]) -> AsyncIterator[Driven]:
    """The app in front of that server; at its end nothing foreign has been read as markup."""
    async with StandIn(catalogue()) as server:
        where = Server(server.url, identity="hostile", name=ACTS)
        other = Server("http://127.0.0.1:9", identity="other", name=ENDS)
        async with driven(where, tmp_path, servers=(where, other), size=(120, 40)) as app:
            await app.until(lambda: len(app.models.snapshot.models) == len(HOSTILE), "listed")
            yield app
    assert [text for text in read_as_markup if FOREIGN in text] == []


async def assert_is_text(app: Driven, *texts: str) -> None:
    """All of these stand on screen as they are, and no cell of it acts on a click."""
    await app.see(*texts)
    for strip in app.strips:
        for segment in strip:
            meta = segment.style.meta if segment.style is not None else {}
            assert "@click" not in meta, segment


@pytest.mark.parametrize("model_id", HOSTILE)
async def test_a_chat_with_a_hostile_id(hostile: Driven, model_id: str) -> None:
    await hostile.pilot.resize_terminal(60, 24)
    hostile.go_to(model_id)
    await hostile.press("enter")
    await assert_is_text(hostile, f"Ask {model_id} …")
    await hostile.click(f"Ask {model_id}")
    await hostile.press(*"/rename", "space", *model_id, "enter")
    await hostile.until(lambda: hostile.models.chat.heading == model_id, "renamed")
    await hostile.pilot.resize_terminal(120, 40)
    await assert_is_text(hostile, f"Chat  {model_id} ─", f"─ {model_id} ─")
    await hostile.press("escape", "escape")
    assert hostile.app.is_running


async def test_the_table_its_filter_and_what_is_said(hostile: Driven) -> None:
    await assert_is_text(hostile, *HOSTILE)
    for model_id in HOSTILE:
        hostile.go_to(model_id)
        await hostile.press("l")
        await hostile.until(lambda: hostile.asking or hostile.said, "asked or loaded")
        await assert_is_text(hostile, model_id)
        if hostile.asking:
            await hostile.press("escape")
        hostile.app.clear_notifications()
    await hostile.press("slash", *ENDS, "x")
    await assert_is_text(hostile, f"Nothing matches “{ENDS}x”")


async def test_what_is_said_by_any_widget_is_text_unless_it_says_otherwise(
    hostile: Driven,
) -> None:
    for text, title, by in (
        (ENDS, ACTS, hostile.table.notify),
        (UNFINISHED, ENDS, hostile.app.screen.notify),
        (ACTS, UNFINISHED, hostile.app.notify),
    ):
        by(text, title=title, severity="error")
        await hostile.until(lambda: len(hostile.app.screen.query(Toast)) == 1, "said")
        await assert_is_text(hostile, text, title)
    await hostile.press("escape", "m")
    await assert_is_text(hostile, *HOSTILE)


async def test_logs_hardware_doctor_help_servers_and_the_palette(hostile: Driven) -> None:
    hostile.go_to(ENDS)
    for key, words in (
        ("L", ENDS),
        ("4", "memory "),
        ("D", "Checked"),
        ("?", "Model states"),
    ):
        await hostile.press(key)
        await assert_is_text(hostile, words)
        await hostile.press("escape")
        await hostile.until(lambda: hostile.app.screen is hostile.models, "closed")
    await hostile.press("S")
    await assert_is_text(hostile, ENDS, ACTS)
    await hostile.press("escape", ":", *ACTS)
    await assert_is_text(hostile, ACTS)


def screens() -> list[Screen[Any]]:
    """Every dialog, with hostile text wherever it takes text."""
    model = Model(ENDS, name=ACTS, description=UNFINISHED)
    server = Server(ENDS, identity=ACTS, name=UNFINISHED, ca=Path(ENDS), client_key=Path(ACTS))
    error = KeyPasswordNeeded(ENDS, why=ACTS, remedy=UNFINISHED)
    question = Confirmation(
        ENDS, (ACTS, UNFINISHED), yes=ACTS, other=ENDS, diff=(f"- {ENDS}", f"+ {ACTS}")
    )
    conversation = ListedConversation("1", heading=ACTS, changed=0.0, model=ENDS)

    def setup() -> ServerSetup:
        return ServerSetup(Path(ENDS), Path(ACTS), Server("", ""), REAL_CLOCK)

    history = HistoryScreen(ENDS, Mock(spec=ConversationSource), 0.0)
    history.show_all((conversation,))
    history.show_found(ENDS, {"1": UNFINISHED})
    return [
        ChooseScreen(ENDS, HOSTILE),
        ConfirmScreen(lambda _: question, Snapshot()),
        ConfirmScreen(lambda _: deletion_confirmation(conversation), Snapshot()),
        ContextSizeScreen(model),
        HelpScreen([HelpGroup(UNFINISHED, ((ENDS, ACTS, ""),))], ACTS, ENDS),
        history,
        KeyPasswordScreen(error),
        ServersScreen((server, replace(server, name=ACTS)), ServerChoice(url=ENDS)),
        SetupScreen(server, server.certificate_files),
        FirstRunScreen((replace(server, name=ACTS, url=ENDS),), REAL_CLOCK, ENDS, ()),
        NewServerScreen(setup(), ServerDraft(ACTS, ENDS, "", UNFINISHED, ACTS)),
        ProfilesScreen(Profiles(ENDS, (ServerProfile(ENDS, ACTS, ((UNFINISHED, ACTS),)),))),
    ]


@pytest.mark.parametrize("number", range(12))
async def test_every_dialog(hostile: Driven, number: int) -> None:
    await hostile.app.push_screen(screens()[number])
    await assert_is_text(hostile, FOREIGN)


async def test_steps_and_their_outcome(hostile: Driven) -> None:
    screen = StepsScreen(ENDS, REAL_CLOCK)
    await hostile.app.push_screen(screen)
    screen.steps = Steps((Step(ACTS, StepState.DONE, words=ENDS),))
    screen.finish(UNFINISHED, well=False)
    await assert_is_text(hostile, *HOSTILE)
    await hostile.press("y")
    await assert_is_text(hostile, *HOSTILE)


async def test_conversations_that_are_found(hostile: Driven) -> None:
    hostile.go_to(ENDS)
    await hostile.press("enter")
    await hostile.see("Start typing")
    await hostile.press(*ACTS, "enter")
    await hostile.until(
        lambda: not hostile.controllers.chat.any_busy and hostile.toasts == [], "asked"
    )
    await hostile.press(*"/history", "enter")
    await assert_is_text(hostile, "Conversations", ACTS)


async def test_the_rail_beside_a_chat(hostile: Driven) -> None:
    hostile.go_to(ENDS)
    await hostile.press("enter")
    await hostile.see("Start typing")
    await hostile.press(*"/system", "space", *UNFINISHED, "enter")
    await hostile.press(*ACTS, "enter")
    await hostile.until(lambda: not hostile.controllers.chat.any_busy, "asked")
    hostile.models.chat.attachments = (Attachment(ENDS, "image/png", "data:"),)
    await hostile.press("f2")
    await hostile.until(lambda: hostile.models.chat.has_rail, "beside a rail")
    await assert_is_text(hostile, f"system  {UNFINISHED}", f"files   ▣ {ENDS}", f"│ {ACTS[:18]}…")


async def test_the_record_its_requests_and_what_the_server_kept_of_one(
    read_as_markup: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hostile_row = {
        "model": ENDS,
        "who": ACTS,
        "client": UNFINISHED,
        "path": UNFINISHED,
        "agent": ACTS,
    }
    rows = (
        request(1, 60, **hostile_row),
        request(2, 90, **hostile_row, status=500, error=UNFINISHED),
        event(ActivityKind.READY, 600, ENDS, seconds=3.0),
        event(ActivityKind.EVICTION, 300, ENDS, by=ACTS),
    )
    asked = json.dumps({"messages": [{"role": ACTS, "content": UNFINISHED}]})
    kept = Capture(2, UNFINISHED, {"agent": ACTS}, asked, {}, UNFINISHED)
    running = ActiveRequest("r", ENDS, UNFINISHED, who=ACTS, started=NOW - 9)
    snapshot = live(Model(ENDS, name=ACTS), requests=ActiveRequests(1, (running,)))
    show_record(monkeypatch, snapshot, tmp_path, rows, kept)
    where = replace(SERVER, name=ACTS)
    async with driven(where, tmp_path, size=(200, 50), clock=STILL) as app:
        await app.see("14 ms")
        for keys, words in (
            (("3",), HOSTILE),
            (("b",), (ENDS,)),
            (("b",), (ACTS,)),
            (("v",), (ENDS,)),
            (("escape", "slash", *ENDS, "tab"), (ENDS,)),
            (("escape", "down", "enter"), (ACTS, UNFINISHED)),
            (("tab",), (f'"role": "{ACTS}"',)),
            (("tab",), (f"Request {UNFINISHED}",)),
            (("tab",), (f"agent: {ACTS}",)),
        ):
            await app.press(*keys)
            await assert_is_text(app, *words)
        await app.app.push_screen(NewModelScreen())
        await app.press(*ACTS)
        await assert_is_text(app, ACTS)
    assert [text for text in read_as_markup if FOREIGN in text] == []


async def test_why_the_app_ends_may_hold_anything(
    read_as_markup: list[str], tmp_path: Path
) -> None:
    server = Server("http://127.0.0.1:9", identity="none")
    with pytest.raises(ValueError, match=FOREIGN):
        async with driven(server, tmp_path / "home[" / "]x") as app:
            app.app._handle_exception(ValueError(ENDS))
    assert not [text for text in read_as_markup if "aitui has failed" in text]


async def test_what_went_wrong_is_text(hostile: Driven) -> None:
    hostile.app._tasks.notify_error(AituiError(ENDS, why=ACTS, remedy=UNFINISHED))
    await assert_is_text(hostile, *HOSTILE)


@pytest.mark.parametrize("text", HOSTILE)
def test_plain_text_is_what_it_was(text: str) -> None:
    content = plain(text)
    assert content.plain == text
    assert content.spans == []


def test_nothing_new_in_textual_reads_markup() -> None:
    names = {"from_markup", "from_text", "render_str", "visualize", "to_content"}
    root = Path(textual.__file__).parent
    found: dict[str, int] = {}
    for file in sorted(root.rglob("*.py")):
        name = file.relative_to(root).as_posix()
        if not name.startswith("demo/"):
            count = sum(_callee(node) in names for node in ast.walk(ast.parse(file.read_text())))
            found |= {name: count} if count else {}
    assert found == PARSERS


def test_each_place_that_takes_markup_is_given_plain_text() -> None:
    root = Path(aitui.ui.__file__).parent
    wrong = [
        f"{file.relative_to(root)}:{node.lineno}: {ast.unparse(node)}"
        for file in sorted(root.rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call | ast.Assign) and _may_be_markup(node)
        # An Input draws its placeholder as Rich text, which is never markup (textual 8.2.8).
        if (file.name, ast.unparse(node)) != ("find_bar.py", FIND_PLACEHOLDER)
    ]
    assert wrong == []


FIND_PLACEHOLDER = "self.placeholder = placeholder or PLACEHOLDER"
TITLES = {"border_title", "border_subtitle", "placeholder", "tooltip"}
"""What every widget, or a `TextArea`, reads as markup where it is a `str`."""
PLAIN = {"plain", "Content", "assemble", "styled"}
TAKES_MARKUP = {"Static", "Label"}
FIRST_IS_MARKUP = {"Option", "Button", "Tab", "TabPane", "Collapsible", "RadioButton", "Checkbox"}
NEVER = {
    *("from_markup", "from_text", "from_rich_text", "render_str", "with_tooltip"),
    *("DataTable", "Tree", "DirectoryTree", "TabbedContent", "SelectionList", "Select", "KeyPanel"),
}
"""Methods that read markup, and widgets that read it in more places than one."""


def _callee(node: ast.AST) -> str:
    if not isinstance(node, ast.Call):
        return ""
    name = node.func
    return name.attr if isinstance(name, ast.Attribute) else getattr(name, "id", "")


def _is_plain(node: ast.expr) -> bool:
    if isinstance(node, ast.Subscript):
        return isinstance(node.value, ast.Name) and node.value.id.isupper()
    return isinstance(node, ast.Constant) or _callee(node) in PLAIN


def _may_be_markup(node: ast.Call | ast.Assign) -> bool:
    if isinstance(node, ast.Assign):
        names = {target.attr for target in node.targets if isinstance(target, ast.Attribute)}
        return bool(names & TITLES) and not _is_plain(node.value)
    name = _callee(node)
    if name in TAKES_MARKUP:
        markup = [word.value for word in node.keywords if word.arg == "markup"]
        return not any(isinstance(one, ast.Constant) and one.value is False for one in markup)
    if name == "Binding":
        # The keymap builds them from its own table, whose words are held below.
        return not all(
            isinstance(one, ast.Constant) or ast.unparse(one).startswith("key.")
            for one in node.args
        )
    return name in NEVER or (name in FIRST_IS_MARKUP and not all(map(_is_plain, node.args[:1])))


def test_no_screen_has_a_static_that_reads_markup() -> None:
    sources = Path(aitui.ui.__file__).parent.rglob("*.py")
    users = {path.name for path in sources if re.search(r"import .*\bStatic\b", path.read_text())}
    assert users == {"plain.py"}


def test_no_words_of_the_keymap_are_markup() -> None:
    groups = [value for value in vars(keymap).values() if isinstance(value, KeyGroup)]
    assert groups
    assert not [key.words for group in groups for key in group.keys if "[" in key.words]
