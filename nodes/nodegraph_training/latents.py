"""The latents of a data set: computed once, and kept with a note of what they were made from."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nodegraph_diffusion.models.vae import AutoencoderKL
from nodegraph_training.dataset import PictureSource
from nodegraph_training.errors import TrainingError
from nodegraph_training.loop import Progress, silent
from nodegraph_training.parallel import pool, single_threaded
from nodegraph_training.settings import Settings
from nodegraph_training.state import compute_copy, computing_dtype
from nodegraph_training.task import as_input
from nodegraph_training.tensors import read_tensors, write_tensors
from nodegraph_training.vae import to_tensor


@torch.no_grad()
def scale_factor(vae: AutoencoderKL, source: PictureSource, sample: int = 256) -> float:
    """Return what brings latents of some of the pictures to a standard deviation of 1.

    Source: arXiv 2112.10752, appendix D.1.
    """
    chosen = np.linspace(0, len(source) - 1, min(sample, len(source))).astype(np.int64)
    parts = np.array_split(chosen, -(-len(chosen) // 16))
    means = [vae.encode(to_tensor(source.pictures(part)))[0] for part in parts]
    # rounded, so that a rerun on other threads finds the same
    return round(1.0 / float(torch.cat(means).std()), 5)


def encode_all(
    vae: AutoencoderKL,
    source: PictureSource,
    place: Path,
    *,
    settings: Settings,
    device: str = "cpu",
    batch: int = 32,
    progress: Progress = silent,
) -> Tensor:
    """Return the scaled latents (N, C, h, w) float16 of all pictures; `place` keeps them.

    Raises: TrainingError when `place` holds the latents of other pictures or another VAE.
    """
    note: dict[str, Any] = {
        "vae": digest(vae, f"{vae.config.scale_factor:.5f}"),
        "pictures": len(source),
    }
    if place.exists():
        return _kept(place, note)
    count = len(source)
    fast = compute_copy(vae, computing_dtype(settings, device)).to(device)

    @torch.no_grad()  # holds for one thread only
    def encode(start: int) -> Tensor:
        x = to_tensor(source.pictures(np.arange(start, min(start + batch, count))))
        mean = fast.encode(as_input(x, fast))[0]
        return (mean.float() * vae.config.scale_factor).half().contiguous().cpu()

    means: list[Tensor] = []
    with single_threaded(settings.workers), pool(settings.workers) as executor:
        for part in executor.map(encode, range(0, count, batch)):
            means.append(part)
            progress(min(len(means) * batch, count), count, "encoding pictures")
    write_tensors(place, {"mean": torch.cat(means)}, note)
    return torch.cat(means)


def digest(model: nn.Module, note: str = "") -> str:
    """Return a short digest of a model in half precision: saving and loading keep it."""
    found = hashlib.sha256(note.encode())
    for weight in model.state_dict().values():
        found.update(weight.detach().half().contiguous().cpu().numpy().tobytes())
    return found.hexdigest()[:16]


def _kept(place: Path, note: dict[str, Any]) -> Tensor:
    try:
        tensors, made = read_tensors(place)
    except (OSError, ValueError) as error:
        raise TrainingError(f"{place}: holds no latents ({error}); delete it") from error
    if made != note:
        raise TrainingError(
            f"{place}: holds the latents of other pictures or of another VAE; "
            "delete it, or name another file"
        )
    mean = tensors.get("mean")
    whole = mean is not None and mean.dim() == 4 and mean.dtype == torch.float16
    if mean is None or not whole or len(mean) != note["pictures"]:
        raise TrainingError(f"{place}: its latents are damaged; delete it")
    return mean
