"""Every key: what it does, in which words, and where it works.

Bindings, the footer, the help, the palette, the keys that errors name and the README's table are made
of this.
"""

from operator import attrgetter
from typing import TYPE_CHECKING

from msgspec import Struct
from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import Input

from aitui.errors import Action, AituiError, remedy_with

if TYPE_CHECKING:
    from aitui.domain.checks import CheckResult

Hint = tuple[str, str, str]
"""A key of the footer: its sign, its words and its action."""

_SIGNS = {
    "enter": "⏎",
    "escape": "Esc",
    "tab": "Tab",
    "delete": "Del",
    "slash": "/",
    "colon": ":",
    "question_mark": "?",
    "home": "Home",
    "end": "End",
    "down": "↓",
    "up": "↑",
    "left": "←",
    "right": "→",
    "pageup": "PgUp",
    "pagedown": "PgDn",
    "space": "Space",
    "plus": "+",
    "minus": "−",
}


def key_sign(key: str) -> str:
    """Return a key as a person knows it, of the name that Textual has for it: `^d`, `⇧Tab`, `PgUp`."""
    *modifiers, name = key.split("+")
    sign = _SIGNS.get(name) or (name.upper() if name[0] == "f" and len(name) > 1 else name)
    return "".join(_MODIFIERS.get(one, f"{one}+") for one in modifiers) + sign


_MODIFIERS = {"ctrl": "^", "shift": "⇧"}


class Key(Struct, frozen=True):
    """One or more keys that do the same: `keys` as Textual names them, the first is the shown one.

    `words` stand in the help and the palette, unless it isn't `listed`, `short` in the footer. `sign`
    is how it is shown there, empty for Textual's way. `manual` is what the README says of it, empty
    where it says nothing. `mends` is the action of errors that it does. One that isn't `bound` is taken
    by the field or the list in focus.
    """

    keys: str
    action: str
    words: str
    short: str = ""
    sign: str = ""
    listed: bool = True
    priority: bool = False
    manual: str = ""
    mends: Action | None = None
    bound: bool = True

    @property
    def signs(self) -> tuple[str, ...]:
        """Return all its keys as they are printed on a keyboard."""
        return tuple(map(key_sign, self.keys.split(",")))


class KeyGroup:
    """The keys of one screen or widget; `owner` stands before their actions in the footer."""

    def __init__(self, name: str, *keys: Key, owner: str = "") -> None:
        self.name = name
        self.keys = keys
        self.owner = owner

    def bindings(self) -> list[BindingType]:
        return [
            Binding(
                key.keys,
                key.action,
                key.words,
                show=key.listed,
                key_display=key.sign or None,
                priority=key.priority,
            )
            for key in self.keys
            if key.bound
        ]

    def hint(self, action: str, words: str = "", *, typing: bool = False) -> Hint:
        """The footer's hint for the key that does `action`; `words` replace those of the key.

        While typing it names the last of its keys, the one that isn't a letter.
        """
        key = self._find(action)
        owner = f"{self.owner}." if self.owner and "." not in action else ""
        sign = key.signs[-1] if typing else self.sign(action)
        return sign, words or key.short or key.words, owner + action

    def sign(self, action: str) -> str:
        """The sign of the key that does `action`."""
        key = self._find(action)
        return key.sign or key.signs[0]

    def _find(self, action: str) -> Key:
        return next(key for key in self.keys if key.action == action)


def _motions(first: str, last: str = "") -> tuple[Key, ...]:
    """What moves in rows; `first` and `last` are the words for the ends, no last one if it is followed."""
    to_last = (
        Key("G,end", "move(1, 'all')", last, listed=False, manual="last")
        if last
        else Key("G,end", "follow", "follow the end", "follow", "End")
    )
    return (
        Key("j,down", "move(1)", "down", sign="↑↓", listed=False, manual="down"),
        Key("k,up", "move(-1)", "up", listed=False, manual="up"),
        Key("g,home", "move(-1, 'all')", first, listed=False, manual="first"),
        to_last,
        _page_key("ctrl+d", 0.5, "half a page down", manual="half a page down"),
        _page_key("ctrl+u", -0.5, "half a page up", manual="half a page up"),
        _page_key("pagedown", 1, "page down"),
        _page_key("pageup", -1, "page up"),
    )


def _page_key(key: str, pages: float, words: str, manual: str = "") -> Key:
    return Key(key, f"move({pages}, 'pages')", words, listed=False, manual=manual)


