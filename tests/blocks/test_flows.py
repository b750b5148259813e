"""The flows that judge and show the embedded model, with few steps and scenes."""

import json
from pathlib import Path

import numpy as np

import nodegraph

FLOWS = Path(__file__).parents[2] / "workflows"


def test_the_evaluation_prints_a_row_for_each_control_and_prompt() -> None:
    outputs = nodegraph.run(FLOWS / "training" / "evaluate.json", count=4, steps=6)
    rows = outputs["report"].rows
    assert len(rows) == 8
    assert rows["true render"]["edge_f1"] == 1
    with_edges, without = rows["canny, true prompt"], rows["no control, true prompt"]
    assert with_edges["edge_f1"] > 1.5 * without["edge_f1"]
    depth = rows["depth, true prompt"]["depth_error_on_things"]
    assert depth < 0.7 * without["depth_error_on_things"]


def test_the_contact_sheet_has_four_rows_of_six_pictures() -> None:
    path = FLOWS / "contact_sheet.json"
    nodes = json.loads(path.read_text())["nodes"]
    settings = {f"{name}.steps": 1 for name in nodes if name.startswith("sample_")}
    sheet = nodegraph.run(path, settings=settings)["sheet"].pixels[0]
    height, width, _ = sheet.shape
    assert width == 6 * 160 + 7 * 8
    assert height > 4 * 160
    hint = sheet[8:168, 8:168]
    assert (hint[np.ix_([0, -1], [0, -1])] == 0).all()  # the corners of the edges' picture
