"""What `@node` reads from a function, and what it refuses."""

import json
import math
from collections import namedtuple
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any, Literal, NamedTuple

import pytest
from pydantic import Field

from nodegraph import Context, Destination, Family, ModelFile, PackageError, node, port
from nodegraph.decorator import spec_of
from nodegraph.spec import NodeSpec
from nodegraph.types import PortType
from nodegraph.values import Misfit, conform


@port
class Thing:
    """Something that flows."""


class Two(NamedTuple):
    """Two outputs."""

    left: Annotated[Thing, Family("F")]
    right: list[Thing]


@node(version=3, cache=False, device="cpu")
def busy(
    thing: Annotated[Thing, Family("F")],
    file: Annotated[Path, ModelFile("checkpoint", family="F")],
    context: Context,
    *,
    low: Annotated[int, Field(ge=0, lt=9, description="where it begins")] = 3,
    mode: Literal["a", "b"] = "a",
    sizes: Annotated[list[float], Field(min_length=1)] | None = None,
) -> Two:
    """Do much.

    More words.

    Args:
        thing: what it is
            done to
        mode: how
    """
    raise NotImplementedError(thing, file, context, low, mode, sizes)


def spec() -> NodeSpec:
    found = spec_of(busy)
    assert found is not None
    return found


def test_the_function_stays_what_it_is() -> None:
    assert callable(busy)
    assert busy.__name__ == "busy"


def test_what_flows_and_what_is_set_are_told_apart() -> None:
    assert [p.name for p in spec().inputs.values() if p.flows] == ["thing", "file"]
    assert [p.name for p in spec().inputs.values() if not p.flows] == ["low", "mode", "sizes"]


def test_ranges_choices_and_defaults_are_read() -> None:
    inputs = spec().inputs
    assert inputs["low"].type.limits == {"minimum": 0, "exclusiveMaximum": 9}
    assert inputs["mode"].type.choices == ("a", "b")
    assert (inputs["low"].default, inputs["thing"].required) == (3, True)
    assert inputs["sizes"].type.nullable
    assert inputs["sizes"].type.limits == {"minItems": 1}


def test_descriptions_come_from_fields_and_docstrings() -> None:
    notes = {name: p.description for name, p in spec().inputs.items() if p.description}
    assert notes == {"thing": "what it is done to", "low": "where it begins", "mode": "how"}
    assert spec().summary == "Do much."


def test_outputs_of_a_named_tuple_are_ports() -> None:
    assert spec().several
    assert list(spec().outputs) == ["left", "right"]
    assert spec().outputs["left"].type.family == "F"


def test_the_context_is_no_port() -> None:
    assert spec().context == "context"
    assert "context" not in spec().inputs


def test_a_specification_survives_json() -> None:
    assert NodeSpec.from_json(json.loads(json.dumps(spec().to_json()))) == spec()


def untyped(x) -> int:  # type: ignore[no-untyped-def]
    return int(x)


def no_result(x: int):  # type: ignore[no-untyped-def]
    return x


def many(*words: str) -> int:
    return len(words)


def foreign(x: object) -> int:
    return id(x)


def union(x: int | str) -> int:
    return int(x)


def crooked(x: dict[str, Any] = {"x": object()}) -> int:  # noqa: B006, B008
    return len(x)


async def waiting() -> int:
    return 1


def giving() -> Iterator[int]:
    yield 1


async def both() -> AsyncIterator[int]:
    yield 1


def größe() -> int:
    return 1


def _private() -> int:
    return 1


def odd_name(*, größe: int = 1) -> int:
    return größe


def endless(*, x: float = math.inf) -> float:
    return x


def bytes_of(*, x: Literal[b"a"] = b"a") -> int:
    return len(x)


def two_contexts(a: Context, b: Context) -> int:
    return 1


Untyped = namedtuple("Untyped", "a b")


def untyped_fields() -> Untyped:
    return Untyped(1, 2)


def bare_mark(x: Annotated[Path, Destination]) -> int:
    return len(x.name)


def misplaced(x: Annotated[int, Destination()]) -> int:
    return x


class Odd(NamedTuple):
    """An output that no workflow can write."""

    größe: int


