"""The table under keys and mouse: moving, sorting, filtering, copying, and other sizes."""

from functools import partial

from catalogue import HIDDEN, LONG, OUT_OF_MEMORY, PEER, QUICK, SLASH, STEADY
from stand_in import StandIn
from ui.driven import Driven
from ui.received import orders

SERVED = "{cmd: 'llama-server --port ${PORT}'}"


def ids(app: Driven) -> list[str]:
    return [model.id for model in app.table._rows]


def has_size(app: Driven, width: int, height: int) -> bool:
    return app.app.size == (width, height)


def titles_fit(app: Driven) -> bool:
    """Whether the title of the context column ends where its figures end."""
    before, found, _ = app.line_of("CTX").partition("CTX")
    end = len(before) + 3
    return bool(found) and app.line_of(PEER)[end - 2 : end + 1] == " – "


async def test_j_and_k_and_the_arrows_move_by_one(app: Driven) -> None:
    first, second, third, *_ = ids(app)
    assert app.under_cursor == first
    await app.press("j", "down")
    assert app.under_cursor == third
    await app.press("k")
    assert app.under_cursor == second
    await app.press("up")
    assert app.under_cursor == first
    await app.press("k")
    assert app.under_cursor == first


async def test_g_and_upper_g_go_to_the_ends(app: Driven) -> None:
    await app.press("G")
    assert app.under_cursor == ids(app)[-1]
    await app.press("j")
    assert app.under_cursor == ids(app)[-1]
    await app.press("g")
    assert app.under_cursor == ids(app)[0]


async def test_pages_keep_the_cursor_in_sight(app: Driven) -> None:
    await app.pilot.resize_terminal(80, 16)
    await app.until(lambda: app.table.size.height < len(ids(app)), "short")
    await app.press("pagedown")
    assert app.under_cursor in app.text
    page = ids(app).index(app.under_cursor)
    assert page > 1
    await app.press("ctrl+u")
    assert 0 < ids(app).index(app.under_cursor) < page
    await app.press("pageup", "pageup", "ctrl+d")
    assert 0 < ids(app).index(app.under_cursor) < page


async def test_nothing_that_moves_asks_anything_of_the_server(
    app: Driven, stand_in: StandIn
) -> None:
    await app.press("j", "k", "g", "G", "ctrl+d", "ctrl+u", "pagedown", "pageup", "home", "end")
    assert orders(stand_in) == []


async def test_s_sorts_by_the_next_shown_column_and_the_cursor_keeps_its_model(
    app: Driven,
) -> None:
    by_state = ids(app)
    assert "STATE ▾" in app.strips[1].text
    app.go_to(PEER)
    titles = ["CTX▾", "GB ▾", "TTL▴"]
    for title in titles:
        await app.press("s")
        assert title in app.strips[1].text
        assert app.under_cursor == PEER
    assert "TOK/S" not in app.text
    await app.press("s")
    assert ids(app) == sorted(by_state, key=str.casefold)
    await app.press("r")
    assert ids(app) == sorted(by_state, key=str.casefold, reverse=True)
    await app.press("s")
    assert "STATE ▾" in app.strips[1].text
    assert ids(app) == by_state
    assert app.under_cursor == PEER


async def test_a_model_that_comes_up_rises_and_the_cursor_stays_with_it(app: Driven) -> None:
    app.go_to(STEADY)
    await app.press("l")
    await app.until_ready(STEADY)
    await app.until(lambda: ids(app)[0] == STEADY, "first")
    await app.see("Models  1 ready of")
    assert app.under_cursor == STEADY


async def test_the_cursor_keeps_its_model_while_others_come_and_go(
    app: Driven, stand_in: StandIn
) -> None:
    app.go_to(STEADY)
    await stand_in.reload(
        f'models: {{aaa: {SERVED}, bbb: {SERVED}, "{STEADY}": {SERVED}, zzz: {SERVED}}}'
    )
    await app.until(lambda: sorted(ids(app)) == ["aaa", "bbb", STEADY, "zzz"], "reloaded")
    assert app.under_cursor == STEADY
    assert app.line_of(STEADY).startswith("│▌")


async def test_a_cursor_whose_model_is_gone_stays_in_the_table(
    app: Driven, stand_in: StandIn
) -> None:
    await app.press("G")
    await stand_in.reload(f"models: {{aaa: {SERVED}, bbb: {SERVED}}}")
    await app.until(lambda: ids(app) == ["aaa", "bbb"], "reloaded")
    assert app.under_cursor == "bbb"


