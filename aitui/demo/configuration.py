"""llama-swap's config.yaml, parsed as llama-swap does: macros expanded, ports assigned."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from msgspec import Struct, field
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError

_MACRO = re.compile(r"\$\{([A-Za-z0-9_.-]+)\}")
_DEFAULT_START_PORT = 5800
_DEFAULT_HEALTH_CHECK_SECONDS = 120.0
_MACRO_DEPTH = 10
DEFAULT_GROUP = "(default)"


class BadConfiguration(ValueError):
    """llama-swap would not accept the text."""


class Capabilities(Struct, frozen=True):
    """The inputs and outputs in a model's `capabilities` block."""

    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    tools: bool = False
    context: int = 0


class ModelConfiguration(Struct, frozen=True):
    """One entry of `models`, after macro expansion. `ttl` in seconds, 0 for never."""

    id: str
    command: str
    proxy: str
    port: int
    name: str = ""
    description: str = ""
    aliases: tuple[str, ...] = ()
    ttl: float = 0
    unlisted: bool = False
    metadata: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    capabilities: Capabilities | None = None
    concurrency_limit: int = 10
    send_loading_state: bool = False


class GroupConfiguration(Struct, frozen=True):
    """Models that live together (`swap` off) or take turns; `exclusive` sends all others away."""

    name: str
    members: tuple[str, ...]
    swap: bool = True
    exclusive: bool = True
    persistent: bool = False


class Peer(Struct, frozen=True):
    """Another server, with models that this one offers."""

    id: str
    proxy: str
    models: tuple[str, ...]


class Selector(Struct, frozen=True):
    """A name that stands for the best of several models."""

    id: str
    strategy: str
    targets: tuple[str, ...]
    name: str = ""
    description: str = ""


class Profile(Struct, frozen=True):
    """Names pinned to models while the profile is active; an empty pin switches the name off."""

    id: str
    description: str
    pins: Mapping[str, str]


class Configuration(Struct, frozen=True):
    """The whole file. Times in seconds."""

    models: Mapping[str, ModelConfiguration]
    groups: tuple[GroupConfiguration, ...]
    peers: tuple[Peer, ...] = ()
    selectors: tuple[Selector, ...] = ()
    profiles: tuple[Profile, ...] = ()
    preload: tuple[str, ...] = ()
    api_keys: tuple[str, ...] = ()
    health_check_timeout: float = _DEFAULT_HEALTH_CHECK_SECONDS
    aliases_in_list: bool = False
    log_to_stdout: str = "proxy"
    concurrency_limit: int = 0
    performance: bool = True
    performance_step: float = 2.0
    capture_bytes: int = 5 << 20

    def prints_log(self, source: str) -> bool:
        """Whether the log named proxy, upstream or http goes to standard output."""
        return source in [name.strip() for name in self.log_to_stdout.split(",")] or (
            self.log_to_stdout == "both"
        )

    def resolve(self, name: str) -> str | None:
        """Return the id for a model's id or alias."""
        if name in self.models:
            return name
        for model in self.models.values():
            if name in model.aliases:
                return model.id
        return None

    def group_of(self, model_id: str) -> GroupConfiguration:
        """Return a model's group, the default one if it is in none."""
        for group in self.groups:
            if model_id in group.members:
                return group
        grouped = {member for group in self.groups for member in group.members}
        return GroupConfiguration(
            DEFAULT_GROUP, tuple(id_ for id_ in self.models if id_ not in grouped)
        )


# A start reads it twice, a reload mostly what was read before.
@lru_cache(maxsize=8)
def parse_configuration(text: str) -> Configuration:
    """Read the text of a config.yaml.

    Raises BadConfiguration if llama-swap would refuse to start.
    """
    try:
        tree = YAML(typ="safe", pure=True).load(text)
    except MarkedYAMLError as error:
        raise BadConfiguration(_yaml_error_text(error)) from error
    except Exception as error:  # ruamel raises more than YAMLError on hostile input
        raise BadConfiguration(f"yaml: {error}") from error
    if tree is None:
        tree = {}
    if not isinstance(tree, dict):
        raise BadConfiguration("yaml: cannot unmarshal the document into a configuration")
    try:
        return _configuration(tree)
    except (AttributeError, TypeError, ValueError) as error:
        if isinstance(error, BadConfiguration):
            raise
        raise BadConfiguration(f"yaml: unmarshal errors: {error}") from error


def _configuration(tree: dict[str, Any]) -> Configuration:
    settings = _mapping(_mapping(_mapping(tree, "routing"), "router"), "settings")
    return Configuration(
        models=MappingProxyType(_parse_models(tree)),
        groups=_parse_groups(tree.get("groups") or settings.get("groups") or {}),
        peers=tuple(
            Peer(str(id_), str(peer.get("proxy", "")), _string_list(peer.get("models")))
            for id_, peer in _mapping(tree, "peers").items()
        ),
        selectors=_parse_selectors(tree),
        profiles=_parse_profiles(tree),
        preload=_string_list(_mapping(_mapping(tree, "hooks"), "on_startup").get("preload")),
        api_keys=_string_list(tree.get("apiKeys")),
        health_check_timeout=float(tree.get("healthCheckTimeout", _DEFAULT_HEALTH_CHECK_SECONDS)),
        aliases_in_list=bool(tree.get("includeAliasesInList", False)),
        log_to_stdout=str(tree.get("logToStdout", "proxy")),
        concurrency_limit=int(tree.get("globalConcurrencyLimit", 0)),
        performance=not _mapping(tree, "performance").get("disabled", False),
        performance_step=_seconds(str(_mapping(tree, "performance").get("every", "2s"))),
        capture_bytes=int(tree.get("captureBuffer", 5)) << 20,
    )


