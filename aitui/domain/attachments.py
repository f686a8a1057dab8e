"""Files that go into a prompt: images as data URLs, texts between rules."""

import base64
from dataclasses import dataclass

LARGEST_IMAGE = 20 * 1024 * 1024
LARGEST_TEXT = 4 * 1024 * 1024

_KINDS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)


@dataclass(frozen=True, slots=True)
class ImageAttachment:
    """An image: its file's name, media type and data URL."""

    name: str
    media_type: str
    url: str


def encode_image(name: str, content: bytes) -> ImageAttachment:
    """The image in a file, its kind told by its first bytes.

    Raises ValueError, with words for a person, for what is too large or none of PNG, JPEG, GIF
    and WebP.
    """
    if len(content) > LARGEST_IMAGE:
        raise ValueError(f"{name} is larger than {LARGEST_IMAGE >> 20} MiB")
    kind = image_type(content)
    if not kind:
        raise ValueError(f"{name} is no image that models take: PNG, JPEG, GIF or WebP")
    return ImageAttachment(name, kind, f"data:{kind};base64,{base64.b64encode(content).decode()}")


def image_type(content: bytes) -> str:
    """The media type of an image, empty for anything else."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for start, kind in _KINDS if content.startswith(start)), "")


def append_text_file(prompt: str, name: str, content: bytes) -> str:
    """The prompt with a text file behind it. Raises ValueError for what is no text of UTF-8."""
    if len(content) > LARGEST_TEXT:
        raise ValueError(f"{name} is larger than {LARGEST_TEXT >> 20} MiB")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise ValueError(f"{name} is neither a text in UTF-8 nor an image")
    fence = "```"
    while fence in text:
        fence += "`"
    body = text if text.endswith("\n") or not text else f"{text}\n"
    return "\n\n".join(part for part in (prompt, f"{name}:\n{fence}\n{body}{fence}") if part)
