"""Who has to go for whom by the groups of a config file."""

from hypothesis import given
from hypothesis import strategies as st

from aitui.domain.config.document import ConfigDocument
from aitui.domain.config.read_rules import read_swap_rules
from aitui.domain.config.swap_rules import DEFAULT, SwapGroup, SwapGroups, SwapRules

MODELS = "models: {a: {cmd: x, aliases: [first]}, b: {cmd: x}, c: {cmd: x}, d: {cmd: x}}\n"
IDS = ("a", "b", "c", "d")


def rules(text: str) -> SwapRules:
    found = read_swap_rules(ConfigDocument.read(MODELS + text))
    assert found is not None
    return found


def gone(text: str, wanted: str, *running: str) -> set[str]:
    leaving = rules(text).eviction_plan(wanted, running)
    assert leaving is not None
    assert not leaving.by_cost
    return set(leaving.models)


def test_without_groups_one_model_runs_at_a_time() -> None:
    assert gone("", "a", "b", "c") == {"b", "c"}
    assert gone("groups: {}\n", "a", "b") == {"b"}
    assert gone("groups: ~\n", "a", "b") == {"b"}


def test_members_of_a_group_that_swaps_take_turns() -> None:
    assert gone("groups: {g: {members: [a, b]}}\n", "a", "b") == {"b"}


def test_members_of_one_that_does_not_live_together() -> None:
    assert gone("groups: {g: {swap: false, members: [a, b]}}\n", "a", "b", "c") == {"c"}


def test_a_group_that_excludes_nobody_leaves_the_others_alone() -> None:
    text = "groups: {g: {exclusive: false, members: [a, b]}}\n"
    assert gone(text, "a", "b", "c") == {"b"}
    assert gone(text, "c", "a") == {"a"}


def test_nobody_else_sends_the_models_of_a_persistent_group_away() -> None:
    text = "groups: {g: {persistent: true, members: [a, b]}}\n"
    assert gone(text, "c", "a", "d") == {"d"}
    assert gone(text, "b", "a", "d") == {"a", "d"}


def test_a_model_in_no_group_is_in_the_default_one_which_excludes_the_others() -> None:
    text = "groups: {g: {swap: no, exclusive: no, members: [a]}}\n"
    assert gone(text, "c", "a", "b", "d") == {"a", "b", "d"}
    assert gone(text, "a", "c") == set()


def test_a_request_for_a_model_that_runs_sends_away_whom_its_group_excludes() -> None:
    text = "groups: {g: {exclusive: false, members: [a]}}\n"
    assert gone(text, "c", "a", "c") == {"a"}
    assert gone(text, "a", "a", "c") == set()


def test_an_alias_is_as_good_as_the_id() -> None:
    assert gone("groups: {g: {exclusive: false, members: [a]}}\n", "first", "b") == set()


def test_groups_below_routing_are_as_good_as_at_the_top() -> None:
    text = (
        "routing: {router: {use: group, settings: {groups: {g: {swap: false, members: [a, b]}}}}}\n"
    )
    assert gone(text, "a", "b") == set()
    assert rules(text).in_routing
    assert not rules("groups: {g: {members: [a]}}\n").in_routing


def test_groups_of_a_router_that_is_not_used_count_for_nothing() -> None:
    text = """\
routing:
  router:
    use: matrix
    settings:
      groups: {g: {swap: false, members: [a, b]}}
      matrix: {vars: {}, sets: {one: a & c}}
"""
    assert gone(text, "a", "b", "c") == {"b"}


def test_merged_keys_and_anchors_count() -> None:
    text = "x: &together {swap: false}\ngroups: {g: {<<: *together, members: [a, b]}}\n"
    assert gone(text, "a", "b") == set()


def test_a_model_that_the_file_does_not_know_leaves_everything_open() -> None:
    assert rules("").eviction_plan("new", ["a"]) is None
    assert rules("").eviction_plan("a", ["new"]) is None


REFUSED = (
    "groups: [a]\n",
    "groups: {g: [a]}\n",
    "groups: {g: {members: a}}\n",
    "groups: {g: {members: [~]}}\n",
    "groups: {g: {members: [nobody]}}\n",
    "groups: {g: {members: [first]}}\n",
    "groups: {g: {members: [a, a]}}\n",
    "groups: {g: {members: [a]}, h: {members: [a]}}\n",
    "groups: {(default): {members: [a]}}\n",
    "groups: {g: {swap: perhaps, members: [a]}}\n",
    'groups: {g: {swap: "true", members: [a]}}\n',
    "groups: {g: {swap: '${env.SWAP}', members: [a]}}\n",
    "groups: {g: {members: [a]}}\nmatrix: {sets: {s: a}}\n",
    "groups: {g: {members: [a]}}\nrouting: {router: {use: group}}\n",
    "routing: {router: {use: matrix}}\n",
    "routing: {router: {use: both}}\n",
    "routing: {router: {use: [group]}}\n",
    "routing: {router: {settings: {groups: [a]}}}\n",
)


def test_what_llama_swap_refuses_gives_no_rules() -> None:
    for text in REFUSED:
        assert read_swap_rules(ConfigDocument.read(MODELS + text)) is None, text


_groups = st.lists(
    st.builds(SwapGroup, st.sampled_from("ghi"), st.booleans(), st.booleans(), st.booleans()),
    unique_by=lambda group: group.name,
)


@given(_groups, st.data())
def test_whom_nobody_may_touch_stays(groups: list[SwapGroup], data: st.DataObject) -> None:
    of = st.sampled_from([*groups, DEFAULT])
    group_of = {name: data.draw(of) for name in IDS}
    running = data.draw(st.sets(st.sampled_from(IDS)))
    wanted = data.draw(st.sampled_from(IDS))
    leaving = SwapGroups(group_of).eviction_plan(wanted, running).models
    assert leaving <= running - {wanted}
    own = group_of[wanted]
    for other in running - {wanted}:
        same = group_of[other].name == own.name
        assert (other in leaving) == (
            own.swap if same else own.exclusive and not group_of[other].persistent
        )


@given(_groups, st.data())
def test_what_is_read_is_what_was_written(groups: list[SwapGroup], data: st.DataObject) -> None:
    of = st.sampled_from([*groups, DEFAULT])
    group_of = {name: data.draw(of) for name in IDS}
    lines = ["groups:"] if groups else []
    for group in groups:
        members = [name for name in IDS if group_of[name] is group]
        lines += [
            f"  {group.name}:",
            f"    swap: {str(group.swap).lower()}",
            f"    exclusive: {str(group.exclusive).lower()}",
            f"    persistent: {str(group.persistent).lower()}",
            f"    members: [{', '.join(members)}]",
        ]
    router = rules("\n".join([*lines, ""])).router
    assert isinstance(router, SwapGroups)
    assert {name: router.group_of.get(name, DEFAULT) for name in IDS} == group_of
