"""Texts that a server could send to harm whoever reads them."""

PAYLOADS = (
    "[@click=app.quit]x[/]",
    "[/x]",
    "[bold red]loud[/bold red]",
    "\x1b[31mred\x1b[0m",
    "\x1b]52;c;aGVsbG8=\x07",
    "\x1b]8;;http://evil.invalid\x1b\\link\x1b]8;;\x1b\\",
    "\x1b]0;owned\x07",
    "\x9b2J\x9d0;owned\x9c",
    "\u202egnp.exe\u2066",
    "nul\x00bell\x07back\x08",
    "line\nbreak\rreturn\ttab\u2028\u2029",
    "宽字符模型的名字很长",
    "👩‍👩‍👧‍👦🏳️‍🌈☃️",
    "e\u0301" * 5 + "\u200b\u200d",
    "x" * 10_000,
    "字" * 5_000,
    "$primary ${HOME} {0} %s",
    "trailing\\",
)


def catalogue_of(payloads: tuple[str, ...] = PAYLOADS) -> str:
    """A config.yaml in which ids, names, descriptions and aliases are hostile."""
    return "models:\n" + "".join(
        f"  ? {_quoted(f'{number:02d}{payload}')}\n"
        f"  : cmd: llama-server --port ${{PORT}} --alias {number} --ctx-size 4096\n"
        f"    name: {_quoted(f'name {payload}')}\n"
        f"    description: {_quoted(f'about {payload}')}\n"
        f"    aliases: [{_quoted(f'alias-{number}-{payload}')}]\n"
        for number, payload in enumerate(payloads)
    )


def _quoted(text: str) -> str:
    """A text as YAML's double quotes hold it, every character that isn't plain escaped."""
    return (
        '"' + "".join(c if c.isascii() and c.isalnum() else f"\\U{ord(c):08x}" for c in text) + '"'
    )
