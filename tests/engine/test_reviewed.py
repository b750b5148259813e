"""What a hard look at the engine found, each once."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

import nodegraph
from nodegraph.cli import main
from nodegraph.diagram import Arrow, Box, Diagram, mermaid
from nodegraph.drawing import svg
from tests.engine.flows import flow, ref, toy


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path, work: dict[str, Any]) -> str:
    path.write_text(json.dumps(work))
    return str(path)


def test_a_list_of_lists_of_toys_is_written_as_files(here: Path) -> None:
    inner = flow(
        {"each": {**toy("paint", toy=ref("inputs.toys")), "map": ["toy"]}}, {"all": "each"}
    )
    inner["inputs"] = {"toys": {"type": "array"}}
    inner["nodes"]["many"] = toy("several", names=ref("inputs.toys"))
    inner["nodes"]["each"]["inputs"]["toy"] = ref("many")
    write(here / "inner.json", inner)
    work = flow(
        {"rows": {"flow": "inner.json", "map": ["toys"], "inputs": {"toys": [["a", "b"], ["c"]]}}},
        {"rows": "rows.all"},
    )
    nodegraph.run(write(here / "outer.json", work), out="o")
    names = sorted(path.name for path in (here / "o").glob("*.toy"))
    assert names == ["rows_0001_0001.toy", "rows_0001_0002.toy", "rows_0002_0001.toy"]
    assert (here / "o" / "rows_0002_0001.toy").read_text() == "red c\n"


def test_a_declared_input_without_a_value_may_be_handed_on(here: Path) -> None:
    inner = flow({"m": toy("load_model", file=ref("inputs.file"))}, {"m": "m"})
    inner["inputs"] = {"file": {"type": "string"}}
    write(here / "inner.json", inner)
    outer = flow(
        {"c": {"flow": "inner.json", "inputs": {"file": ref("inputs.file")}}}, {"m": "c.m"}
    )
    outer["inputs"] = {"file": {"type": "string"}}
    assert nodegraph.check(write(here / "outer.json", outer)) == ()
    (problem,) = nodegraph.check(here / "outer.json", inputs={"file": "nothing"})
    assert problem.code == "missing_model"


@pytest.mark.parametrize("value", ['{"a":1e999}', '{"a":[NaN]}'])
def test_a_value_that_json_cannot_hold_is_refused_before_the_run(
    here: Path, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    work = flow({"e": toy("everything", table=ref("inputs.o"))}, {"e": "e"})
    work["inputs"] = {"o": {"type": "object", "default": {}}}
    assert main(["run", write(here / "f.json", work), "--o", value]) == 2
    assert "is not an object" in capsys.readouterr().err
    for given in ({"a": math.nan}, {"a": object()}, {(1, 2): 3}):
        with pytest.raises(nodegraph.WorkflowError, match="is not an object"):
            nodegraph.run(work, o=given)


def test_a_value_set_from_python_is_named_in_the_record(here: Path) -> None:
    from tests.engine import toys as _  # noqa: F401 (the module is on the path as `toys`)

    made = nodegraph.run(flow({"a": toy("toy", name="bear")}, {"a": "a"})).a
    work = flow({"b": toy("paint", toy=ref("a")), "a": toy("toy")}, {"b": "b"})
    nodegraph.run(work, settings={"b.toy": made}, out="o")
    record = json.loads((here / "o" / "b.record.json").read_text())
    assert record["flow"]["nodes"]["b"]["inputs"] == {"toy": {"given": "toy"}}


def test_a_large_drawing_takes_a_moment() -> None:
    boxes = tuple(Box(f"n{i}", "node", f"n{i}") for i in range(60))
    arrows = tuple(Arrow(f"n{j}", f"n{i}", "x") for i in range(60) for j in range(i))
    began = time.process_time()
    assert svg(Diagram(boxes, arrows)).startswith("<svg")
    assert time.process_time() - began < 60  # it was minutes


def test_devices_are_no_workflow_files(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "/dev/zero"]) == 2
    assert "a device or pipe; name a workflow file" in capsys.readouterr().err


def test_what_editors_keep_is_no_part_of_the_record(here: Path) -> None:
    node = {**toy("toy"), "ui": {"y": 2}}
    nodegraph.run(flow({"a": node}, {"a": "a"}, ui={"x": 1}), out="o")
    assert '"ui"' not in (here / "o" / "a.record.json").read_text()


@pytest.mark.parametrize(
    "declared",
    [
        {"type": "string", "minimum": 1, "default": "x"},
        {"type": "integer", "minLength": 2, "default": 5},
        {"type": "boolean", "minItems": 1, "default": True},
        {"type": "number", "multipleOf": 1e-320, "default": 5},
    ],
)
def test_a_limit_of_another_kind_of_value_is_a_problem(declared: dict[str, Any]) -> None:
    work = flow({"n": toy("number")}, {"n": "n"}, inputs={"i": declared})
    assert [p.code for p in nodegraph.check(work)] == ["bad_declaration"]


def test_multiples_of_whole_numbers_are_exact() -> None:
    declared = {"type": "integer", "multipleOf": 8, "default": 0}
    work = flow({"n": toy("number")}, {"n": "n"}, inputs={"i": declared})
    assert [p.code for p in nodegraph.check(work, inputs={"i": 10_000_000_001})] == ["out_of_range"]
    assert [p.code for p in nodegraph.check(work, inputs={"i": 10**400})] == []


def test_a_title_with_percent_signs_is_help(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(here / "f.json", flow({"n": toy("number")}, {"n": "n"}, title="50% %(prog)s %d"))
    assert main(["run", path, "--help"]) == 0
    assert "50% % (prog)s %d" in capsys.readouterr().out


def test_what_python_gives_and_json_does_not_know_is_taken_or_refused() -> None:
    import numpy as np

    work = flow({"n": toy("number", value=ref("inputs.i"))}, {"n": "n"})
    work["inputs"] = {"i": {"type": "integer", "default": 1}}
    assert nodegraph.run(work, i=np.int64(3)).n == 3
    names: Any = {"toys": toy("several", names=("a", "b"))}
    names["each"] = {**toy("paint", toy=ref("toys")), "map": ("toy",)}
    assert len(nodegraph.run(flow(names, {"each": "each"})).each) == 2
    wrong: Any = {"nodegraph": 1, "nodes": {3: {}}}
    assert [p.code for p in nodegraph.check(wrong)] == ["not_json"]
    wrong["nodes"] = wrong
    assert [p.code for p in nodegraph.check(wrong)] == ["not_json"]


@pytest.mark.parametrize("where", [{"device": "banana"}, {"dtype": "int8"}])
def test_a_device_or_dtype_that_is_none_is_refused_before_the_run(where: dict[str, str]) -> None:
    with pytest.raises(nodegraph.WorkflowError, match="is no d"):
        nodegraph.run(flow({"n": toy("number")}, {"n": "n"}), **where)  # type: ignore[arg-type]


def test_a_listener_that_raises_is_not_taken_for_the_node() -> None:
    def hear(event: dict[str, Any]) -> None:
        if event["event"] == "progress":
            raise RuntimeError("my listener broke")

    with pytest.raises(RuntimeError, match="my listener broke"):
        nodegraph.run(flow({"c": toy("count")}, {"c": "c"}), on_event=hear)


def test_set_reaches_a_flow_within_and_a_mapped_input(here: Path) -> None:
    inner = flow({"n": toy("number", value=ref("inputs.i"))}, {"n": "n"})
    inner["inputs"] = {"i": {"type": "integer", "default": 1}}
    write(here / "inner.json", inner)
    nodes = {
        "in": {"flow": "inner.json", "inputs": {"i": 2}},
        "each": {**toy("add", a=[1, 2]), "map": ["a"]},
    }
    path = write(here / "f.json", flow(nodes, {"n": "in.n", "each": "each"}))
    assert main(["run", path, "--set", "in.i=60", "--set", "each.a=[5,6]", "--out", "o"]) == 0
    assert (here / "o" / "n.json").read_text() == "60\n"
    assert json.loads((here / "o" / "each.json").read_text()) == [6, 7]


def test_a_flag_before_the_flow_is_put_right(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(here / "f.json", flow({"n": toy("number")}, {"n": "n"}))
    assert main(["run", "--s", "3", "f.json"]) == 2
    assert "put the flow first: nodegraph run f.json ..." in capsys.readouterr().err
    assert main(["check", "f.json", "--ou"]) == 2
    assert "--out" not in capsys.readouterr().err


def test_labels_of_a_diagram_stay_labels() -> None:
    drawn = mermaid(Diagram((Box("n_a", "node", "a", 'x"]\n  click n_a <b>'),), ()))
    assert drawn.splitlines()[1:] == [
        '  n_a["a<br/><small>x#quot;]   click n_a #lt;b#gt;</small>"]'
    ]


def test_a_file_named_with_dots_alone_has_a_folder_of_its_own(here: Path) -> None:
    path = write(here / "...json", flow({"n": toy("number")}, {"n": "n"}))
    assert main(["run", path, "--quiet"]) == 0
    assert (here / "out" / "workflow" / "n.json").exists()


def test_every_event_has_a_time(here: Path) -> None:
    events: list[dict[str, Any]] = []
    nodegraph.run(flow({"n": toy("number")}, {"n": "n"}), out="o", on_event=events.append)
    assert all("time" in event for event in events)
    assert "written" in {event["event"] for event in events}


@pytest.mark.parametrize("other", ["Ends", "ends_0001", "ENDS_12345"])
def test_outputs_whose_files_could_clash_are_refused(other: str) -> None:
    work = flow({"n": toy("number")}, {"ends": "n", other: "n"})
    assert [p.code for p in nodegraph.check(work)] == ["clashing_outputs"]


def test_modules_of_the_current_folder_are_left_alone(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "json.py").write_text("open('touched', 'w')")
    monkeypatch.setenv("NODEGRAPH_CACHE", str(here / "cache"))
    assert main(["nodes", "toys"]) == 0
    assert not (here / "touched").exists()


def test_a_list_of_toys_given_from_python_is_no_part_of_the_record(here: Path) -> None:
    made = nodegraph.run(flow({"a": toy("toy", name="bear")}, {"a": "a"})).a
    work = flow({"p": {**toy("paint", toy=ref("inputs.ts")), "map": ["toy"]}}, {"p": "p"})
    work["inputs"] = {"ts": {"type": "array"}}
    nodegraph.run(work, ts=[made, made], out="o")
    assert json.loads((here / "o" / "p_0001.record.json").read_text())["inputs"] == {}


def test_a_drawing_is_xml_whatever_the_ports_are_called(here: Path) -> None:
    work = flow(
        {"n": toy("number", **{"a\u0001b\ufffe": ref("m")}), "m": toy("number")}, {"n": "n"}
    )
    assert main(["graph", write(here / "f.json", work), "--out", "f.svg"]) == 0
    ElementTree.fromstring((here / "f.svg").read_text())
    links = [ref(f"n{i}") for i in range(150)]
    nodes = {f"n{i}": toy("row", toys=links[:i]) for i in range(150)}
    assert main(["graph", write(here / "f.json", flow(nodes, {"n": "n0"})), "--out", "f.svg"]) == 1


def test_a_description_cannot_steer_the_terminal(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    work = flow({"n": toy("number", value=ref("inputs.i"))}, {"n": "n"})
    work["inputs"] = {"i": {"type": "integer", "default": 1, "description": "\x1b[31mred\x07"}}
    assert main(["run", write(here / "f.json", work), "--help"]) == 0
    assert not {"\x1b", "\x07"} & set(capsys.readouterr().out)


def test_a_note_that_json_cannot_hold_is_the_nodes_fault() -> None:
    with pytest.raises(ValueError, match="the note 'loss' is NaN, which JSON cannot hold"):
        nodegraph.Context().note("loss", math.nan)


def test_problems_without_end_are_cut(here: Path) -> None:
    nodes = ",".join(f'"n{i}": {{"type": "ab"}}' for i in range(2000))
    (here / "many.json").write_text(f'{{"nodegraph": 1, "nodes": {{{nodes}}}}}')
    assert len(nodegraph.check("many.json")) == 201
    doubled = ",".join('"n": {"type": "a.b", "type": "a.b"}' for _ in range(2000))
    (here / "many.json").write_text(f'{{"nodegraph": 1, "nodes": {{{doubled}}}}}')
    assert len(nodegraph.check("many.json")) <= 202


def test_one_folder_of_models_may_be_a_plain_text(models: Path) -> None:
    work = flow({"m": toy("load_model", file="base")}, {"m": "m"})
    assert nodegraph.check(work, models=str(models)) == ()


def test_what_is_no_workflow_is_said() -> None:
    wrong: Any
    for wrong in (None, [], 7):
        with pytest.raises(nodegraph.WorkflowError, match="is no workflow; give a path"):
            nodegraph.run(wrong)


# Signals

DEAF = {
    "alone": flow({"a": toy("deaf")}, {"a": "a"}),
    "beside": flow({"a": toy("deaf"), "b": toy("deaf", seconds=29)}, {"a": "a", "b": "b"}),
}


def interrupted(here: Path, work: str, *pauses: float) -> tuple[int, float, str]:
    """Send SIGINT after each pause, and return code, seconds since the last one, and stderr."""
    write(here / "deaf.json", DEAF[work])
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(here)}
    command = [sys.executable, "-m", "nodegraph.cli", "run", "deaf.json", "--out", "o"]
    run = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)
    while "started" not in (
        (here / "o/journal.jsonl").read_text() if (here / "o/journal.jsonl").exists() else ""
    ):
        time.sleep(0.05)
    for pause in pauses:
        time.sleep(pause)
        run.send_signal(signal.SIGINT)
    began = time.monotonic()
    _, err = run.communicate(timeout=25)
    return run.returncode, time.monotonic() - began, err


def test_ctrl_c_leaves_threads_that_cannot_be_ended(here: Path) -> None:
    code, seconds, err = interrupted(here, "beside", 0.3)
    assert code == 130
    assert seconds < 10  # 2 on a machine that is not shared; the nodes take half a minute
    assert err.splitlines()[-2:] == ["stopping; once more ends at once", "interrupted"]
    assert [path.name for path in here.iterdir() if path.name.startswith("nodegraph-")] == []


def test_a_second_ctrl_c_ends_what_does_not_listen(here: Path) -> None:
    code, seconds, err = interrupted(here, "alone", 0.3, 0.3)
    assert code == 130
    assert seconds < 5
    assert "Traceback" not in err
    assert "stopping; once more ends at once" in err
