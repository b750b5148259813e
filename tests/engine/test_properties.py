"""Properties that hold for every graph and every value, found by trying many."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from nodegraph.api import Session
from nodegraph.models import Models
from nodegraph.packages import Packages
from nodegraph.plan import Source, Step, cycles, make_plan
from nodegraph.reading import from_data
from nodegraph.spec import NodeSpec, OutputSpec
from nodegraph.types import PortType
from nodegraph.values import Misfit, conform

QUICK = settings(max_examples=50, deadline=None)
OUTPUT = {"output": OutputSpec("output", PortType("integer"))}

Links = dict[int, set[int]]


@st.composite
def graphs(draw: st.DrawFn) -> Links:
    """Graphs without a cycle, whose steps stand in any order."""
    size = draw(st.integers(1, 12))
    names = draw(st.permutations(range(size)))
    return {
        names[i]: {names[j] for j in draw(st.sets(st.integers(0, i - 1)))} if i else set()
        for i in range(size)
    }


def steps_of(links: Links) -> dict[str, Step]:
    """Steps with a port for each link."""
    spec = NodeSpec("toy", {}, OUTPUT)
    return {
        f"n{name}": Step(
            f"n{name}", "toy", spec, lambda: int, {}, {f"p{b}": Source(f"n{b}") for b in before}
        )
        for name, before in sorted(links.items())
    }


@QUICK
@given(graphs())
def test_a_step_comes_after_all_that_it_takes_from(links: Links) -> None:
    steps = steps_of(links)
    plan = make_plan(steps, {name: Source(name) for name in steps})
    seen: set[str] = set()
    for step in plan.steps:
        assert {source.step for source in step.sources} <= seen
        seen.add(step.id)
    assert seen == set(steps)


@QUICK
@given(graphs(), st.data())
def test_every_use_of_a_value_is_counted(links: Links, data: st.DataObject) -> None:
    steps = steps_of(links)
    kept = data.draw(st.sampled_from(sorted(steps)))
    plan = make_plan(steps, {"out": Source(kept)})
    left = dict(plan.uses)
    for step in plan.steps:
        for source in step.sources:
            left[source] -= 1
    assert {source: count for source, count in left.items() if count} == {Source(kept): 1}


@QUICK
@given(graphs())
def test_a_step_is_followed_by_those_that_wait_for_it(links: Links) -> None:
    steps = steps_of(links)
    plan = make_plan(steps, {name: Source(name) for name in steps})
    waits = list(plan.waits)
    for followers in plan.followers:
        for follower in followers:
            waits[follower] -= 1
    assert set(waits) == {0}
    for index, step in enumerate(plan.steps):
        for follower in plan.followers[index]:
            assert Source(step.id) in plan.steps[follower].sources


@QUICK
@given(graphs(), st.data())
def test_a_link_back_makes_a_cycle_that_is_named_in_order(
    links: Links, data: st.DataObject
) -> None:
    start = data.draw(st.sampled_from(sorted(links)))
    reached, pending = {start}, [start]
    while pending:
        for before in links[pending.pop()]:
            if before not in reached:
                reached.add(before)
                pending.append(before)
    links[data.draw(st.sampled_from(sorted(reached)))].add(start)
    steps = steps_of(links)
    (found, *_) = cycles(steps)
    for one, next_one in zip(found, [*found[1:], found[0]], strict=True):
        assert Source(one) in steps[next_one].sources


@QUICK
@given(st.floats(allow_nan=True, allow_infinity=True) | st.integers())
def test_an_integer_port_takes_whole_numbers_and_no_others(value: float) -> None:
    try:
        fitted = conform(value, PortType("integer"))
    except Misfit:
        assert isinstance(value, float)
        assert not value.is_integer()
    else:
        assert type(fitted) is int
        assert fitted == value


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(JSON)
def test_any_json_is_a_workflow_or_a_list_of_problems(data: Any) -> None:
    assert from_data(data).problems


@QUICK
@given(
    st.dictionaries(
        st.sampled_from(["title", "requires", "inputs", "nodes", "outputs", "ui"]),
        JSON | st.dictionaries(st.sampled_from(["a", "b", "inputs"]), JSON, max_size=2),
    )
)
def test_a_workflow_with_odd_parts_is_a_list_of_problems(data: dict[str, Any]) -> None:
    session = Session(from_data({"nodegraph": 1, **data}), packages=Packages({}), models=Models())
    for problem in session.check().problems:
        assert problem.code
        assert problem.message
        assert problem.pointer == "" or problem.pointer.startswith("/")
