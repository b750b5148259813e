"""A row of a batch is run again when something that it comes from is another, and only then."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from nodegraph.checking import Checked
from nodegraph.packages import Packages
from nodegraph.reading import from_data
from nodegraph.record import owners_of
from tests.engine.batches import answers, batch
from tests.engine.conftest import write_metadata

PACK = """\
from pathlib import Path
from typing import Annotated

from nodegraph import ModelFile, node


@node
def names(folder: Path) -> str:
    'Say what is in a folder.'
    return {sep!r}.join(sorted(path.read_text() for path in folder.iterdir()))


@node
def held(file: Annotated[Path, ModelFile("checkpoint")]) -> str:
    'Say what a model holds.'
    return file.read_text()
"""


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: Any) -> Path:
    """A folder with the sources of a package, a folder, a model, and a flow of all."""
    name = f"pack_{request.node.name.split('[')[0]}"
    write_metadata(tmp_path / "site", name, f"[nodegraph.nodes]\n{name} = {name}\n")
    (tmp_path / "site" / f"{name}.py").write_text(PACK.format(sep=" "))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setenv("NODEGRAPH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NODEGRAPH_MODELS", str(tmp_path / "models"))
    monkeypatch.chdir(tmp_path)
    for path, text in (
        ("folder/a", "a"),
        ("other/a", "a"),
        ("models/m.safetensors", "checkpoint small"),
    ):
        Path(path).parent.mkdir()
        Path(path).write_text(text)
    nodes = {
        "fixed": {"type": f"{name}.names", "inputs": {"folder": "other"}},
        "given": {"type": f"{name}.names", "inputs": {"folder": {"ref": "inputs.folder"}}},
        "held": {"type": f"{name}.held", "inputs": {"file": {"ref": "inputs.model"}}},
    }
    inputs = {"folder": {"type": "file"}, "model": {"type": "file"}}
    flow = {"nodegraph": 1, "inputs": inputs, "nodes": nodes}
    outputs = {each: {"ref": each} for each in nodes}
    Path("flow.json").write_text(json.dumps({**flow, "outputs": outputs}))
    Path("rows.csv").write_text("folder,model\nfolder,m\n")
    return tmp_path


def ran() -> list[Any]:
    """Run the batch; the outputs of the last answer, and how many there are by now."""
    assert batch("rows.csv") == 0
    told = [answer for answer in answers(Path("out")) if answer["ok"]]
    return [len(told), *told[-1]["outputs"].values()]


def test_contents_of_folders_and_models_count(work: Path) -> None:
    assert ran() == [1, "a", "a", "checkpoint small"]
    assert ran()[0] == 1
    Path("folder/b").write_text("b")
    assert ran() == [2, "a", "a b", "checkpoint small"]
    Path("other/a").write_text("other")
    assert ran() == [3, "other", "a b", "checkpoint small"]
    Path("models/m.safetensors").write_text("checkpoint large")
    os.utime("models/m.safetensors", (1, 1))
    assert ran() == [4, "other", "a b", "checkpoint large"]
    assert ran()[0] == 4


def test_sources_of_packages_count(work: Path) -> None:
    assert ran()[0] == 1
    (source,) = (work / "site").glob("*.py")
    source.write_text(source.read_text() + "\n# another comment\n")
    assert ran()[0] == 2
    assert ran()[0] == 2


@pytest.mark.parametrize("declared", ["string", "enum", "within"])
def test_a_model_named_by_a_text_counts(work: Path, declared: str) -> None:
    """Declared as a text, it is a model all the same where it is linked to."""
    type_ = json.loads(Path("flow.json").read_text())["nodes"]["held"]["type"]
    flow: dict[str, Any] = {"nodegraph": 1, "inputs": {"model": {"type": "string"}}}
    flow["nodes"] = {"held": {"type": type_, "inputs": {"file": {"ref": "inputs.model"}}}}
    flow["outputs"] = {"held": {"ref": "held"}}
    if declared == "within":
        Path("inner.json").write_text(json.dumps(flow))
        given = {"model": {"ref": "inputs.model"}}
        flow["nodes"] = {"all": {"flow": "inner.json", "inputs": given}}
        flow["outputs"] = {"held": {"ref": "all.held"}}
    if declared == "enum":
        flow["inputs"]["model"]["enum"] = ["m", "n"]
    Path("flow.json").write_text(json.dumps(flow))
    Path("rows.jsonl").write_text(json.dumps({"model": "m"}))
    for size, count in (("small", 1), ("small", 1), ("large ", 2)):
        path = Path("models/m.safetensors")
        if path.read_text() != f"checkpoint {size}":
            path.write_text(f"checkpoint {size}")
        assert batch("rows.jsonl") == 0
        told = answers(Path("out"))
        assert sum(answer["ok"] for answer in told) == count


def test_the_order_of_an_object_counts(work: Path) -> None:
    flow: dict[str, Any] = {"nodegraph": 1, "inputs": {"table": {"type": "object"}}}
    flow["nodes"] = {"o": {"type": "toys.order", "inputs": {"table": {"ref": "inputs.table"}}}}
    Path("flow.json").write_text(json.dumps({**flow, "outputs": {"o": {"ref": "o"}}}))
    for table, count in (({"b": 1, "a": 2}, 1), ({"a": 2, "b": 1}, 2)):
        Path("rows.jsonl").write_text(json.dumps({"table": table}))
        assert batch("rows.jsonl") == 0
        assert sum(answer["ok"] for answer in answers(Path("out"))) == count


def test_what_all_rows_come_from_is_the_same_in_each_process() -> None:
    """Packages of one distribution were in the order of a set, which differs from run to run."""
    types = ("image.mask_shape", "diffusion.empty_latent", "blocks.scene", "training.folder")
    nodes = {f"n{i}": {"type": type_} for i, type_ in enumerate(types)}
    work = from_data({"nodegraph": 1, "nodes": nodes, "outputs": {}})
    owners = owners_of(work, Checked(()), Packages.installed())
    assert [owner.name for owner in owners] == ["blocks", "diffusion", "image", "training"]
