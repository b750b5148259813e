"""Every single change of a file that a run makes is made to fail in turn, or kills the process.

After each the same command runs again, and has to end with the bytes of a quiet run. `-m slow`
strikes every place; the default tests strike a part of them.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.engine.flows import flow, ref, toy

HERE = Path(__file__).parent

NODES: dict[str, Any] = {
    "toys": toy("several", names=["ape", "bear", "cat"]),
    "each": {**toy("remark", toy=ref("toys"), said="hm"), "map": ["toy"]},
    "said": toy("row", toys=ref("each")),
    "first": toy("first", toys=ref("each")),
    "coat": {**toy("paint", toy=ref("first")), "when": ref("long")},
    "long": toy("is_long", toy=ref("first"), least=1),
}
MODEL = {"type": "diffusion.load_checkpoint", "inputs": {"file": "blocks"}}
SAMPLED: dict[str, Any] = {
    "model": MODEL,
    "text": {
        "type": "diffusion.encode_text",
        "inputs": {"text_encoder": ref("model.text_encoder"), "text": "a cube"},
    },
    "noise": {"type": "diffusion.empty_latent", "inputs": {"width": 64, "height": 64}},
    "sample": {
        "type": "diffusion.sample",
        "inputs": {
            "unet": ref("model.unet"),
            "positive": ref("text"),
            "negative": ref("text"),
            "latent": ref("noise"),
            "steps": 3,
        },
    },
    "image": {
        "type": "diffusion.decode",
        "inputs": {"vae": ref("model.vae"), "latent": ref("sample")},
    },
}
FLOWS = {
    "mapped": flow(NODES, {"said": "said", "coat": "coat", "each": "each"}),
    "sinks": flow(
        {"a": toy("toy"), "keep": toy("keep", toy=ref("a")), "n": toy("count")}, {"n": "n"}
    ),
}


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shared library that makes calls fail."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs Linux and a C compiler")
    library = tmp_path_factory.mktemp("shim") / "faults.so"
    source = HERE / "faults.c"
    words = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"]
    subprocess.run(words, check=True, capture_output=True)
    return library


def strike(shim: Path, work: Path, folder: Path, step: int) -> None:
    env = {**os.environ, "LD_PRELOAD": str(shim), "PYTHONPATH": os.pathsep.join(sys.path)}
    words = [sys.executable, str(HERE / "crash_driver.py"), str(work), str(folder), str(step)]
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, done.stderr
    assert lines[:-1] == []
    assert lines[-1]["places"] > 20  # that many there are to strike


@pytest.mark.parametrize("name", FLOWS)
def test_a_run_that_was_struck_goes_on(shim: Path, tmp_path: Path, name: str) -> None:
    work = tmp_path / "flow.json"
    work.write_text(json.dumps(FLOWS[name]))
    strike(shim, work, tmp_path / "runs", 29)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*FLOWS, "sampled"])
def test_a_run_that_was_struck_anywhere_goes_on(shim: Path, tmp_path: Path, name: str) -> None:
    work = tmp_path / "flow.json"
    sampled = flow(SAMPLED, {"image": "image", "latent": "sample"})
    work.write_text(json.dumps({**FLOWS, "sampled": sampled}[name]))
    strike(shim, work, tmp_path / "runs", 1)