APP = KeyGroup(
    "everywhere",
    Key("ctrl+c", "interrupt", "stop the reply; twice: quit", "stop", "^c", listed=False),
    Key(
        "5",
        "config",
        "config file",
        "config",
        manual="the server's config file",
        mends=Action.SHOW_CONFIG,
    ),
    Key(
        "H",
        "reload_config",
        "reload the config",
        "reload",
        manual="reload the server's config file; asks",
        mends=Action.RELOAD_CONFIG,
    ),
    Key(
        "R",
        "restart_service",
        "restart the service",
        "restart",
        manual="restart the service; asks",
        mends=Action.RESTART_SERVICE,
    ),
    Key(
        "f5,ctrl+r",
        "refresh_server",
        "refresh",
        "retry now",
        "F5",
        manual="refresh; reconnect at once",
        mends=Action.REFRESH,
    ),
    Key(
        "P",
        "switch_profile",
        "profiles of the server",
        "profiles",
        manual="profiles of the server; asks",
    ),
    Key("S", "switch_server", "another server", "servers", manual="another server, or any URL"),
    Key("1", "models", "models", manual="the models"),
    Key("2", "logs", "logs", manual="the log of the server"),
    Key("3", "activity", "activity", manual="what the server did, for whom, and how fast"),
    Key("4", "hardware", "hardware", manual="the hardware"),
    Key("question_mark,f1", "help", "help", sign="?", manual="help: the keys of this view"),
    Key(
        "D",
        "doctor",
        "doctor: check everything",
        "doctor",
        manual="doctor: check everything",
        mends=Action.RUN_DOCTOR,
    ),
    Key(
        "colon",
        "command_palette",
        "command palette",
        "commands",
        manual="command palette; also `^p`",
    ),
    Key("ctrl+p", "command_palette", "command palette", listed=False),
    Key("z,f2", "zoom", "zoom the pane, and back", "zoom", manual="zoom the pane, and back"),
    Key("T", "change_theme", "theme", manual="choose a theme"),
    Key("o", "open_page", "llama-swap's own page", "web page", manual="llama-swap's own web page"),
    Key(
        "h,ctrl+o",
        "conversations",
        "conversations: history",
        "conversations",
        manual="earlier conversations",
    ),
    Key("m", "messages", "the last messages", "messages", manual="the last messages"),
    # With priority: what is on top closes first, whatever has the focus.
    Key("escape", "close_toast", "close the message", listed=False, priority=True),
    Key("q", "quit", "quit", manual="quit"),
    owner="app",
)

# --- the models

MODELS = KeyGroup(
    "models",
    # With priority, like the filter: a prompt that is typed ahead is no key.
    Key("enter", "chat", "chat", priority=True, manual="chat with the model"),
    Key(
        "l",
        "load",
        "load",
        manual="load; asks if that evicts another model",
        mends=Action.LOAD_MODEL,
    ),
    Key("u", "unload", "unload", manual="unload, or abort a load; asks if in use"),
    Key("U", "app.unload_all", "unload all", manual="unload all; always asks"),
    Key("x", "cancel_request", "cancel a request", manual="cancel a running request; asks"),
    Key(
        "c",
        "app.change_context",
        "context size",
        "context",
        priority=True,
        manual="change the context size; shows the diff and asks",
    ),
    Key("L", "log", "log of the model", "log", manual="the log of the model"),
    # With priority: what is typed ahead after it belongs to the filter, and is no key.
    Key("slash", "filter", "filter", priority=True, manual="filter by id, name or state"),
    Key("s", "sort", "sort", manual="sort by the next column"),
    Key("r", "reverse", "reverse the order", "reverse", manual="reverse the order"),
    Key("y", "copy_id", "copy id", manual="copy the id"),
    Key(
        "p",
        "app.open_peer",
        "the server of a peer's model",
        "peer's server",
        manual="open the server of a peer's model",
    ),
    Key("escape", "back", "back", "show all", listed=False, manual="back; clear the filter"),
    Key("enter", "keep_filter", "keep the filter", bound=False),
)
MODEL_TABLE = KeyGroup("model table", *_motions("first", "last"))
REQUESTS = KeyGroup("requests", *_motions("first", "last")[:2])

# --- the chat

