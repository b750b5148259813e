"""Stable Diffusion 1.5 and two ControlNets with random weights, as folders that both sides load.

python -m benchmarks.sd15_files FOLDER
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.controlnets.controlnet import ControlNetModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel

CONTROLS = 2
FULL, SMALL = (320, 640, 1280, 1280), (32, 64, 64, 64)
DONE = "done.txt"
INDEX = {
    "_class_name": "StableDiffusionPipeline",
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "scheduler": ["diffusers", "DPMSolverMultistepScheduler"],
    "tokenizer": [None, None],
    "safety_checker": [None, None],
    "feature_extractor": [None, None],
    "requires_safety_checker": False,
}


def write_files(folder: Path, small: bool) -> Path:
    """Write model and ControlNets in half precision, once; return where: 5 GB, or 0.1 if small.

    `model`, `control_0` and `control_1` are in diffusers' layout.
    """
    place = folder / ("small" if small else "full")
    if (place / DONE).exists():
        return place
    widths = SMALL if small else FULL
    sizes: dict[str, Any] = {"block_out_channels": widths, "cross_attention_dim": 768}
    torch.manual_seed(0)
    _write(UNet2DConditionModel(**sizes), place / "model" / "unet")
    for index in range(CONTROLS):
        _write(ControlNetModel(**sizes), place / f"control_{index}")
    _write(_autoencoder(small), place / "model" / "vae")
    text = CLIPTextConfig(
        hidden_size=768,
        intermediate_size=3072,
        num_attention_heads=12,
        num_hidden_layers=2 if small else 12,
    )
    _write(CLIPTextModel(text), place / "model" / "text_encoder")
    _scheduler().save_pretrained(place / "model" / "scheduler")
    (place / "model" / "model_index.json").write_text(json.dumps(INDEX))
    (place / DONE).write_text("the files are whole\n")
    return place


def _autoencoder(small: bool) -> Any:
    sizes: dict[str, Any] = {
        "block_out_channels": (32, 32, 32, 32) if small else (128, 256, 512, 512),
        "layers_per_block": 2,
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "latent_channels": 4,
    }
    return AutoencoderKL(**sizes)


def _scheduler() -> Any:
    """Return what workflows/sd15_canny.json samples with: DPM++ 2M over Karras' noise levels."""
    return DPMSolverMultistepScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        use_karras_sigmas=True,
        steps_offset=1,
    )


def _write(model: Any, folder: Path) -> None:
    """Give zero convolutions noise, too, so that nothing is multiplied by zero; then save."""
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Conv2d) and not bool(module.weight.any()):
                module.weight.normal_(0.0, 0.02)
    model.half().save_pretrained(folder)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--small", action="store_true", help="networks of the right shape only")
    settings = parser.parse_args()
    print(write_files(settings.folder, settings.small))
