"""The conversations that the demo's user had in the last days."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from aitui.demo.catalogue import CODER, DEEPSEEK, QWEN
from aitui.demo.replies import choose_reply
from aitui.domain.chat.conversation import Conversation, Role, Turn
from aitui.domain.chat.reply import TokenUsage
from aitui.store.history import ConversationHistory

_HOUR = 3600.0


class PastConversation(Struct, frozen=True):
    """One of them. `tokens` fill its context; without a reply it is one about its prompt."""

    title: str
    hours_ago: float
    model: str
    tokens: int
    prompt: str
    reply: str = ""


PAST = (
    PastConversation(
        "nginx 502 behind mTLS",
        2,
        QWEN,
        18_400,
        "nginx answers 502 in the middle of a reply, only over mTLS. What can it be?",
        "Most likely `proxy_read_timeout`: it counts between two reads, and a reasoning model may be "
        "silent for more than 60 s. Set it to `600s`, and `proxy_buffering off;` for that location.\n\n"
        "If it breaks *exactly* at 60 s, that is the proof.",
    ),
    PastConversation(
        "systemd unit for llama-swap",
        5,
        QWEN,
        9_100,
        "How do I set up a systemd unit for llama-swap?",
    ),
    PastConversation(
        "Rename photos by EXIF",
        26,
        CODER,
        4_200,
        "Write a command that renames photos by their EXIF date",
        "```bash\nexiftool -d %Y-%m-%d_%H%M%S%%-c.%%le '-filename<DateTimeOriginal' .\n```\n\n"
        "`%%-c` adds a number if two photos have the same second. Try it with "
        "`'-testname<DateTimeOriginal'` first: that only prints the new names.",
    ),
    PastConversation(
        "Rust lifetimes",
        31,
        CODER,
        31_000,
        "Why doesn't `fn longest(a: &str, b: &str) -> &str` compile?",
        "The compiler can't know which of the two arguments the result borrows from:\n\n"
        "```rust\nfn longest<'a>(a: &'a str, b: &'a str) -> &'a str {\n"
        "    if a.len() >= b.len() { a } else { b }\n}\n```\n\n"
        "`'a` says: the result lives no longer than the shorter of both.",
    ),
    PastConversation(
        "Letter to landlord",
        50,
        QWEN,
        2_300,
        "A polite letter to my landlord: the heating has been cold for two weeks",
        "Dear Ms. Keller,\n\nsince November 3 the heating in my flat has not gone above 16 °C. I "
        "reported it by phone on the 4th and the 11th. Please have it repaired **by November 24**; "
        "until then I will reduce the rent as the law provides.\n\nKind regards",
    ),
    PastConversation(
        "Six quants compared", 74, QWEN, 64_200, "Compare the quantizations of a 30B model"
    ),
    PastConversation(
        "Regex for logs", 79, CODER, 3_400, "Write a parser for llama-swap's request lines"
    ),
    PastConversation(
        "Trip to Lisbon",
        122,
        QWEN,
        12_000,
        "Three days in Lisbon in March, with a child of six",
        "1. **Belém**: tower, monastery, and *pastéis* before the queue forms at 10.\n"
        "2. **Oceanário** in the morning, cable car over the Tagus, playground below it.\n"
        "3. **Tram 28** from Martim Moniz before 9, then the castle and its peacocks.\n\n"
        "March is 17 °C and changeable: keep the Oceanário for the rainy day.",
    ),
    PastConversation(
        "ZFS send over SSH",
        146,
        QWEN,
        7_300,
        "Incremental ZFS backup to another machine",
        "```bash\nzfs send -w -i tank/home@monday tank/home@tuesday |\n"
        "  ssh backup zfs receive -u pool/home\n```\n\n"
        "- `-w` keeps the encryption, so the other machine never sees the key.\n"
        "- `-u` doesn't mount what arrives.",
    ),
    PastConversation(
        "Sourdough at 18 °C",
        195,
        QWEN,
        5_100,
        "My kitchen has 18 °C. How long does sourdough take?",
        "About twice as long as at 24 °C: 9 to 11 hours of bulk fermentation with 20 % starter. Go by "
        "volume, not by the clock: **+75 %**, domed, and bubbles at the rim.",
    ),
    PastConversation(
        "Postgres vacuum",
        218,
        DEEPSEEK,
        11_400,
        "Autovacuum never finishes on one table. Why?",
        "Something holds back the oldest transaction. In this order:\n\n"
        "1. `SELECT pid, xact_start FROM pg_stat_activity ORDER BY xact_start LIMIT 5;`\n"
        "2. forgotten replication slots: `pg_replication_slots.xmin`\n"
        "3. prepared transactions: `pg_prepared_xacts`\n\n"
        "Only then raise `autovacuum_vacuum_cost_limit`.",
    ),
    PastConversation(
        "Kernel 6.12 and CUDA",
        222,
        QWEN,
        8_200,
        "After the update to kernel 6.12 nvidia-smi finds no card",
        "The module wasn't built for the new kernel. `dkms status` shows it; then\n\n"
        "```bash\napt install linux-headers-$(uname -r)\ndkms autoinstall && modprobe nvidia\n```",
    ),
)


async def write_conversations(file: Path, server: str, now: float) -> None:
    """Write them to the history of aitui. `now` is Unix time."""
    history = await ConversationHistory.open(file)
    try:
        for number, one in enumerate(PAST):
            await history.save(_conversation(one, f"demo-{number}", server, now))
    finally:
        await history.close()


def _conversation(one: PastConversation, id_: str, server: str, now: float) -> Conversation:
    at = now - one.hours_ago * _HOUR
    sample = choose_reply(one.prompt, 0)
    prompt = Turn(f"{id_}-1", "", Role.USER, one.prompt, began=at - 60, ended=at - 60)
    reply = Turn(
        f"{id_}-2",
        prompt.id,
        Role.ASSISTANT,
        one.reply or sample.text,
        reasoning="" if one.reply else sample.reasoning,
        finish="stop",
        model=one.model,
        began=at - 60,
        ended=at,
        usage=TokenUsage(one.tokens - 300, 300),
    )
    return Conversation(
        id_,
        server,
        one.model,
        one.title,
        turns={prompt.id: prompt, reply.id: reply},
        shown=reply.id,
        created=at - 60,
        changed=at,
    )