CHAT_PANE = KeyGroup(
    "chat",
    Key("i,enter", "screen.write_prompt", "write", listed=False),
    Key(
        "ctrl+g",
        "app.grow_context",
        "raise the context to what the prompt needs",
        "more context",
        sign="^g",
    ),
    Key("ctrl+l", "app.resume_last", "continue the last conversation", "continue last", "^l"),
    Key("enter", "focused.submit", "done", bound=False),
    Key("escape", "screen.close_chat", "back to the models", "models"),
)
PROMPT = KeyGroup(
    "prompt",
    Key(
        "enter",
        "send",
        "send",
    ),
    Key("ctrl+j,shift+enter", "newline", "new line", sign="^j"),
    Key("ctrl+f", "screen.find_in_chat", "find in the conversation", "find", "^f"),
    Key("ctrl+e", "app.edit_prompt", "write in $EDITOR", "editor", "^e"),
    Key("ctrl+u", "clear", "clear, or restore", sign="^u"),
    Key("ctrl+t", "screen.toggle_reasoning", "reasoning", sign="^t"),
    Key("slash", "begin_command", "commands", bound=False),
    Key("delete", "delete_or_detach", "remove the last image", sign="Del"),
    Key("tab", "complete", "complete a command", "complete", listed=False),
    Key("up", "earlier", "earlier prompt", listed=False),
    Key("down", "later", "later prompt", listed=False),
    Key("pageup", "scroll_transcript(-1)", "transcript up", "scroll", listed=False),
    Key("pagedown", "scroll_transcript(1)", "transcript down", listed=False),
    Key("end", "end_or_follow", "end of line or chat", listed=False),
    Key("escape", "screen.read_chat", "leave the prompt", "read"),
    Key(
        "ctrl+c,super+c",
        "copy",
        "copy the selection, or stop the reply",
        sign="^c",
        listed=False,
    ),
    owner="focused",
)
TRANSCRIPT = KeyGroup(
    "transcript",
    Key("J", "block(1)", "next block"),
    Key("K", "block(-1)", "previous block", listed=False),
    Key("y", "copy('block')", "copy the block", "copy block"),
    Key("Y", "copy('reply')", "copy the reply", listed=False),
    Key("ctrl+y", "copy('conversation')", "copy the conversation", listed=False),
    Key("o", "open_block", "open in $EDITOR", listed=False),
    Key("slash", "screen.filter", "find in the conversation", "find", bound=False),
    Key("n", "screen.find_next(1)", "next match", "next"),
    Key("N", "screen.find_next(-1)", "previous match", listed=False),
    Key("t", "reasoning", "reasoning"),
    Key("v", "toggle('raw')", "source text", listed=False),
    *_motions("first row"),
    owner="focused",
)

# --- the log

_ENTER_OF_ENTRY = Key("enter", "focused.submit", "done", bound=False)
LOGS = KeyGroup(
    "logs",
    # These two with priority: what is typed ahead after them belongs to the entry.
    Key("slash", "find", "find", priority=True),
    Key("f", "filter", "filter by pattern", "filter", priority=True),
    Key("n", "find_next(1)", "next match", "next"),
    Key("N", "find_next(-1)", "previous match", "previous"),
    Key("v", "level", "filter by level", "level"),
    Key("w", "wrap", "wrap long lines", "wrap"),
    Key("space", "pause", "pause"),
    Key("tab", "other_log(1)", "next log", "other log", "Tab"),
    Key("shift+tab", "other_log(-1)", "previous log"),
    Key("y", "copy", "copy"),
    Key("ctrl+s", "save", "save to a file", "save", "^s"),
    Key("p", "polls", "aitui's own polls", "polls"),
    Key("f5,ctrl+r", "app.retry_log", "retry now", sign="F5"),
    Key("escape", "back", "back", listed=False),
    _ENTER_OF_ENTRY,
)
_SIDEWAYS = (
    Key("left", "sideways(-1)", "to the left", listed=False),
    Key("right", "sideways(1)", "to the right", listed=False),
)
LOG_VIEW = KeyGroup("log", *_motions("first line"), *_SIDEWAYS, owner="focused")

# --- the config file

CONFIG = KeyGroup(
    "config",
    # With priority: what is typed ahead after it belongs to the entry.
    Key("slash", "find", "find", priority=True),
    Key("n", "find_next(1)", "next match", "next"),
    Key("N", "find_next(-1)", "previous match"),
    Key("c", "app.change_context", "context size of this model", "context", priority=True),
    Key("e", "edit", "edit the file in $EDITOR", "edit", mends=Action.EDIT_CONFIG),
    Key("a", "app.add_model", "add a model"),
    Key("delete", "remove", "remove this model", "remove", "Del"),
    Key("p", "next_problem", "next problem", "problem"),
    Key("tab", "next_block(1)", "next model"),
    Key("shift+tab", "next_block(-1)", "previous model"),
    Key("y", "copy", "copy the line", "copy"),
    Key("f5,ctrl+r", "app.read_config", "read it again", "read again", "F5"),
    Key("escape", "back", "back", listed=False),
    _ENTER_OF_ENTRY,
)
CONFIG_VIEW = KeyGroup("config lines", *_motions("first line", "last line"), *_SIDEWAYS)

