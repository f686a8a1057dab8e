"""The arguments of one command line, without the parser: the dashboard has no use for that."""

from pathlib import Path

from msgspec import Struct, field

from aitui.settings.raw import SettingsFlags


class Arguments(Struct, frozen=True):
    """One command line. `model` is an id or an alias, empty where the command takes none.

    `action` is the second word of a command that has several, like `client` of `certs client`.
    `log` is "proxy", "upstream", "http", or empty for both. `settings` are the NAME=VALUE of a chat,
    `system` is None where nothing was said of it. `size` is a context size as it was typed; `flag`
    and `value` are those of llama-server. `reload` is False where a change of the config file is
    not to take effect yet. `only` changes this model alone, `shared` all that share the value.
    `name` is that of a certificate, `names` are the hosts that it is for, `pair` is "client",
    "server" or "ca"; `directory` and `ca_directory` hold certificates, the latter on `ca_host` if that is set.
    `apply` is set if a part of the set-up isn't only printed: `models` are folders with model files,
    `upstream` is where the proxy finds llama-swap, `policy` prints the browser's policy alone, `ttl` is
    an idle timeout in seconds. `source` is a repository or a file of a new model, `include` a pattern.
    `certs_dir` to `ssh_host` describe a new server, as the keys of config.toml do; `p12` is unpacked.
    `profile` is one to switch to, `none` leaves the active one.
    `since` is how many seconds back activity is shown, `client` the one it is of, `by` its grouping;
    `textfile` is where metrics are written. `shell` is one, or a kind of names that it completes after `words`.
    """

    command: str = "tui"
    action: str = ""
    flags: SettingsFlags = field(default_factory=SettingsFlags)
    demo: bool = False
    json: bool = False
    copy: bool = False
    model: str = ""
    all: bool = False
    yes: bool = False
    log: str = ""
    follow: bool = False
    polls: bool = False
    line: bool = False
    prompt: str = ""
    max_tokens: int | None = None
    settings: tuple[str, ...] = ()
    system: str | None = None
    go_on: bool = False
    evict: bool = False
    size: str = ""
    flag: str = ""
    value: str = ""
    reload: bool = True
    only: bool = False
    shared: bool = False
    name: str = ""
    names: tuple[str, ...] = ()
    pair: str = ""
    directory: Path | None = None
    ca_directory: str = ""
    ca_host: str = ""
    there: bool = False
    key_type: str = "p256"
    days: int | None = None
    force: bool = False
    legacy: bool = False
    password_file: str = ""
    apply: bool = False
    models: tuple[str, ...] = ()
    upstream: str = ""
    policy: bool = False
    certs_dir: str = ""
    p12: str = ""
    ca: str = ""
    client_cert: str = ""
    client_key: str = ""
    ssh_host: str = ""
    shell: str = ""
    words: tuple[str, ...] = ()
    ttl: int = 1800
    source: str = ""
    include: str = ""
    since: float = 86400.0
    client: str = ""
    by: str = "model"
    textfile: Path | None = None
    profile: str = ""
    none: bool = False
