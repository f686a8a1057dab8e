"""The keys of llama-swap's config file: what each takes, and which release brought it.

From llama-swap's own config schema, up to v263.
"""

import re
from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType

from msgspec import Struct, field
from msgspec.structs import replace


class ValueType(Enum):
    """The kinds of values, worded for a person."""

    TEXT = "text"
    NUMBER = "a whole number"
    SWITCH = "true or false"
    LIST = "a list"
    MAPPING = "a mapping"
    ANYTHING = "anything"


class KeySchema(Struct, frozen=True):
    """What a key takes.

    `keys` are those that a mapping may have, empty where it may have any; `each` is the kind of a
    list's items, or of what a mapping has under its free keys. `least`, `choices` and `pattern`
    bound a single value (one of the choices, or what the pattern matches), and `strict` says that llama-swap refuses a file which oversteps them.
    `since` is the release that brought the key, 0 if it is older than the oldest that aitui supports
    (v217) or not known; older servers ignore the key. Values other than `old_values` are as old as
    `values_since`; older servers refuse the file if they are `strict` about the key.
    """

    takes: ValueType
    keys: Mapping[str, "KeySchema"] = field(default_factory=lambda: MappingProxyType({}))
    each: "KeySchema | None" = None
    required: tuple[str, ...] = ()
    least: int | None = None
    choices: tuple[str, ...] = ()
    pattern: re.Pattern[str] | None = None
    strict: bool = False
    since: int = 0
    old_values: tuple[str, ...] = ()
    values_since: int = 0


NEWEST_RELEASE = 263
"""The newest release with keys in this table."""


def _since(release: int, schema: KeySchema) -> KeySchema:
    return replace(schema, since=release)


def _mapping(required: tuple[str, ...] = (), /, **keys: KeySchema) -> KeySchema:
    return KeySchema(ValueType.MAPPING, keys=MappingProxyType(keys), required=required)


def _free(each: KeySchema) -> KeySchema:
    return KeySchema(ValueType.MAPPING, each=each)


def _list(each: KeySchema) -> KeySchema:
    return KeySchema(ValueType.LIST, each=each)


def _number(least: int | None = None, *, strict: bool = False) -> KeySchema:
    return KeySchema(ValueType.NUMBER, least=least, strict=strict)


def _choice(*choices: str, strict: bool = False) -> KeySchema:
    return KeySchema(ValueType.TEXT, choices=choices, strict=strict)


def _pattern(pattern: str) -> KeySchema:
    return KeySchema(ValueType.TEXT, pattern=re.compile(pattern))


ANYTHING = KeySchema(ValueType.ANYTHING)
TEXT = KeySchema(ValueType.TEXT)
SWITCH = KeySchema(ValueType.SWITCH)
SECONDS = _number(0)
TEXTS = _list(TEXT)
FREE = _free(ANYTHING)

_TIMEOUTS = _mapping(
    connect=SECONDS,
    keepalive=SECONDS,
    responseHeader=SECONDS,
    tlsHandshake=SECONDS,
    expectContinue=SECONDS,
    idleConn=SECONDS,
)
_FILTERS: dict[str, KeySchema] = {"stripParams": TEXT, "strip_params": TEXT, "setParams": FREE}
# v225 to v251 refuse a file with `video`, v263 one with any other word.
_SENSES = _list(
    KeySchema(
        ValueType.TEXT,
        choices=("text", "audio", "image", "video"),
        strict=True,
        old_values=("text", "audio", "image"),
        values_since=252,
    )
)

MODEL = _mapping(
    cmd=TEXT,
    cmdStop=TEXT,
    name=TEXT,
    description=TEXT,
    env=_list(_pattern(r"[A-Za-z_][A-Za-z0-9_]*=(?s:.*)")),
    proxy=TEXT,
    aliases=TEXTS,
    checkEndpoint=_pattern(r"/.*|none|(?=.*\$\{).*"),
    ttl=_number(-1, strict=True),
    unloadTimeout=_number(0, strict=True),
    useModelName=TEXT,
    filters=_mapping((), **_FILTERS, setParamsByID=_free(FREE), reasoning=ANYTHING),
    macros=FREE,
    metadata=FREE,
    concurrencyLimit=_number(0),
    sendLoadingState=SWITCH,
    unlisted=SWITCH,
    timeouts=_TIMEOUTS,
    disableKeepAlives=_since(263, SWITCH),
    compat=_mapping(ignoreWebsockets=SWITCH),
    capabilities=_since(
        225,
        _mapping(
            **{"in": _SENSES},
            out=_SENSES,
            tools=ANYTHING,
            reranker=ANYTHING,
            context=ANYTHING,
            disableAuto=_since(257, SWITCH),
        ),
    ),
)