# --- activity

ACTIVITY = KeyGroup(
    "activity",
    # With priority, like the filter: what is typed ahead is no key of the row below.
    Key("enter", "open", "open the request", "open", priority=True),
    Key("x", "cancel", "cancel a request", "cancel"),
    Key("slash", "filter", "filter", "filter", priority=True),
    Key("s", "sort", "sort by the next column", "sort"),
    Key("r", "reverse", "reverse the order", "reverse"),
    Key("b", "group", "by model, client, hour", "by model, client, hour, day"),
    Key("v", "residency", "residency of models", "residency"),
    Key("e", "export", "export as a file", "export"),
    Key("left", "shift(-1)", "back in time", "move in time", sign="← →"),
    Key("right", "shift(1)", "forward in time", listed=False),
    Key("plus", "span(1)", "a longer time", sign="+ −"),
    Key("minus", "span(-1)", "a shorter time", listed=False),
    Key("escape", "back", "back", listed=False),
    _ENTER_OF_ENTRY,
)
ACTIVITY_TABLE = KeyGroup("activity table", *_motions("first", "last"))
CAPTURE = KeyGroup(
    "request",
    Key("tab", "next_form(1)", "chat, raw, headers", "chat, pretty, raw, headers", "Tab"),
    Key("shift+tab", "next_form(-1)", "the form before", listed=False),
    Key("y", "copy", "copy the text", "copy"),
    Key("escape,q", "dismiss", "back", sign="Esc"),
    *_motions("first line", "last line"),
)

# --- other views

_SCROLL = (
    Key("j,down", "scroll(1)", "down", listed=False),
    Key("k,up", "scroll(-1)", "up", listed=False),
)
HARDWARE = KeyGroup(
    "hardware",
    Key("t", "next_span", "5, 15 or 60 minutes"),
    Key("z", "zoom", "zoom a card"),
    Key("p", "processes", "processes on the cards", "processes"),
    Key("tab", "next_card(1)", "next card", sign="Tab"),
    Key("shift+tab", "next_card(-1)", "previous card", sign="⇧Tab", listed=False),
    *_SCROLL,
    Key("escape", "dismiss", "back", listed=False),
)
DOCTOR = KeyGroup(
    "doctor",
    Key("y", "copy_report", "copy the report"),
    Key("r", "check_again", "check again"),
    Key("escape,D", "dismiss", "back", sign="Esc"),
    *_SCROLL,
    Key("ctrl+d", "scroll(10)", "down by half a page", listed=False),
    Key("ctrl+u", "scroll(-10)", "up by half a page", listed=False),
    Key("g", "go_to_top", "first line", listed=False),
    Key("G", "go_to_end", "last line", listed=False),
)
SETUP = KeyGroup(
    "set-up",
    Key("d", "app.open_demo", "open the demo"),
    Key("o", "app.switch_server", "another server"),
    Key("f5,r", "app.recheck_certificates", "check again", sign="F5"),
)

FIRST_RUN = KeyGroup(
    "first run",
    Key("enter", "connect", "connect", bound=False),
    Key("down,j", "move(1)", "next", "select", sign="↑↓"),
    Key("up,k", "move(-1)", "previous", listed=False),
    Key("a", "app.add_server", "another address"),
    Key("d", "app.open_demo", "demo"),
    Key("f5,r", "ask_again", "ask the ports again", "ask again", sign="r"),
)
NEW_SERVER = KeyGroup(
    "another server",
    Key("escape", "dismiss", "back"),
    Key("enter", "submit", "next", bound=False),
    # With priority: the field would take them.
    Key("down", "move(1)", "next field", "select", sign="↑↓", priority=True),
    Key("up", "move(-1)", "previous field", listed=False, priority=True),
    Key("ctrl+s", "save", "save and connect", sign="^s", priority=True),
)

# --- dialogs