def odd_output() -> Odd:
    return Odd(1)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (waiting, r"waiting: an async function cannot be a node; write it with `def`"),
        (giving, r"giving: a generator cannot be a node; return a list, not `yield`"),
        (both, r"both: an async function cannot be a node"),
        (Thing, r"Thing: a node is a function; write one with `def`"),
        (partial(waiting), r"a node is a function; write one with `def`"),
        (größe, r"größe: no workflow can write the name 'größe'; use up to 100 letters"),
        (_private, r"no workflow can write the name '_private'"),
        (odd_name, r"odd_name, parameter 'größe': no workflow can write the name"),
        (odd_output, r"odd_output, result 'größe': no workflow can write the name"),
        (endless, r"endless, parameter 'x': the default inf is not JSON"),
        (two_contexts, r"two_contexts: 'a' and 'b' are both Context; one will do"),
        (untyped_fields, r"result: Untyped says no types of its fields; write `class Pair"),
        (bare_mark, r"parameter 'x': Destination is a class; write Destination\(...\)"),
        (misplaced, r"parameter 'x': Destination marks a pathlib.Path, not integer"),
        (bytes_of, r"bytes_of, parameter 'x': the choice b'a' is neither text nor a number"),
        (untyped, r"untyped, parameter 'x': no type; annotate it with bool, int"),
        (no_result, r"no_result, result: no type; annotate what the node returns"),
        (many, r"many, parameter 'words': a node's parameters have fixed names"),
        (foreign, r"foreign, parameter 'x': a port cannot be of type object"),
        (union, r"union, parameter 'x': a union of several types; only"),
        (crooked, r"crooked, parameter 'x': the default .* is not JSON; use None"),
    ],
)
def test_a_signature_that_says_no_port_is_refused(function: Any, message: str) -> None:
    with pytest.raises(PackageError, match=message):
        node(function)


@pytest.mark.parametrize(
    ("kind", "limits", "message"),
    [
        (str, {"pattern": "("}, r"pattern='\(' is no pattern that can be used: unclosed group"),
        (str, {"pattern": r"(?=a)b"}, "look-around.* is not supported"),
        (str, {"min_length": -1}, "min_length=-1 must be a whole number of at least 0"),
        (str, {"min_length": 3, "max_length": 2}, "no value meets minLength 3 and maxLength 2"),
        (str, {"ge": 1}, "ge=1 says nothing of string; it is for integer and number"),
        (Path, {"max_length": 9}, "max_length=9 says nothing of file; it is for string"),
        (list[int], {"min_length": 3, "max_length": 2}, "no value meets minItems 3"),
        (int, {"multiple_of": 0}, "multiple_of=0 must be above 0"),
        (float, {"ge": 2, "le": 1}, "no value meets minimum 2 and maximum 1; change one"),
        (float, {"gt": 1, "le": 1}, "no value meets exclusiveMinimum 1 and maximum 1"),
        (float, {"le": math.inf}, "le=inf is no finite number; write one, or leave it out"),
        (float, {"ge": math.nan}, "ge=nan is no finite number"),
    ],
)
def test_a_limit_that_no_value_can_meet_is_refused_where_it_is_declared(
    kind: Any, limits: dict[str, Any], message: str
) -> None:
    def limited(x: Any) -> int:
        return len(x)

    limited.__annotations__["x"] = Annotated[kind, Field(**limits)]
    with pytest.raises(PackageError, match=f"limited, parameter 'x': .*{message}"):
        node(limited)


def test_a_pattern_takes_no_longer_than_the_text() -> None:
    slow = PortType("string", limits={"pattern": r"^(a+)+$"})
    began = perf_counter()
    with pytest.raises(Misfit, match="does not match"):
        conform("a" * 50_000 + "!", slow)
    assert perf_counter() - began < 2
    assert conform("aa", slow) == "aa"
    with pytest.raises(Misfit):  # as JSON Schema has it
        conform("aa\n", slow)


@pytest.mark.parametrize("said", [{"version": 0}, {"version": "2"}, {"device": "gpu"}])
def test_a_version_or_device_that_is_none_is_refused(said: Any) -> None:
    def plain() -> int:
        return 1

    with pytest.raises(PackageError, match=r"plain: (version|device)=.* is (no|neither)"):
        node(**said)(plain)
