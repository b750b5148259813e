"""Models by name and family: found, told apart, and refused before anything is loaded."""

import json
from pathlib import Path
from typing import Any

import pytest

import nodegraph

from .conftest import write_metadata


def steered(model: str, control: str) -> dict[str, Any]:
    """A flow in which a control steers a model."""
    nodes = {
        "model": {"type": "toys.load_model", "inputs": {"file": model}},
        "control": {"type": "toys.load_control", "inputs": {"file": control}},
        "steer": {
            "type": "toys.steer",
            "inputs": {"model": {"ref": "model"}, "control": {"ref": "control"}},
        },
    }
    return {"nodegraph": 1, "nodes": nodes, "outputs": {"out": {"ref": "steer"}}}


def test_files_of_one_family_fit(models: Path) -> None:
    assert nodegraph.check(steered("base", "edges"), models=[models]) == ()


def test_files_of_two_families_are_refused_in_words(models: Path) -> None:
    (problem,) = nodegraph.check(steered("base", "edges-large"), models=[models])
    assert (problem.code, problem.pointer) == ("family_mismatch", "/nodes/steer/inputs/control")
    assert problem.message == (
        "steer.control: of family 'large' (from edges-large.safetensors), but 'model' is of "
        "family 'small' (from base.safetensors); use files of one family"
    )


def test_families_are_carried_through_a_chain(models: Path) -> None:
    flow = steered("big", "edges-large")
    flow["nodes"]["second"] = {"type": "toys.load_control", "inputs": {"file": "edges"}}
    flow["nodes"]["again"] = {
        "type": "toys.steer",
        "inputs": {"model": {"ref": "steer"}, "control": {"ref": "second"}},
    }
    flow["outputs"] = {"out": {"ref": "again"}}
    (problem,) = nodegraph.check(flow, models=[models])
    assert problem.pointer == "/nodes/again/inputs/control"
    assert "family 'large' (from big.safetensors)" in problem.message


def test_a_probe_says_why_a_file_cannot_be_used(models: Path) -> None:
    (problem,) = nodegraph.check(steered("broken", "edges"), models=[models])
    assert problem.code == "bad_model"
    assert problem.message == (
        "model.file: broken.safetensors: the header is cut off; fetch it again"
    )


@pytest.mark.parametrize("name", ["base", "base.safetensors", "deep/../base"])
def test_a_model_is_found_by_name_with_or_without_suffix(models: Path, name: str) -> None:
    flow = steered(name if ".." not in name else str(models / "deep" / ".." / "base"), "edges")
    assert nodegraph.check(flow, models=[models]) == ()


def test_a_model_below_a_folder_is_found_by_its_last_name(models: Path) -> None:
    (models / "sub" / "more").mkdir(parents=True)
    (models / "base.safetensors").rename(models / "sub" / "more" / "base.safetensors")
    assert nodegraph.check(steered("base", "edges"), models=[models]) == ()
    assert nodegraph.check(steered("more/base", "edges"), models=[models]) == ()


def test_two_models_of_one_name_are_listed(models: Path) -> None:
    (models / "deep" / "base.safetensors").write_text("checkpoint small")
    (problem,) = nodegraph.check(steered("base", "edges"), models=[models])
    assert problem.code == "ambiguous_model"
    assert str(models / "base.safetensors") in problem.message
    assert str(models / "deep" / "base.safetensors") in problem.message


def test_folders_are_searched_in_order_before_shipped_models(models: Path, tmp_path: Path) -> None:
    (models / "shipped.safetensors").write_text("checkpoint large")
    assert nodegraph.check(steered("shipped", "edges-large"), models=[models]) == ()
    first = tmp_path / "first"
    first.mkdir()
    (first / "base.safetensors").write_text("checkpoint large")
    assert nodegraph.check(steered("base", "edges-large"), models=[first, models]) == ()


def test_the_environment_names_folders_too(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NODEGRAPH_MODELS", str(models))
    assert nodegraph.check(steered("base", "edges")) == ()


def test_a_loop_of_links_among_model_folders_ends(models: Path) -> None:
    (models / "deep" / "loop").symlink_to(models)
    assert nodegraph.check(steered("base", "edges"), models=[models]) == ()


def test_a_model_name_may_be_a_declared_input(models: Path) -> None:
    flow = steered("base", "edges")
    flow["inputs"] = {"base": {"type": "string", "default": "base"}}
    flow["nodes"]["model"]["inputs"]["file"] = {"ref": "inputs.base"}
    assert nodegraph.run(flow, models=[models]).out.file == "base.safetensors+edges.safetensors"
    problems = nodegraph.check(flow, models=[models], inputs={"base": "big"})
    assert [problem.code for problem in problems] == ["family_mismatch"]


def test_a_path_wins_over_a_name(models: Path, tmp_path: Path) -> None:
    (tmp_path / "base.safetensors").write_text("checkpoint large")
    path = tmp_path / "flow.json"
    path.write_text(json.dumps(steered("base", "edges-large")))
    assert nodegraph.check(path, models=[models]) == ()


def test_a_probe_that_fails_hurts_no_file_that_another_knows(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a_probe.py").write_text("def probe(path):\n    return {}[path]\n")
    write_metadata(tmp_path, "a-probe", "[nodegraph.probes]\na_probe = a_probe\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert nodegraph.check(steered("base", "edges"), models=[models]) == ()
    (problem,) = nodegraph.check(steered("base", "broken"), models=[models])
    assert problem.code == "bad_model"