HISTORY = KeyGroup(
    "history",
    Key("escape", "back", "Back", "back"),
    Key("enter", "select", "open", bound=False),
    Key("down", "to_list", "to the list", "list", listed=False),
    Key("slash", "search", "search"),
    Key("e", "rename", "rename"),
    Key("delete", "delete", "delete"),
    Key("s", "sort", "sort by the next column", "sort"),
    Key("r", "reverse", "reverse the order", "reverse"),
)
CONVERSATIONS = KeyGroup("conversations", *_motions("first", "last"))
CONTEXT_SIZE = KeyGroup(
    "context size",
    Key("escape", "dismiss", "cancel", "cancel"),
    Key("enter", "submit", "review", bound=False),
    # With priority: the field would take them for the beginning and the end of its line.
    Key("up", "double", "double", priority=True),
    Key("down", "half", "half", priority=True),
    Key("ctrl+f", "fitting", "largest that fits", "largest that fits", "^f", priority=True),
    Key("ctrl+x", "most", "the model's maximum", "maximum", "^x", priority=True),
)
STEPS = KeyGroup(
    "steps",
    Key("escape,enter,q", "dismiss", "Close", sign="Esc"),
    Key("y", "copy_report", "copy the report", "copy the steps"),
    *_SCROLL,
)
CHOICE = KeyGroup("choice", Key("enter,space", "choose", "Choose", listed=False))
CONFIRM = KeyGroup(
    "confirmation",
    Key("y", "answer(True)", "Yes"),
    Key("n", "answer(False)", "No"),
    Key("escape,q", "cancel", "Cancel"),
    Key("o", "want_other", "Something else"),
    Key("left,right,h,l,up,down", "other_choice", "Other choice", listed=False),
)
CHOOSE = KeyGroup(
    "list",
    Key("escape,q", "dismiss", "Back", "back"),
    Key("enter", "select", "choose", bound=False),
)
KEY_PASSWORD = KeyGroup(
    "password",
    Key("escape", "dismiss", "Give up", "give up"),
    Key("enter", "submit", "connect", bound=False),
)
NEW_MODEL = KeyGroup(
    "new model",
    Key("escape", "dismiss", "Back", "back"),
    Key("enter", "submit", "add", bound=False),
)
SERVERS = KeyGroup(
    "servers",
    Key("escape", "dismiss", "Back", "back"),
    Key("enter", "submit", "connect", bound=False),
    Key("tab", "focus_next", "list or URL", bound=False),
    Key("delete", "forget", "forget the URL", "forget"),
)
HELP = KeyGroup(
    "help",
    Key("slash", "find", "find a key", "find a key", listed=False),
    Key("escape,q,question_mark,f1", "back", "close", listed=False),
    Key("enter", "focused.submit", "done", bound=False),
)
MESSAGES = KeyGroup(
    "messages", Key("escape,q,m", "dismiss", "close"), *_motions("first line", "last line")
)
HELP_TEXT = KeyGroup("help text", *_motions("first line", "last line"))

COMMANDS = KeyGroup(
    "palette",
    Key("escape", "dismiss", "close", "close"),
    Key("enter", "run", "run", bound=False),
    # With priority: the field would take them.
    Key("down", "move(1)", "next", listed=False, priority=True),
    Key("up", "move(-1)", "previous", "select", "↑↓", listed=False, priority=True),
    Key("pagedown", "move(1, 'pages')", "page down", listed=False, priority=True),
    Key("pageup", "move(-1, 'pages')", "page up", listed=False, priority=True),
    Key("tab", "complete", "complete", priority=True),
)

PALETTE = (
    ("add a model", "app.download_model"),
    ("undo the last change to the config", "app.undo_change"),
    ("preload the model", "app.preload_model"),
    ("add a server", "app.add_server"),
    ("open the demo", "app.open_demo"),
)
"""Palette entries without a key: title and action."""

