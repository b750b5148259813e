"""Drawings of flows: every box and link is there, and nothing covers another."""

import json
import struct
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nodegraph
from nodegraph.cli import main
from nodegraph.columns import arrange
from nodegraph.diagram import Arrow, Box, Diagram, diagram, mermaid
from nodegraph.drawing import layout, png, svg
from nodegraph.errors import NodegraphError
from nodegraph.packages import Packages
from nodegraph.reading import from_data
from tests.engine.flows import flow, ref, toy

NODES = {
    "bear": toy("toy", name=ref("inputs.name")),
    "long": toy("is_long", toy=ref("bear")),
    "red": {**toy("paint", toy=ref("bear")), "when": ref("long")},
    "both": toy("row", toys=[ref("bear"), ref("red")]),
}
FLOW = from_data(
    flow(NODES, {"row": "both"}, inputs={"name": {"type": "string", "default": "bear"}})
)


def test_arrows_name_port_and_type() -> None:
    drawn = diagram(FLOW, Packages.installed())
    assert set(drawn.arrows) == {
        Arrow("in_name", "n_bear", "name", "string"),
        Arrow("n_bear", "n_long", "toy", "toy"),
        Arrow("n_bear", "n_red", "toy", "toy"),
        Arrow("n_long", "n_red", "when", "boolean"),
        Arrow("n_bear", "n_both", "toys", "toy"),
        Arrow("n_red", "n_both", "toys", "toy"),
        Arrow("n_both", "out_row", "", "string"),
    }
    assert "  n_long -->|when: boolean| n_red" in mermaid(drawn).splitlines()


def test_without_packages_a_flow_is_drawn_without_types() -> None:
    unknown = from_data(flow({"a": {"type": "gone.node"}, "b": toy("row", toys=[ref("a")])}, {}))
    assert diagram(unknown, Packages({})).arrows == (Arrow("n_a", "n_b", "toys", ""),)


def test_an_svg_shows_every_text_as_plain_text() -> None:
    drawn = Diagram((Box("a", "node", "<a&b>", "x.y"), Box("b", "output", "b")), (Arrow("a", "b"),))
    root = ElementTree.fromstring(svg(drawn))
    texts = [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts == ["<a&b>", "x.y", "b"]


def test_a_png_has_twice_the_size_of_the_layout() -> None:
    drawn = diagram(FLOW)
    width, height = struct.unpack(">II", png(drawn)[16:24])
    assert (width, height) == tuple(2 * side for side in layout(drawn).size)


@st.composite
def diagrams(draw: st.DrawFn) -> Diagram:
    """Any boxes and arrows, cycles included."""
    count = draw(st.integers(1, 12))
    boxes = tuple(Box(f"b{i}", "node", f"b{i}", "t") for i in range(count))
    ends = st.tuples(st.integers(0, count - 1), st.integers(0, count - 1))
    pairs = draw(st.lists(ends, max_size=20))
    return Diagram(boxes, tuple(Arrow(f"b{a}", f"b{b}", "p", "t") for a, b in pairs))


@settings(max_examples=60, deadline=None)
@given(diagrams())
def test_no_box_covers_another(drawn: Diagram) -> None:
    placed = layout(drawn)
    spots = [(x, y, tall) for _, (x, y), tall in placed.boxes]
    for i, (x0, y0, tall0) in enumerate(spots):
        assert x0 >= 0
        assert y0 + tall0 <= placed.size[1]
        for x1, y1, tall1 in spots[:i]:
            assert x0 != x1 or y0 + tall0 <= y1 or y1 + tall1 <= y0


@settings(max_examples=60, deadline=None)
@given(diagrams())
def test_arrows_go_to_the_right_but_in_cycles(drawn: Diagram) -> None:
    forward = tuple(a for a in drawn.arrows if int(a.source[1:]) < int(a.target[1:]))
    columns = arrange(Diagram(drawn.boxes, forward))
    place = {id_: i for i, column in enumerate(columns.ids) for id_ in column}
    for way in columns.ways:
        assert [place[id_] for id_ in way] == list(range(place[way[0]], place[way[-1]] + 1))


def test_thousands_of_boxes_are_no_picture() -> None:
    many = Diagram(tuple(Box(f"b{i}", "node", "b") for i in range(501)), ())
    with pytest.raises(NodegraphError, match="use Mermaid"):
        svg(many)


def test_the_command_writes_what_the_name_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("flow.json").write_text(json.dumps(flow({"a": toy("toy")}, {"a": "a"})))
    assert main(["graph", "flow.json"]) == 0
    assert capsys.readouterr().out.startswith("flowchart LR\n")
    for suffix, head in ((".svg", b"<svg"), (".png", b"\x89PNG"), (".mmd", b"flowchart")):
        assert main(["graph", "flow.json", "--out", f"deep/a{suffix}"]) == 0
        assert Path(f"deep/a{suffix}").read_bytes().startswith(head)
    assert main(["graph", "flow.json", "--out", "a.gif"]) == 2
    assert "end it with one of .svg, .png, .mmd" in capsys.readouterr().err


def test_the_flow_of_a_picture_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shape = {"type": "image.mask_shape", "inputs": {"width": 8, "height": 8}}
    inner = flow({"m": shape}, {"mask": "m"})
    Path("inner.json").write_text(json.dumps(inner))
    nodes = {
        "in": {"flow": "inner.json"},
        "a": {"type": "image.image_from_mask", "inputs": {"mask": ref("in.mask")}},
    }
    nodegraph.run(flow(nodes, {"a": "a"}), out="out")
    Path("inner.json").unlink()
    assert main(["graph", "out/a.png"]) == 0
    assert "<small>inner.json</small>" in capsys.readouterr().out