_GROUPS = _free(
    _mapping(("members",), swap=SWITCH, exclusive=SWITCH, persistent=SWITCH, members=TEXTS)
)
_MATRIX = _mapping(
    ("vars", "sets"), vars=_free(TEXT), evict_costs=_free(_number(1)), sets=_free(TEXT)
)
_TIME_FORMATS = """
ansic unixdate rubydate rfc822 rfc822z rfc850 rfc1123 rfc1123z rfc3339 rfc3339nano kitchen stamp
stampmilli stampmicro stampnano
"""

_CORS = _mapping(
    allowedOrigins=TEXTS,
    allowCredentials=SWITCH,
    allowPrivateNetwork=SWITCH,
    allowedMethods=TEXTS,
    allowedHeaders=TEXTS,
    exposedHeaders=TEXTS,
    maxAge=_number(0, strict=True),
)

TOP = _mapping(
    healthCheckTimeout=_number(15),
    globalTTL=_number(0, strict=True),
    unloadTimeout=SECONDS,
    logLevel=_choice("debug", "info", "warn", "error"),
    logTimeFormat=_choice("", *_TIME_FORMATS.split()),
    logRequests=SWITCH,
    logToStdout=KeySchema(
        ValueType.TEXT,
        choices=("proxy", "upstream", "both", "none", "http"),
        pattern=re.compile(r"\s*(proxy|upstream|http)(\s*,\s*(proxy|upstream|http))*\s*"),
        strict=True,
        old_values=("proxy", "upstream", "both", "none"),
        values_since=259,
    ),
    metricsMaxInMemory=_number(),
    captureBuffer=_number(0),
    store=_mapping(("path",), path=TEXT),
    ui=_mapping(activity=_mapping(session_id=TEXTS)),
    performance=_mapping(
        disabled=SWITCH, every=_pattern(r"[-+]?([0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h))+")
    ),
    startPort=_number(1, strict=True),
    sendLoadingState=SWITCH,
    includeAliasesInList=SWITCH,
    macros=FREE,
    profiles=_free(_mapping(("pins",), description=TEXT, pins=_free(TEXT))),
    selectors=_free(
        _mapping(
            ("strategy", "targets"),
            strategy=_choice("warm", "pin", "spillover"),
            targets=TEXTS,
            settings=_mapping(spillover=_number(1)),
            name=TEXT,
            description=TEXT,
            unlisted=SWITCH,
            metadata=FREE,
        )
    ),
    models=_free(MODEL),
    groups=_GROUPS,
    matrix=_MATRIX,
    hooks=_mapping(on_startup=_mapping(preload=TEXTS, profile=_since(252, TEXT))),
    apiKeys=TEXTS,
    peers=_free(
        _mapping(
            ("proxy", "models"),
            proxy=TEXT,
            apiKey=TEXT,
            models=TEXTS,
            filters=_mapping((), **_FILTERS),
            timeouts=_TIMEOUTS,
            tailcatKey=_since(253, TEXT),
        )
    ),
    tailcat=_since(253, _mapping(allow=TEXTS, models=TEXTS, admin=SWITCH, debug=SWITCH)),
    globalConcurrencyLimit=_since(256, _number(0, strict=True)),
    security=_since(257, _mapping(cors=_CORS)),
    upstream=_mapping(ignorePaths=TEXTS),
    routing=_mapping(
        scheduler=_mapping(
            use=_choice("fifo", strict=True),
            settings=_mapping(fifo=_mapping(priority=_free(_number()))),
        ),
        router=_mapping(
            use=_choice("group", "matrix", strict=True),
            settings=_mapping(groups=_GROUPS, matrix=_MATRIX),
        ),
    ),
)
