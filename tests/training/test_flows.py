"""The training flows, run as they are shipped but for a few steps on a few pictures."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from safetensors import safe_open

import nodegraph
from nodegraph_diffusion.weights import load_checkpoint_file, load_controlnet_file
from nodegraph_training.log import read

FLOWS = Path(__file__).parents[2] / "workflows"
CPU = torch.device("cpu")


@pytest.fixture(autouse=True, scope="module")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def read_tensors_note(file: Path) -> str:
    with safe_open(file, "pt") as opened:
        return str(opened.metadata()["nodegraph.training"])


def run(flow: str, out: Path, **inputs: Any) -> nodegraph.Outputs:
    return nodegraph.run(FLOWS / flow, out=out, **inputs)


def test_the_shipped_example_trains_stops_and_goes_on(tmp_path: Path) -> None:
    places = {name: tmp_path / name for name in ("folder", "run")} | {
        "file": tmp_path / "my.safetensors"
    }
    run("train_controlnet.json", tmp_path, **places, pictures=4, stop=2)
    first = places["file"].read_bytes()
    outputs = run("train_controlnet.json", tmp_path, **places, pictures=4, stop=3)
    assert [line["step"] for line in read(tmp_path / "run" / "log.jsonl")] == [1, 2, 3]
    assert places["file"].read_bytes() != first
    model = load_controlnet_file(places["file"], torch.float32, CPU)
    assert any(bool(zero[0].weight.any()) for zero in model.zero_convs)  # type: ignore[index]
    assert outputs["samples"].pixels.shape[2] == 8 * 128


def test_the_five_steps_make_a_model_from_nothing(tmp_path: Path) -> None:
    shared: dict[str, Any] = {"data": tmp_path / "data", "scenes": 3}
    run("training/1_data.json", tmp_path, **shared)
    vae = {"vae": tmp_path / "vae", "vae_steps": 2}
    run("training/2_vae.json", tmp_path, **shared, **vae, workers=1)
    model = tmp_path / "model.safetensors"
    unet = {"unet": tmp_path / "unet", "steps": 2, "file": model, "prompts": ["a red cube"]}
    run("training/3_unet.json", tmp_path, **shared, **vae, **unet, workers=1)
    trained, _, _ = load_checkpoint_file(model, torch.float32, CPU)
    assert trained.config.prediction == "v"
    for kind, flow in (("canny", "4_canny"), ("depth", "5_depth")):
        places = {"run": tmp_path / kind, "file": tmp_path / f"{kind}.safetensors"}
        latents = tmp_path / "latents.safetensors"
        run(
            f"training/{flow}.json",
            tmp_path,
            **shared,
            **places,
            model=model,
            latents=latents,
            steps=1,
        )
        control = load_controlnet_file(places["file"], torch.float32, CPU)
        assert control.config.widths == trained.config.widths


def test_the_shipped_model_is_trained_further(tmp_path: Path) -> None:
    shared: dict[str, Any] = {"data": tmp_path / "data", "scenes": 3, "steps": 1}
    model, latents = tmp_path / "model.safetensors", tmp_path / "unet" / "latents.safetensors"
    places = {"run": tmp_path / "unet", "file": model, "prompts": ["a red cube"]}
    run("training/6_unet_further.json", tmp_path, **shared, **places)
    assert "begun_from" in json.loads(read_tensors_note(model))
    places = {"run": tmp_path / "depth", "file": tmp_path / "depth.safetensors"}
    begin: dict[str, Any] = {"model": model, "controlnet": "blocks-depth", "kind": "depth"}
    run("training/7_control_further.json", tmp_path, **shared, **places, **begin, latents=latents)
    record = json.loads(read_tensors_note(tmp_path / "depth.safetensors"))
    assert record["kind"] == "depth"
    assert "begun_from" in record


def test_half_a_model_to_begin_from_is_refused(tmp_path: Path) -> None:
    flow = json.loads((FLOWS / "training" / "6_unet_further.json").read_text())
    del flow["nodes"]["train"]["inputs"]["text_encoder"]
    inputs: dict[str, Any] = {name: tmp_path / name for name in ("data", "run", "file")}
    with pytest.raises(nodegraph.NodegraphError, match=r"'text_encoder' is missing; connect both"):
        nodegraph.run(flow, out=tmp_path, scenes=1, model="blocks", **inputs)


def own_pictures(folder: Path) -> dict[str, Any]:
    """Return the example's flow for a folder of somebody's own pictures."""
    flow: dict[str, Any] = json.loads((FLOWS / "train_controlnet.json").read_text())
    del flow["nodes"]["render"], flow["inputs"]["folder"], flow["inputs"]["pictures"]
    data = {"folder": str(folder), "size": 128}
    flow["nodes"]["data"] = {"type": "training.folder", "inputs": data}
    return flow


def test_a_folder_of_ones_own_pictures_trains(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(tmp_path / name), rng.integers(0, 256, (140, 160, 3)).astype(np.uint8))
    lines = [{"image": "a.png", "text": "noise"}, {"image": "b.png", "text": ["more noise"]}]
    (tmp_path / "data.jsonl").write_text("\n".join(map(json.dumps, lines)))
    file = tmp_path / "own.safetensors"
    own = own_pictures(tmp_path)
    nodegraph.run(own, out=tmp_path, run=tmp_path / "run", file=file, stop=1, allow=[tmp_path])
    assert json.loads(read_tensors_note(file))["step"] == 1


def test_a_folder_without_a_list_is_refused_in_words(tmp_path: Path) -> None:
    own = own_pictures(tmp_path)
    with pytest.raises(nodegraph.NodegraphError, match=r"there is no data.jsonl; write one line"):
        nodegraph.run(own, out=tmp_path, run=tmp_path, file=tmp_path / "f", allow=[tmp_path])


def test_a_unet_with_controls_around_it_is_not_trained_on(tmp_path: Path) -> None:
    flow = own_pictures(tmp_path)
    shipped = {"file": "blocks-canny"}
    flow["nodes"]["canny"] = {"type": "diffusion.load_controlnet", "inputs": shipped}
    flow["nodes"]["hint"] = {"type": "blocks.scene", "inputs": {}}
    guide = {"unet": "model.unet", "controlnet": "canny", "hint": "hint.depth"}
    flow["nodes"]["guided"] = {
        "type": "diffusion.apply_controlnet",
        "inputs": {name: {"ref": place} for name, place in guide.items()},
    }
    flow["nodes"]["train"]["inputs"]["unet"] = {"ref": "guided"}
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((128, 128, 3), np.uint8))
    (tmp_path / "data.jsonl").write_text('{"image": "a.png"}')
    with pytest.raises(nodegraph.NodegraphError, match=r"the UNet already has controls around it"):
        nodegraph.run(flow, out=tmp_path, run=tmp_path, file=tmp_path / "f", allow=[tmp_path])