ABOUT = {
    "chat": "Opens a chat with the selected model. The first prompt loads it if necessary.",
    "load": "Loads the selected model. Asks first if that evicts another one.",
    "unload": "Unloads the selected model, or aborts its load. Asks first if it is in use.",
    "cancel_request": "Cancels a running request of the selected model. Asks first.",
    "log": "Opens the log of the selected model. Reading a log never loads a model.",
    "filter": "Shows only the lines that match.",
    "sort": "Sorts by the next column that is shown.",
    "reverse": "Turns the order of the sorted column round.",
    "copy_id": "Copies the id of the selected model, also over SSH and from tmux.",
    "app.open_peer": "Connects to the server of config.toml that has the name of the model's peer, or the peer's URL.",
    "open": "Shows a request with its figures and what the server kept of it, or the requests of a group.",
    "cancel": "Cancels the request under the cursor. Asks first.",
    "group": "Sums requests up by model, client, hour or day, with energy where power was measured.",
    "residency": "Shows which model was loaded when, how busy it was, and what loading cost.",
    "export": "Writes the requests that are shown to a file: CSV, JSON or Markdown.",
    "shift(-1)": "Moves the timeline back by half of the time that it shows.",
    "span(1)": "Shows a longer time: 15 or 60 minutes, a day, a week.",
    "find": "Finds text and marks every match.",
    "edit": "Opens the file in your editor. aitui checks it before saving.",
    "remove": "Removes the model from the config file. Shows the diff and asks first.",
    "app.change_context": "Changes the context size of the selected model in the config file. "
    "Shows what fits, then the diff and the models and requests that a reload ends, and asks.",
    "app.config": "Opens the server's config file, with every problem in it marked.",
    "app.refresh_server": "Asks the server for everything again. Reconnects at once if it is lost.",
    "app.switch_server": "Connects to another server of config.toml, to a URL, or to the demo.",
    "app.switch_profile": "Lists the server's profiles and switches to one. Shows what changes and asks.",
    "app.models": "The models, the requests of all clients, and the memory of the cards.",
    "app.logs": "The logs of llama-swap and of each model. Reading a log never loads a model.",
    "app.activity": "The requests of all clients: tokens, rates and times, and who waited for what.",
    "app.hardware": "Memory by model, utilization, temperature, power and clock of each card, "
    "and the host.",
    "app.help": "The keys of this view and of the others, and what the signs mean.",
    "app.doctor": "Checks settings, certificates, server, SSH, config file and service, and shows how "
    "to fix each problem.",
    "app.zoom": "Gives the focused pane the whole screen, and back.",
    "app.change_theme": "Dark, light, and Textual's own themes. Each is shown while it is selected.",
    "app.open_page": "Opens llama-swap's own page in the browser. Over SSH its URL is copied instead.",
    "app.conversations": "Earlier conversations with all models: search, open, rename, delete.",
    "app.messages": "The messages since aitui started, newest first.",
    "app.quit": "Ends aitui. The server and its models keep running.",
    "app.focus_next": "Moves the focus to the next pane.",
    "app.focus_previous": "Moves the focus to the previous pane.",
    "app.add_model": "Adds a model file of the server's machine to the config file. Shows the diff "
    "and asks first.",
    "app.download_model": "Downloads a model from Hugging Face to the server's machine, or takes a "
    "file there. Adds it to the config file and loads it.",
    "app.undo_change": "Undoes the last change that aitui made to the config file. Shows the diff and "
    "asks first.",
    "app.preload_model": "Has llama-swap load the selected model whenever it starts. Shows the change "
    "to the config file and asks first.",
    "app.add_server": "Describes another server, with its certificates and SSH host, and saves it.",
    "app.open_demo": "Opens a simulated server on this machine, without a GPU.",
}
"""What an action does, by its name, for the palette; those that show a cost have none."""

README_GROUPS = (MODEL_TABLE, MODELS, APP)
"""The groups that the README lists."""

VIEW_TABS = tuple(
    (key.keys, (key.short or key.words).capitalize(), f"app.{key.action}")
    for key in sorted(APP.keys, key=attrgetter("keys"))
    if key.keys.isdigit()
)
"""The views in the order of their keys: key, name and action."""

_KEYS_OF_ACTIONS = {
    **{key.mends: key.sign or key.signs[0] for key in (*MODELS.keys, *APP.keys) if key.mends},
    Action.EDIT_CONFIG: f"{APP.sign('config')}, then {CONFIG.sign('edit')}",
}


def takes_letters(focused: Widget | None) -> bool:
    """Return whether a key that is a letter is typed into what has the focus."""
    return isinstance(focused, Input) or (focused is not None and focused.id == "prompt")


def one_line_error(error: "AituiError") -> str:
    """Return what happened, why, and the remedy on one line."""
    return " — ".join(filter(None, (error.what, error.why, remedy_text(error))))


def remedy_text(of: "AituiError | CheckResult") -> str:
    """Return the remedy with its key, or with its command if there is no key."""
    if of.action is None:
        return of.remedy
    return remedy_with(of.remedy, _KEYS_OF_ACTIONS.get(of.action, of.action.value))