async def test_slash_filters_while_one_types_and_esc_clears(app: Driven) -> None:
    everything = ids(app)
    await app.press("slash", *"q4")
    assert ids(app) == [model for model in everything if "q4" in model.casefold()]
    await app.press("enter")
    assert ids(app) == [model for model in everything if "q4" in model.casefold()]
    assert app.table.has_focus
    await app.press("escape")
    assert ids(app) == everything
    assert app.table.has_focus


async def test_what_is_typed_ahead_of_the_filter_comes_into_it(
    app: Driven, stand_in: StandIn
) -> None:
    app.burst("slash", *"slow", "u", "q")
    await app.see("slowuq")
    assert app.app.is_running
    assert orders(stand_in) == []
    app.burst("slash")
    await app.see("slowuq/")


async def test_while_one_filters_the_last_line_tells_the_filters_keys(app: Driven) -> None:
    await app.press("slash", *"q4")
    await app.see("⏎ keep the filter", "Esc show all")
    assert "l load" not in app.text
    await app.click("⏎ keep the filter")
    await app.see("l load")
    assert app.table.has_focus
    assert QUICK in app.text
    assert STEADY not in app.text


async def test_titles_stand_above_their_columns_at_once(app: Driven) -> None:
    for width in (120, 78, 200, 80):
        await app.pilot.resize_terminal(width, 36)
        await app.until(partial(has_size, app, width, 36), "resized")
        await app.until(lambda: titles_fit(app), f"fitting at {width}")


async def test_words_of_a_filter_must_all_occur_in_any_order(app: Driven) -> None:
    await app.press("slash", *"qwen", "space", *"unsloth")
    assert ids(app) == [LONG]


async def test_a_filter_finds_aliases_states_and_peers(app: Driven) -> None:
    await app.press("slash", *"gpt-4o")
    assert ids(app) == [QUICK]
    await app.press(*["backspace"] * 6, *"peer1")
    assert ids(app) == [PEER]


async def test_a_filter_without_a_hit_says_how_to_get_out(app: Driven) -> None:
    await app.press("slash", *"zzz")
    await app.see("Nothing matches “zzz”", "Esc clears the filter")


async def test_letters_typed_into_the_filter_do_nothing_else(
    app: Driven, stand_in: StandIn
) -> None:
    await app.press("slash", *"luUsSyq")
    assert app.app.is_running
    assert not app.asking
    assert orders(stand_in) == []
    assert ids(app) == []


async def test_a_filter_that_hides_the_cursors_model_puts_the_cursor_on_another(
    app: Driven,
) -> None:
    app.go_to(QUICK)
    await app.press("slash", *"steady", "enter")
    assert app.under_cursor == STEADY


async def test_y_copies_the_id(app: Driven) -> None:
    app.go_to(SLASH)
    await app.press("y")
    assert app.app.clipboard == SLASH
    await app.told(f"Copied {SLASH}")


async def test_y_with_no_model_under_the_cursor_says_so(app: Driven) -> None:
    await app.press("slash", *"zzz", "enter", "y")
    await app.told("No model is selected")


async def test_a_click_on_a_row_puts_the_cursor_there(app: Driven) -> None:
    await app.click(OUT_OF_MEMORY)
    assert app.under_cursor == OUT_OF_MEMORY
    assert app.line_of(OUT_OF_MEMORY).startswith("│▌")


async def test_a_click_below_the_last_row_changes_nothing(app: Driven) -> None:
    await app.press("slash", *"q4", "enter")
    await app.until(lambda: app.table.size.height > len(ids(app)), "short")
    before = app.under_cursor
    await app.pilot.click(app.table, offset=(5, app.table.size.height - 1))
    assert app.under_cursor == before


async def test_clicks_on_a_title_sort_by_it_and_turn_that_round(app: Driven) -> None:
    await app.pilot.resize_terminal(120, 36)
    await app.see("MODEL")
    by_state = ids(app)
    await app.click("MODEL")
    assert ids(app) == sorted(by_state, key=str.casefold)
    assert "MODEL ▴" in app.strips[2].text
    await app.click("MODEL")
    assert ids(app) == sorted(by_state, key=str.casefold, reverse=True)
    assert "MODEL ▾" in app.strips[2].text
    await app.click("STATE")
    assert ids(app) == by_state
    assert "STATE ▾" in app.strips[2].text


