"""`annotators.json` shows every annotator, and needs no torch."""

import json
import subprocess
import sys
from pathlib import Path

from nodegraph.packages import Packages
from tests.workflows.pictures import FLOWS

CODE = """\
import sys
from nodegraph.cli import main
code = main(sys.argv[1:])
print(sorted({"torch", "nodegraph_diffusion"} & set(sys.modules)), file=sys.stderr)
sys.exit(code)
"""
NO_HINTS = {
    "load", "save", "crop", "flip", "composite", "batch", "pick", "mask_blur", "mask_combine",
    "mask_from_image", "mask_grow", "mask_invert", "mask_resize", "image_from_mask", "rotate",
    "unbatch",
}  # fmt: skip


def test_annotators_alone_import_no_torch(tmp_path: Path) -> None:
    flow = str(FLOWS / "annotators.json")
    done = subprocess.run(
        [sys.executable, "-c", CODE, "run", flow, "--quiet", "--out", str(tmp_path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "[]\n")
    assert (tmp_path / "sheet.png").stat().st_size > 10_000


def test_no_annotator_is_left_out() -> None:
    flow = json.loads((FLOWS / "annotators.json").read_text())
    shown = {node["type"].partition(".")[2] for node in flow["nodes"].values()}
    assert shown == set(Packages.installed().manifest("image").nodes) - NO_HINTS
