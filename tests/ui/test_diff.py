"""A diff on screen: whole, without blank rows, and each line below its own beginning."""

from aitui.ui.diff import render_diff

REMOVAL = (
    "@@ -86,6 +86,2 @@",
    "       --flash-attn on",
    "-",
    "-    small:",
    "-      cmd: llama-server --model /srv/models/small.gguf --ctx-size 8192 --jinja",
    " ",
    "     other:",
)


def test_a_removal_is_whole_without_blank_rows_and_common_indentation() -> None:
    assert render_diff(REMOVAL, 90).plain.split("\n") == [
        "  86     --flash-attn on",
        "  88 − small:",
        "  89 −   cmd: llama-server --model /srv/models/small.gguf --ctx-size 8192 --jinja",
    ]


def test_a_line_goes_on_below_its_own_beginning() -> None:
    rows = render_diff(REMOVAL, 50).plain.split("\n")
    assert rows[2:] == [
        "  89 −   cmd: llama-server --model ",
        "       /srv/models/small.gguf --ctx-size 8192 ",
        "       --jinja",
    ]
    path = "/srv/models/" + "x" * 30
    rows = render_diff(("@@ -1 +1 @@", f"-a: --model {path}"), 50).plain.split("\n")
    assert rows == ["   1 − a: --model ", f"       {path}"]
    assert max(map(len, render_diff(("@@ -1 +1 @@", "-" + "x" * 99), 30).plain.split("\n"))) == 30


def test_what_changed_in_a_line_is_filled_also_where_it_is_broken() -> None:
    diff = ("@@ -1 +1 @@", "-  a --ctx-size 4096", "+  a --ctx-size 8192")
    filled = {
        row[span.start : span.end].plain
        for row in render_diff(diff, 18).split("\n")
        for span in row.spans
        if "on $" in str(span.style)
    }
    assert filled == {"4096", "8192"}
