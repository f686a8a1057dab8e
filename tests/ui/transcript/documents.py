"""Markdown for tests: one document with everything, and strategies that make up others."""

from itertools import pairwise

from hypothesis import strategies as st

from aitui.ui.transcript.blocks import Piece, StreamedText

MIXED = """\
# Why the sky is blue

Short waves scatter **more**: *intensity* goes with `λ⁻⁴`, and ~~not~~ with λ. A paragraph that is
long enough to be broken at every width, with a [link](https://example.org/a?b=c), with
<https://auto.example>, with <b>HTML</b> and with [a trap](javascript:alert(1)).

1. first with a long text that goes on and on until the line is broken in the middle of it, twice
   ```python
   def scatter(wave: float) -> float:
       \"\"\"Say how much.\"\"\"
       return 1 / wave**4  # Rayleigh
   ```
2. second
   - nested
     - deeper
- [ ] to do
- [x] done

> A quote with **bold**
> on two lines
>
> - and a list

| Name | Wide 日本語 | Number |
|:-----|:----------:|-------:|
| a    | x          |      1 |
| `code` | 🙂 emoji | 22 |

Underlined heading
---
日本語のとても長い文章は、単語の間に空白がないので、どこでも改行できなければなりません。日本語のとても長い文章。

***
~~~
plain code with a very long line that has to be broken somewhere because no terminal is as wide as it is
~~~
"""

_WORDS = st.sampled_from(
    [
        *(
            "word",
            "a",
            "longerword",
            "日本語",
            "🙂",
            "e\u0301clair",
            "👩\u200d💻",
            "**bold**",
            "*it*",
        ),
        *(
            "`code`",
            "**open",
            "[x](http://y)",
            "[",
            "](",
            "<b>",
            "\\*",
            "|",
            "~~s~~",
            "&amp;",
            "1.",
            "-",
        ),
    ]
)
_LINES = st.lists(_WORDS, min_size=1, max_size=12).map(" ".join)
_PREFIXES = st.sampled_from(
    [
        *(
            "",
            "",
            "",
            "# ",
            "### ",
            "- ",
            "* ",
            "1. ",
            "7) ",
            "  - ",
            "   ",
            "    ",
            "\t",
            "> ",
            ">> ",
        ),
        *("- [ ] ", "- > ", "1. - ", "      - ", "- # ", "```", "    ```", "- ```"),
    ]
)
_WHOLE_LINES = st.sampled_from(
    [
        "",
        "",
        "",
        "```",
        "```python",
        "~~~",
        "---",
        "===",
        "***",
        "| a | b |",
        "|---|---|",
        "- ",
        ">",
        "  ",
    ]
)
_ANY_LINE = st.one_of(_WHOLE_LINES, st.tuples(_PREFIXES, _LINES).map("".join))
_REPEATED = st.tuples(_ANY_LINE, st.integers(20, 60)).map(lambda it: "\n".join([it[0]] * it[1]))
_LONG = st.tuples(_PREFIXES, _WORDS, st.integers(300, 1000)).map(lambda it: it[0] + it[1] * it[2])

documents = st.one_of(
    st.lists(st.one_of(_ANY_LINE, _ANY_LINE, _ANY_LINE, _REPEATED, _LONG), max_size=16).map(
        "\n".join
    ),
    st.text(alphabet="-*_`~#>|[]()! \n\tab1.0:é日🙂\u0301\u200d\x1b\x07\u202e", max_size=400),
)
"""Markdown of every kind, well-formed and not."""


@st.composite
def split_documents(draw: st.DrawFn) -> tuple[str, list[str]]:
    """A document, and the deltas that it comes in."""
    document = draw(documents)
    places = draw(st.lists(st.integers(0, max(0, len(document))), max_size=40))
    cuts = [0, *sorted(places), len(document)]
    return document, [document[a:b] for a, b in pairwise(cuts)]


def split_text(text: str) -> list[Piece]:
    """All pieces of a text."""
    growing = StreamedText()
    growing.add(text)
    return [*growing.advance(), *growing.tail()]
