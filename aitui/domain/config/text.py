"""The bytes of a config file and its text, one for one."""

from aitui.errors import ConfigRefused

LARGEST_FILE = 1024 * 1024


def decode_config(content: bytes) -> str:
    """The text of a file, its byte order mark and line ends included.

    Raises ConfigRefused, with the line, for more than LARGEST bytes, for what isn't UTF-8, and for
    NUL.
    """
    if len(content) > LARGEST_FILE:
        raise ConfigRefused(
            f"The config file has {len(content):,} bytes.",
            why=f"More than {LARGEST_FILE:,} are not read.",
        )
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigRefused(
            "The config file isn't UTF-8.",
            line=content.count(b"\n", 0, error.start) + 1,
            why=f"Byte 0x{content[error.start]:02x} at {error.start:,}.",
            remedy="Save it as UTF-8.",
        ) from error
    nul = text.find("\0")
    if nul >= 0:
        raise ConfigRefused(
            "The config file holds a NUL character.", line=text.count("\n", 0, nul) + 1
        )
    return text


def encode_config(text: str) -> bytes:
    """The bytes that `decode` made the text of.

    Raises ConfigRefused, with the line, for a lone surrogate, which no file can hold.
    """
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ConfigRefused(
            "The text can't be written as UTF-8.", line=text.count("\n", 0, error.start) + 1
        ) from error