def _seconds(text: str) -> float:
    """Read one of Go's durations, in seconds or minutes."""
    return float(text.rstrip("sm")) * (60 if text.endswith("m") else 1)


def _yaml_error_text(error: MarkedYAMLError) -> str:
    line = "" if error.problem_mark is None else f"line {error.problem_mark.line + 1}: "
    return f"yaml: {line}{error.problem or error.context}"


def _parse_models(tree: dict[str, Any]) -> dict[str, ModelConfiguration]:
    global_macros = _mapping(tree, "macros")
    next_port = int(tree.get("startPort", _DEFAULT_START_PORT))
    default_ttl = float(tree.get("globalTTL", 0))
    loading_state = bool(tree.get("sendLoadingState", False))
    models: dict[str, ModelConfiguration] = {}
    for id_, raw in sorted((str(key), value) for key, value in _mapping(tree, "models").items()):
        if not isinstance(raw, dict):
            raise BadConfiguration(f"model {id_}: not a mapping")
        macros = {**global_macros, **_mapping(raw, "macros"), "MODEL_ID": id_}
        command = _expand(str(raw.get("cmd", "")), macros)
        proxy = _expand(str(raw.get("proxy", "http://localhost:${PORT}")), macros)
        port = 0
        if "${PORT}" in proxy and "${PORT}" not in command:
            reason = (
                "proxy uses ${PORT} but cmd does not - ${PORT} is only available when used in cmd"
            )
            raise BadConfiguration(f"model {id_}: {reason}")
        if "${PORT}" in command:
            port, next_port = next_port, next_port + 1
        macros["PORT"] = port
        ttl = float(raw.get("ttl", -1))
        models[id_] = ModelConfiguration(
            id=id_,
            command=_strip_comments(_expand(command, macros)),
            proxy=_expand(proxy, macros),
            port=port,
            name=str(raw.get("name", "")),
            description=str(raw.get("description", "")),
            aliases=_string_list(raw.get("aliases")),
            ttl=ttl if ttl >= 0 else default_ttl,
            unlisted=bool(raw.get("unlisted", False)),
            metadata=MappingProxyType(
                {
                    key: _expand_value(value, macros)
                    for key, value in _mapping(raw, "metadata").items()
                }
            ),
            environment=_parse_environment(raw.get("env"), macros),
            capabilities=_parse_capabilities(raw.get("capabilities")),
            concurrency_limit=int(raw.get("concurrencyLimit", 0)) or 10,
            send_loading_state=bool(raw.get("sendLoadingState", loading_state)),
        )
    return models


def _parse_groups(tree: dict[str, Any]) -> tuple[GroupConfiguration, ...]:
    return tuple(
        GroupConfiguration(
            name=str(name),
            members=_string_list(raw.get("members")),
            swap=bool(raw.get("swap", True)),
            exclusive=bool(raw.get("exclusive", True)),
            persistent=bool(raw.get("persistent", False)),
        )
        for name, raw in tree.items()
    )


def _parse_selectors(tree: dict[str, Any]) -> tuple[Selector, ...]:
    return tuple(
        Selector(
            id=str(id_),
            strategy=str(raw.get("strategy", "")),
            targets=_string_list(raw.get("targets")),
            name=str(raw.get("name", "")),
            description=str(raw.get("description", "")),
        )
        for id_, raw in _mapping(tree, "selectors").items()
    )


def _parse_profiles(tree: dict[str, Any]) -> tuple[Profile, ...]:
    return tuple(
        Profile(
            id=str(id_),
            description=str(raw.get("description", "")),
            pins=MappingProxyType(
                {str(name): str(model or "") for name, model in _mapping(raw, "pins").items()}
            ),
        )
        for id_, raw in _mapping(tree, "profiles").items()
    )


def _parse_capabilities(raw: object) -> Capabilities | None:
    if not isinstance(raw, dict):
        return None
    return Capabilities(
        inputs=_string_list(raw.get("in")),
        outputs=_string_list(raw.get("out")),
        tools=bool(raw.get("tools", False)),
        context=int(raw.get("context", 0)),
    )


def _parse_environment(raw: object, macros: Mapping[str, Any]) -> Mapping[str, str]:
    """`env` is a list of `NAME=value`."""
    parted = (_expand(text, macros).partition("=") for text in _string_list(raw))
    return MappingProxyType({name: value for name, equals, value in parted if equals})


def _mapping(tree: dict[str, Any], key: str) -> dict[str, Any]:
    value = tree.get(key)
    return value if isinstance(value, dict) else {}


def _string_list(value: object) -> tuple[str, ...]:
    return tuple(str(item) for item in value) if isinstance(value, list) else ()


def _expand(text: str, macros: Mapping[str, Any]) -> str:
    """Expand macros, also inside macros."""
    for _ in range(_MACRO_DEPTH):
        expanded = _MACRO.sub(
            lambda match: str(macros.get(match.group(1), match.group(0))),
            text,
        )
        if expanded == text:
            break
        text = expanded
    return text


def _expand_value(value: object, macros: Mapping[str, Any]) -> object:
    """A value that is one macro alone keeps the macro's type: `port: ${PORT}` is a number."""
    if isinstance(value, str):
        alone = _MACRO.fullmatch(value)
        if alone and alone.group(1) in macros:
            return macros[alone.group(1)]
        return _expand(value, macros)
    if isinstance(value, list):
        return [_expand_value(item, macros) for item in value]
    if isinstance(value, dict):
        return {key: _expand_value(item, macros) for key, item in value.items()}
    return value


def _strip_comments(command: str) -> str:
    """Remove `#` lines and keep line breaks, as /running shows the command."""
    lines = command.splitlines(keepends=True)
    return "".join(line for line in lines if not line.lstrip().startswith("#"))
