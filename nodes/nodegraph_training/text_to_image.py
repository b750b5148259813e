"""Train a text encoder and a UNet together, from latents and captions."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nodegraph_diffusion.models.clip import CLIPTextModel
from nodegraph_diffusion.models.unet import UNetModel
from nodegraph_diffusion.models.vae import AutoencoderKL
from nodegraph_diffusion.tokens import tokenizer
from nodegraph_training.dataset import PictureSource
from nodegraph_training.noise import diffusion_loss, noised, trained_sigmas
from nodegraph_training.preview import PreviewRequest, draw
from nodegraph_training.task import Batch, as_input
from nodegraph_training.words import forget_some, ids_of, unknown_id


class TextToImage(nn.Module):
    """A UNet and the text encoder that learns with it."""

    def __init__(self, unet: UNetModel, text: CLIPTextModel) -> None:
        super().__init__()
        self.unet, self.text = unet, text

    def forward(self, x: Tensor, timesteps: Tensor, ids: Tensor) -> Tensor:
        """Predict (B, C, h, w) for noisy latents x of that shape and captions (B, 77)."""
        predicted: Tensor = self.unet(x, timesteps, self.text(ids))
        return predicted


class TextToImageTask:
    """Learn to predict the velocity of noised latents, given their captions or nothing."""

    def __init__(
        self,
        source: PictureSource,
        latents: Tensor,
        vae: AutoencoderKL,
        model: TextToImage,
        *,
        empty: float = 0.1,
        prompts: Sequence[str] = (),
        seed: int = 0,
    ) -> None:
        """Begin with the model's weights and scaled latents (N, C, h, w)."""
        self.model: nn.Module = model
        self.source, self.latents, self.vae, self.empty = source, latents, vae, empty
        self.count = len(source)
        self.encode, self.sigmas = tokenizer(), trained_sigmas()
        self.unknown = unknown_id(model.text)
        rng = np.random.default_rng((seed, 4))
        self.prompts = list(prompts) or [
            source.caption(index, rng) for index in range(min(16, self.count))
        ]

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Return the weighted loss of one share of the batch."""
        assert isinstance(model, TextToImage)
        captions = [self.source.caption(int(index), batch.numpy) for index in batch.indices]
        kept = ["" if batch.numpy.random() < self.empty else text for text in captions]
        ids = forget_some(ids_of(kept, self.encode), self.unknown, batch.torch)
        latent = self.latents[torch.as_tensor(batch.indices)].float()
        sample = noised(latent, self.sigmas, model.unet.config.prediction, batch.torch)
        x = as_input(sample.x, model)
        sample = sample.on(x.device)
        output = model(x, sample.timesteps, ids.to(x.device))
        return diffusion_loss(output, sample), {}

    def preview(self, model: nn.Module) -> NDArray[np.uint8]:
        """Return pictures for a few captions, always from the same noise."""
        assert isinstance(model, TextToImage)
        context = model.text(ids_of([*self.prompts, ""], self.encode))
        size = (int(self.latents.shape[2]), int(self.latents.shape[3]))
        return draw(model.unet, self.vae, PreviewRequest(context[:-1], context[-1:], size))
