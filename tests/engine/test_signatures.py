"""What `@node` reads from a function, and what it refuses."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import pytest
from pydantic import Field

from nodegraph import Context, Family, ModelFile, PackageError, node, port
from nodegraph.decorator import spec_of
from nodegraph.spec import NodeSpec


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


@pytest.mark.parametrize(
    ("function", "message"),
    [
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
