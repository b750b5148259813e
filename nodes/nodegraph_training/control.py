"""Train a ControlNet: the trainable copy alone learns, the locked UNet stays bit for bit."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nodegraph_diffusion.models.clip import CLIPTextModel
from nodegraph_diffusion.models.controlnet import ControlNetModel
from nodegraph_diffusion.models.injection import Injection
from nodegraph_diffusion.models.unet import UNetModel
from nodegraph_diffusion.models.vae import AutoencoderKL
from nodegraph_diffusion.tokens import tokenizer
from nodegraph_training.dataset import Pictures, PictureSource
from nodegraph_training.errors import TrainingError
from nodegraph_training.noise import diffusion_loss, noised, trained_sigmas
from nodegraph_training.preview import Control, PreviewRequest, draw, tile
from nodegraph_training.state import compute_copy
from nodegraph_training.task import Batch, as_input
from nodegraph_training.words import ids_of


class ControlTask:
    """Learn residuals for a locked UNet from pairs of hint and picture.

    Source: arXiv 2302.05543, sections 3.2 and 3.3 (which empties half of the prompts).
    """

    def __init__(
        self,
        source: PictureSource,
        kind: str,
        latents: Tensor,
        locked: tuple[UNetModel, CLIPTextModel, AutoencoderKL],
        model: ControlNetModel,
        *,
        empty: float = 0.3,
        seed: int = 0,
        precision: torch.dtype = torch.float32,
        device: str = "cpu",
    ) -> None:
        """Begin with a ControlNet, as a rule a fresh copy; `kind` names the hints to follow."""
        self.unet, self.text, self.vae = locked
        for part in (self.unet, self.text, self.vae):
            part.requires_grad_(False).eval()
        self.fast_unet = compute_copy(self.unet, precision).to(device)
        self.fast_text = compute_copy(self.text, precision).to(device)
        self.model: nn.Module = model
        self.source, self.kind, self.latents, self.empty = source, kind, latents, empty
        self.count = len(source)
        self.encode, self.sigmas = tokenizer(), trained_sigmas()
        self.shown = np.arange(min(8, self.count))
        rng = np.random.default_rng((seed, 4))
        self.prompts = [source.caption(int(index), rng) for index in self.shown]

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Return the weighted loss of one share of the batch."""
        assert isinstance(model, ControlNetModel)
        captions = [self.source.caption(int(index), batch.numpy) for index in batch.indices]
        kept = ["" if batch.numpy.random() < self.empty else text for text in captions]
        hint = as_input(to_hint(self.source.hint(self.kind, batch.indices)), model)
        latent = self.latents[torch.as_tensor(batch.indices)].float()
        sample = noised(latent, self.sigmas, self.unet.config.prediction, batch.torch)
        x = as_input(sample.x, model)
        sample = sample.on(x.device)
        with torch.no_grad():
            context = self.fast_text(ids_of(kept, self.encode).to(x.device))
            words = self.fast_unet.project_context(context)
            times = self.fast_unet.project_time(sample.timesteps)
        residuals = model(x, model.embed_hint(hint), sample.timesteps, context)
        output = self.fast_unet(x, times, words, Injection().with_residuals(residuals))
        return diffusion_loss(output, sample), {}

    def preview(self, model: nn.Module) -> NDArray[np.uint8]:
        """Return the hints above the pictures that follow them."""
        assert isinstance(model, ControlNetModel)
        hints = self.source.hint(self.kind, self.shown)
        context = self.text(ids_of([*self.prompts, ""], self.encode))
        size = (int(self.latents.shape[2]), int(self.latents.shape[3]))
        request = PreviewRequest(
            context[:-1], context[-1:], size, control=Control(model, to_hint(hints))
        )
        return np.concatenate([tile(hints), draw(self.unet, self.vae, request)], axis=0)


def to_hint(pixels: Pictures) -> Tensor:
    """Return hints (B, H, W, 3) uint8 as (B, 3, H, W) float32 in [0, 1]."""
    return torch.as_tensor(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).float() / 255.0


def check_kind(source: PictureSource, kind: str, factor: int, size: Sequence[int]) -> None:
    """See that the data set has hints of a kind, in the pictures' size.

    Raises: TrainingError when it does not.
    """
    hint = source.hint(kind, np.arange(1))
    if tuple(hint.shape[1:3]) != (size[0] * factor, size[1] * factor):
        raise TrainingError(
            f"data set: hints of kind {kind!r} are {hint.shape[2]} x {hint.shape[1]}, the pictures "
            f"{size[1] * factor} x {size[0] * factor}; make both of one size"
        )
