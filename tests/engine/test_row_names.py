"""What rows are called: no two are one folder, and none is a file of the batch or of an output."""

import json
from pathlib import Path

import pytest

from tests.engine.batches import answers, batch, table
from tests.engine.flows import flow, ref, toy


@pytest.mark.parametrize(
    "lines",
    [
        '{"number": 1}\n{"id": "000001", "number": 2}\n',
        '{"id": "000002", "number": 1}\n{"number": 2}\n',
        '{"id": "a", "number": 1}\n{"id": "A", "number": 2}\n',
        '{"id": "000002", "number": 1}\nnonsense\n',
        '{"id": "000002", "number": 1}\n{"id": "../x", "number": 2}\n',
    ],
)
def test_a_row_takes_no_other_row_s_name(here: Path, lines: str) -> None:
    """The first keeps name and folder, the other is told of, and the same command goes on."""
    (here / "rows.jsonl").write_text(lines)
    for _ in range(2):
        assert batch("rows.jsonl") == 1
        first, second = table(here / "out")
        assert (first["ok"], first["sum"], second["ok"]) == ("yes", "2", "no")
        assert second["id"] == "#2"
        assert len(answers(here / "out")) == 2
        assert not (here / "out" / first["id"] / "row-error.json").exists()
        folders = [path.name for path in (here / "out").iterdir() if path.is_dir()]
        assert folders == [first["id"]]


@pytest.mark.parametrize("order", [1, -1])
def test_a_line_that_cannot_be_read_takes_no_name(here: Path, order: int) -> None:
    lines = ["nonsense", '{"id": "000001"}', '{"id": "000003"}'][::order]
    (here / "rows.jsonl").write_text("\n".join(lines))
    assert batch("rows.jsonl") == 1
    assert sum(row["ok"] == "yes" for row in table(here / "out")) == 2


@pytest.mark.parametrize(
    "name",
    [
        *("rows.csv", "contact-sheet.png", "batch.jsonl", "batch.lock", "ROWS.csv"),
        *("a.", ".", "..", ".x", "-x", "a/b", "a\\b", "#1", "", " ", "a\n", "a\0", "x" * 101),
    ],
)
def test_an_id_is_none_of_the_batch_s_own_files(here: Path, name: str) -> None:
    (here / "rows.jsonl").write_text(json.dumps({"id": name}) + '\n{"id": "b"}\n')
    assert batch("rows.jsonl") == 1
    first, second = answers(here / "out")
    assert first["id"] == "#1"
    assert "the id " in first["problems"][0]["message"]
    assert second["ok"]
    assert sorted(path.name for path in (here / "out").iterdir()) == [
        "b", "batch.jsonl", "batch.lock", "rows.csv",
    ]  # fmt: skip


def test_an_output_may_have_any_name(here: Path) -> None:
    """What tells of a failure is no output's file, and goes when the row has run."""
    nodes = {"add": toy("add", a=ref("inputs.a"), b=1)}
    inputs = {"a": {"type": "integer"}}
    outputs: dict[str, str] = dict.fromkeys(("error", "row", "journal", "batch", "rows"), "add")
    (here / "flow.json").write_text(json.dumps(flow(nodes, outputs, inputs=inputs)))
    (here / "rows.csv").write_text("a\n1\n")
    assert batch("rows.csv") == 0
    names = {path.name for path in (here / "out/000001").iterdir()}
    assert names == {*(f"{name}.json" for name in outputs), "journal.jsonl"}
    (here / "rows.csv").write_text("a\nx\n")
    assert batch("rows.csv") == 1
    assert (here / "out/000001/error.json").read_text() == "2\n"
    assert (here / "out/000001/row-error.json").exists()
    (here / "rows.csv").write_text("a\n1\n")
    assert batch("rows.csv") == 0
    assert not (here / "out/000001/row-error.json").exists()
    assert (here / "out/000001/error.json").read_text() == "2\n"


def test_a_row_whose_folder_is_a_link_writes_nothing_through_it(here: Path) -> None:
    (here / "rows.csv").write_text("id,number\na,1\nb,-1\n")
    (here / "away").mkdir()
    (here / "away/row-error.json").write_text("kept")
    (here / "out").mkdir()
    for name in ("a", "b"):
        (here / "out" / name).symlink_to(here / "away")
    assert batch("rows.csv") == 1
    assert [path.name for path in (here / "away").iterdir()] == ["row-error.json"]
    assert (here / "away/row-error.json").read_text() == "kept"
    assert all("is a link; remove it" in row["error"] for row in table(here / "out"))