async def test_models_without_a_figure_stay_last_whichever_way_round(app: Driven) -> None:
    await app.click("CTX")
    assert "CTX▾" in app.strips[1].text
    sizes = [model.context.tokens for model in app.table._rows if model.context.tokens]
    assert sizes == sorted(sizes, reverse=True)
    assert not app.table._rows[-1].loadable
    await app.click("CTX▾")
    assert "CTX▴" in app.strips[1].text
    sizes = [model.context.tokens for model in app.table._rows if model.context.tokens]
    assert sizes == sorted(sizes)
    assert not app.table._rows[-1].loadable


async def test_a_click_on_a_key_is_a_key_press(app: Driven, stand_in: StandIn) -> None:
    app.go_to(QUICK)
    await app.click("l load")
    await app.until_ready(QUICK)
    await app.see("u unload")
    await app.click("u unload")
    await app.until_ready()
    await app.see("? help")
    await app.click("? help")
    await app.see("you are here")


async def test_the_wheel_scrolls(app: Driven) -> None:
    await app.pilot.resize_terminal(80, 16)
    await app.until(lambda: app.table.size.height < len(ids(app)), "short")
    before = app.table.scroll_offset.y
    app.table.scroll_down(animate=False)
    await app.until(lambda: app.table.scroll_offset.y > before, "scrolled")


async def test_every_size_keeps_the_screen_in_shape(app: Driven) -> None:
    for width, height in ((200, 50), (120, 36), (60, 20), (40, 12), (20, 6), (2, 2), (80, 24)):
        await app.pilot.resize_terminal(width, height)
        await app.until(partial(has_size, app, width, height), "resized")
        await app.settle()
        assert [strip.cell_length for strip in app.strips] == [width] * height
    assert "? help" in app.text


async def test_panes_share_one_frame_wherever_the_focus_is(app: Driven) -> None:
    for _ in range(3):
        await app.settle()
        assert (app.text.count("╭"), app.text.count("╰"), app.text.count("├")) == (1, 1, 2)
        await app.press("tab")
    await app.pilot.resize_terminal(40, 10)
    await app.until(lambda: app.app.size.height == 10, "small")
    await app.settle()
    assert not set("╭╰│") & set(app.text)


async def test_in_the_smallest_terminal_the_chosen_row_is_in_sight_after_a_resize(
    app: Driven,
) -> None:
    await app.press("G")
    await app.pilot.resize_terminal(39, 10)
    await app.see("terminal too small (40×10 needed)")
    assert "MODEL" not in app.text
    for width, height in ((40, 10), (200, 50), (60, 15), (40, 10)):
        await app.pilot.resize_terminal(width, height)
        await app.until(lambda: app.under_cursor[:6] in app.line_of("▌"), "in sight")
    assert "? help" in app.text


async def test_a_wide_screen_has_notes_and_puts_the_details_beside_the_table(app: Driven) -> None:
    await app.pilot.resize_terminal(200, 50)
    await app.see("ABOUT", "takes a third of a second")
    app.go_to(HIDDEN)
    await app.see("not in the server's list")


async def test_a_filter_puts_the_cursor_on_the_first_match(app: Driven) -> None:
    await app.press("G", "slash", *"pair", "enter")
    await app.until(lambda: app.table.view.words == "pair", "filtered")
    assert len(ids(app)) > 1
    assert app.under_cursor == ids(app)[0]


async def test_a_filter_leaves_the_cursor_on_a_model_that_it_shows(app: Driven) -> None:
    app.go_to(STEADY)
    await app.press("slash", *"30b", "enter")
    await app.until(lambda: app.table.view.words == "30b", "filtered")
    assert app.under_cursor == STEADY


async def test_a_ready_model_that_dies_is_shown_as_crashed(app: Driven, stand_in: StandIn) -> None:
    app.go_to(QUICK)
    await app.press("l")
    await app.until_ready(QUICK)
    stand_in._active_runtime.swap.processes[QUICK].die()
    await app.until(lambda: "crashed" in app.line_of(QUICK), "crashed")
    assert "✘" in app.line_of(QUICK)
    await app.see("upstream exited unexpectedly")
    await app.pilot.resize_terminal(120, 36)
    await app.see("upstream exited unexpectedly", "0.00.")
