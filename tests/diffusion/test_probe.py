"""What the probe tells of good files, with nothing but the standard library."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import nodegraph_diffusion.probe
from nodegraph_diffusion.models.controlnet import ControlNetConfig, ControlNetModel
from nodegraph_diffusion.models.unet import UNetConfig
from nodegraph_diffusion.probe import probe, weights
from nodegraph_diffusion.weights import save_controlnet

SMALL = UNetConfig(widths=(8, 8, 8, 8), heads=2, norm_groups=4)
ATTENTION = "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"


def control_of_width(width: int) -> ControlNetModel:
    return ControlNetModel(ControlNetConfig(replace(SMALL, context_width=width)))


@pytest.mark.parametrize(
    ("width", "told"),
    [
        (768, {"kind": "controlnet", "family": "sd1"}),
        (1024, {"kind": "controlnet", "family": "sd2"}),
        (2048, {"kind": "controlnet", "family": "sdxl"}),
        (333, {"kind": "controlnet"}),
    ],
)
def test_the_family_is_told_by_the_width_of_the_text(
    tmp_path: Path, width: int, told: dict[str, str]
) -> None:
    save_file(control_of_width(width).state_dict(), tmp_path / "c.safetensors")
    assert probe(tmp_path / "c.safetensors") == told


def test_the_family_that_a_file_states_wins(tmp_path: Path) -> None:
    save_controlnet(tmp_path / "c.safetensors", control_of_width(768), "blocks")
    assert probe(tmp_path / "c.safetensors") == {"kind": "controlnet", "family": "blocks"}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (f"model.diffusion_model.{ATTENTION}", "checkpoint"),
        (f"control_model.{ATTENTION}", "controlnet"),
        ("controlnet_down_blocks.0.weight", "controlnet"),
        ("output_blocks.0.0.in_layers.0.weight", "unet"),
        ("up_blocks.0.resnets.0.conv1.weight", "unet"),
        ("first_stage_model.encoder.conv_in.weight", "vae"),
        ("text_model.embeddings.token_embedding.weight", "text_encoder"),
        ("lora_unet_mid_block_attn.lora_up.weight", "lora"),
    ],
)
def test_the_kind_is_told_by_the_names(tmp_path: Path, name: str, kind: str) -> None:
    save_file({name: torch.zeros(2, 768)}, tmp_path / "m.safetensors")
    told = probe(tmp_path / "m.safetensors")
    assert told is not None
    assert told["kind"] == kind


def test_a_file_of_another_sort_is_not_claimed(tmp_path: Path) -> None:
    save_file({"layers.0.weight": torch.zeros(1)}, tmp_path / "m.safetensors")
    assert probe(tmp_path / "m.safetensors") is None


@pytest.mark.parametrize(
    ("file", "config", "told"),
    [
        ("unet/config.json", {"cross_attention_dim": 768}, {"kind": "checkpoint", "family": "sd1"}),
        ("unet/config.json", {"cross_attention_dim": [1, 2]}, {"kind": "checkpoint"}),
    ],
)
def test_a_model_folder_is_told_by_its_unet(
    tmp_path: Path, file: str, config: dict[str, object], told: dict[str, str]
) -> None:
    (tmp_path / "unet").mkdir()
    (tmp_path / "model_index.json").write_text("{}")
    (tmp_path / file).write_text(json.dumps(config))
    assert probe(tmp_path) == told


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (
            {"_class_name": "ControlNetModel", "cross_attention_dim": 2048},
            {"kind": "controlnet", "family": "sdxl"},
        ),
        ({"_class_name": "AutoencoderKL"}, {"kind": "vae"}),
        ({"architectures": ["CLIPTextModel"]}, {"kind": "text_encoder"}),
        ({"architectures": {"a": "CLIPTextModel"}}, None),
        ({"architectures": [{}]}, None),
        ({"_class_name": "FluxTransformer2DModel"}, None),
        ({}, None),
    ],
)
def test_a_folder_of_one_model_is_told_by_its_class(
    tmp_path: Path, config: dict[str, object], told: dict[str, str] | None
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert probe(tmp_path) == told


def test_the_probe_is_loaded_by_its_path_without_any_package(tmp_path: Path) -> None:
    save_controlnet(tmp_path / "c.safetensors", control_of_width(768), "blocks")
    program = (
        "import sys, importlib.util as u\n"
        "s = u.spec_from_file_location('p', sys.argv[1]); m = u.module_from_spec(s)\n"
        "sys.modules['p'] = m; s.loader.exec_module(m)\n"
        "from pathlib import Path\n"
        "print(m.probe(Path(sys.argv[2]))['family'])\n"
        "print(sorted({n.split('.')[0] for n in sys.modules} & "
        "{'torch', 'numpy', 'safetensors', 'pydantic', 'nodegraph', 'nodegraph_diffusion'}))\n"
    )
    place = nodegraph_diffusion.probe.__file__
    done = subprocess.run(
        [sys.executable, "-S", "-c", program, place, str(tmp_path / "c.safetensors")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split("\n")[:2] == ["blocks", "[]"]


def test_the_weights_of_a_folder_are_those_that_are_read(tmp_path: Path) -> None:
    plain = {"a": torch.zeros(3, 5), "b": torch.zeros(7, dtype=torch.int64)}
    halves = {"a": torch.zeros(3, 5, dtype=torch.float16)}
    for name in ("unet", "safety_checker"):
        (tmp_path / name).mkdir()
        save_file(halves, tmp_path / name / "diffusion_pytorch_model.fp16.safetensors")
        save_file(plain, tmp_path / name / "diffusion_pytorch_model.safetensors")
    (tmp_path / "vae").mkdir()
    save_file(halves, tmp_path / "vae" / "diffusion_pytorch_model.fp16.safetensors")
    assert weights(tmp_path) == {"F32": 60, "I64": 56, "F16": 30}
    assert weights(tmp_path / "unet" / "diffusion_pytorch_model.safetensors") == {
        "F32": 60,
        "I64": 56,
    }


def test_the_weights_of_a_broken_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "c.safetensors").write_bytes(b"\xff" * 20)
    with pytest.raises(ValueError, match=r"c\.safetensors"):
        weights(tmp_path / "c.safetensors")
