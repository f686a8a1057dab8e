"""What holds for every config file, however it is written."""

from contextlib import suppress

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aitui.demo.configuration import parse_configuration
from aitui.domain.config.blocks import add_model, remove_model
from aitui.domain.config.document import ConfigDocument, decode_config, encode_config
from aitui.domain.config.flag_edit import change_flag
from aitui.domain.config.key_edit import change_key
from aitui.domain.config.lint import find_diagnostics
from aitui.domain.config.verify import ConfigChange
from aitui.domain.llama_server import split_words
from aitui.errors import ConfigRefused
from domain.config.edits import current_value
from domain.config.texts import Written, config_texts, sizes

# Every example parses a file several times.
few = settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])


def one_stretch(change: ConfigChange) -> tuple[str, str]:
    """What left the text and what came instead, at the one place where the two differ."""
    before, after = change.before, change.after
    start = 0
    while start < min(len(before), len(after)) and before[start] == after[start]:
        start += 1
    end = 0
    while end < min(len(before), len(after)) - start and before[-1 - end] == after[-1 - end]:
        end += 1
    return before[start : len(before) - end], after[start : len(after) - end]


@few
@given(config_texts())
def test_the_context_size_that_was_written_is_read(written: Written) -> None:
    document = ConfigDocument.read(written.text)
    read = {block.id: document.context_size(block.id) for block in document.models}
    assert read == written.sizes


@few
@given(config_texts())
def test_commands_are_those_that_the_stand_in_starts(written: Written) -> None:
    document = ConfigDocument.read(written.text)
    for model in parse_configuration(written.text.removeprefix("\ufeff")).models.values():
        command = document.command(model.id).replace("${PORT}", str(model.port))
        assert split_words(command) == split_words(model.command)


@few
@given(config_texts(), st.data())
def test_exactly_one_value_changes(written: Written, data: st.DataObject) -> None:
    before = ConfigDocument.read(written.text)
    model = data.draw(st.sampled_from(list(written.sizes)))
    size = data.draw(sizes)
    change = change_flag(before, model, "--ctx-size", str(size))
    after = ConfigDocument.read(change.after)
    touched = {model, *change.also}
    for block in before.models:
        wanted = size if block.id in touched else written.sizes[block.id]
        assert after.context_size(block.id) == wanted
    left, came = one_stretch(change)
    if change.added:
        assert left == ""
        assert came.split()[-2:] == ["--ctx-size", str(size)] or str(size).endswith(
            came.split()[-1]
        )
    else:
        assert left in str(change.old)
        assert came in str(size)


@few
@given(config_texts(), st.data())
def test_the_change_back_gives_the_same_bytes(written: Written, data: st.DataObject) -> None:
    model = data.draw(st.sampled_from([one for one in written.sizes if written.sizes[one]] or [""]))
    if model:
        there = change_flag(ConfigDocument.read(written.text), model, "-c", str(data.draw(sizes)))
        back = change_flag(ConfigDocument.read(there.after), model, "-c", str(written.sizes[model]))
        assert encode_config(back.after) == encode_config(written.text)
        assert back.also == there.also


@few
@given(config_texts(), st.data())
def test_one_model_alone_can_be_changed(written: Written, data: st.DataObject) -> None:
    before = ConfigDocument.read(written.text)
    model = data.draw(st.sampled_from(list(written.sizes)))
    size = data.draw(sizes)
    change = change_flag(before, model, "-c", str(size), only_this_model=True)
    after = ConfigDocument.read(change.after)
    for block in before.models:
        if block.id != model:
            assert after.command(block.id) == before.command(block.id)
    assert after.context_size(model) == size
    assert change.also == ()


@few
@given(config_texts(), st.data())
def test_a_flag_that_is_added_is_all_that_comes(written: Written, data: st.DataObject) -> None:
    model = data.draw(st.sampled_from(list(written.sizes)))
    change = change_flag(ConfigDocument.read(written.text), model, "--parallel", "3")
    left, came = one_stretch(change)
    assert left == ""
    assert came.replace("\\", " ").split() == ["--parallel", "3"]
    found = current_value(ConfigDocument.read(change.after), model, "-np")
    assert found is not None
    assert found.text == "3"


@few
@given(config_texts(), st.data())
def test_a_key_changes_alone(written: Written, data: st.DataObject) -> None:
    before = ConfigDocument.read(written.text)
    model = data.draw(st.sampled_from(list(written.sizes)))
    change = change_key(before, model, "ttl", "123456789")
    after = ConfigDocument.read(change.after)
    left, came = one_stretch(change)
    assert left in {"", "5"}
    assert came.split()[-1] == "123456789"
    assert [after.command(one.id) for one in after.models] == [
        before.command(one.id) for one in before.models
    ]


@few
@given(config_texts())
def test_a_model_comes_and_goes_without_a_trace(written: Written) -> None:
    document = ConfigDocument.read(written.text)
    try:
        added = add_model(document, "brand new", "/m/new.gguf")
    except ConfigRefused:
        return
    assert remove_model(ConfigDocument.read(added.after), "brand new").after == written.text


@few
@given(config_texts(), st.data())
def test_a_damaged_file_is_refused_or_read_but_nothing_else(
    written: Written, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(written.text)))
    end = data.draw(st.integers(at, min(len(written.text), at + 5)))
    put_in = data.draw(st.text(st.sampled_from("'\"\n \t:#|>&*-[]{}${}\\\x07é"), max_size=3))
    text = written.text[:at] + put_in + written.text[end:]
    find_diagnostics(text)
    with suppress(ConfigRefused):
        document = ConfigDocument.read(text)
        for block in document.models:
            assert block.first_line <= block.last_line
            change = change_flag(document, block.id, "-c", "5")
            value = current_value(ConfigDocument.read(change.after), block.id, "-c")
            assert value is not None
            assert value.text == "5"


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_come_back(content: bytes) -> None:
    try:
        text = decode_config(content)
    except ConfigRefused:
        return
    assert encode_config(text) == content
