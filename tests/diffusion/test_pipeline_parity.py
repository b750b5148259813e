"""Whole runs, from prompt to latent, against diffusers' own pipeline with our weights."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pytest
import torch
from diffusers.pipelines.controlnet.pipeline_controlnet import StableDiffusionControlNetPipeline
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler
from torch import Tensor, nn

import nodegraph_diffusion.control
from nodegraph import Context
from nodegraph_diffusion import (
    ControlNet,
    TextEncoder,
    UNet,
    apply_controlnet,
    empty_latent,
    encode_text,
    sample,
)
from nodegraph_diffusion.models.clip import CLIPTextConfig
from nodegraph_diffusion.models.controlnet import ControlNetConfig
from nodegraph_diffusion.models.unet import UNetConfig
from nodegraph_diffusion.prompt import parse
from nodegraph_diffusion.tokens import chunk, tokenizer
from nodegraph_diffusion.weights.layout import controlnet_table, rename, unet_table
from nodegraph_image import Image
from tests.diffusion import references

# diffusers has not caught up with numpy 2.4, and warns of the safety checker it is given none of.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:diffusers")

TOLERANCE = 1e-5
"""Relative, after 20 steps; about 1e-6 is measured, from float32 sums in another order."""

BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
PROMPT, NEGATIVE = "a red metal sphere left of a blue cube", "blurry"


@dataclass
class Pair:
    """The same networks twice: ours as values, theirs as a pipeline."""

    unet: UNet
    controlnets: list[ControlNet]
    text_encoder: TextEncoder
    hints: list[Image]
    their_text: nn.Module
    their_parts: dict[str, Any]

    def pipeline(self, scheduler: object, controls: int) -> Any:
        """Return diffusers' pipeline with one or all ControlNets."""
        parts = dict(self.their_parts)
        nets = parts.pop("controlnets")
        build: Any = StableDiffusionControlNetPipeline  # its types forbid parts that may lack
        pipeline = build(
            **parts,
            controlnet=nets[0] if controls == 1 else nets,
            scheduler=scheduler,
            text_encoder=None,
            tokenizer=None,
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    def their_context(self, text: str) -> Tensor:
        """Encode a prompt with transformers."""
        (only,) = chunk(parse(text), tokenizer())
        with torch.no_grad():
            encoded: Tensor = self.their_text(torch.tensor([only.ids])).last_hidden_state
        return encoded


def share(ours: nn.Module, theirs: nn.Module, table: dict[str, str]) -> None:
    """Let their network use the very tensors of ours."""
    shapes = {name: value.shape for name, value in theirs.state_dict().items()}
    renamed = {rename(name, table): value for name, value in ours.state_dict().items()}
    state = {name: value.reshape(shapes[name]) for name, value in renamed.items()}
    theirs.load_state_dict(state, assign=True)


def make_pair(
    unet: UNetConfig,
    text: CLIPTextConfig,
    widths: tuple[int, int, int, int],
    side: int,
    nets: int = 2,
) -> Pair:
    """Build all networks twice, with the same random weights; one ControlNet may serve twice."""
    our_unet, their_unet = references.unet_pair(unet, torch.float32)
    share(our_unet, their_unet, unet_table(references.structure(unet)))
    our_text, their_text = references.text_pair(text, torch.float32)
    _, their_vae = references.vae_pair(references.VAE, torch.float32)
    config = ControlNetConfig(unet, hint_widths=widths)
    pairs = [references.controlnet_pair(config, torch.float32) for _ in range(nets)]
    with torch.no_grad():
        for i, (ours, theirs) in enumerate(pairs):
            for parameter in ours.parameters():
                parameter.mul_(1.0 + 0.1 * i)  # each is another network
            share(ours, theirs, controlnet_table(references.structure(unet)))
    pairs = [pairs[0], pairs[-1]]
    rng = np.random.default_rng(0)
    return Pair(
        UNet(our_unet, "sd1"),
        [ControlNet(ours, "sd1", f"net {i}") for i, (ours, _) in enumerate(pairs)],
        TextEncoder(our_text, "sd1"),
        [Image(rng.random((1, side, side, 3), dtype=np.float32)) for _ in pairs],
        their_text,
        {"unet": their_unet, "vae": their_vae, "controlnets": [theirs for _, theirs in pairs]},
    )


@pytest.fixture(scope="module")
def pair() -> Pair:
    """Return small networks."""
    return make_pair(references.UNET, references.TEXT, references.HINT_WIDTHS, 64)


def ours(
    pair: Pair,
    controls: list[dict[str, Any]],
    *,
    sampler: Literal["euler", "dpmpp_2m"] = "euler",
    steps: int = 20,
    batch: int = 1,
    timesteps: Literal["fractional", "integer"] | None = None,
) -> Tensor:
    """Run our nodes; a mapping of settings for each control."""
    unet = pair.unet
    for net, hint, settings in zip(pair.controlnets, pair.hints, controls, strict=False):
        unet = apply_controlnet(unet, net, hint, **{"window": "step", **settings})
    side = pair.hints[0].pixels.shape[1]
    latent = sample(
        unet,
        encode_text(pair.text_encoder, text=PROMPT),
        encode_text(pair.text_encoder, text=NEGATIVE),
        empty_latent(width=side, height=side, batch=batch),
        Context(),
        seed=7,
        steps=steps,
        cfg=5.0,
        sampler=sampler,
        scheduler="normal" if sampler == "euler" else "karras",
        timesteps=timesteps or ("fractional" if sampler == "euler" else "integer"),
    )
    return latent.samples


def theirs(
    pair: Pair,
    controls: list[dict[str, Any]],
    *,
    sampler: Literal["euler", "dpmpp_2m"] = "euler",
    steps: int = 20,
    batch: int = 1,
    guess_mode: bool = False,
) -> Tensor:
    """Run diffusers' pipeline with the same settings."""
    side = pair.hints[0].pixels.shape[1]
    noise = torch.randn(
        (batch, 4, side // 8, side // 8), generator=torch.Generator("cpu").manual_seed(7)
    )
    if sampler == "euler":
        scheduler: object = EulerDiscreteScheduler(**BETAS, timestep_spacing="linspace")
    else:
        scheduler = DPMSolverMultistepScheduler(**BETAS, use_karras_sigmas=True)
        first = pair.unet.noise.sigmas[-1]
        noise = noise * (first / math.hypot(1.0, first))  # theirs keeps latents at unit variance
    hints = [torch.tensor(hint.pixels).permute(0, 3, 1, 2) for hint in pair.hints]
    one = len(controls) == 1
    strengths = [float(c.get("strength", 1.0)) for c in controls]
    starts = [float(c.get("start", 0.0)) for c in controls]
    ends = [float(c.get("end", 1.0)) for c in controls]
    result: Tensor = pair.pipeline(scheduler, len(controls))(
        prompt_embeds=pair.their_context(PROMPT).expand(batch, -1, -1),
        negative_prompt_embeds=pair.their_context(NEGATIVE).expand(batch, -1, -1),
        image=hints[0] if one else hints,
        latents=noise,
        num_inference_steps=steps,
        guidance_scale=5.0,
        controlnet_conditioning_scale=strengths[0] if one else strengths,
        control_guidance_start=starts,
        control_guidance_end=ends,
        guess_mode=guess_mode,
        output_type="latent",
    ).images
    return result


TWO_CONTROLS = [
    {"strength": 0.8, "start": 0.0, "end": 0.6},
    {"strength": 1.2, "start": 0.25, "end": 1.0},
]


@pytest.mark.parametrize("sampler", ["euler", "dpmpp_2m"])
def test_two_controlnets_with_windows_and_guidance(
    pair: Pair, sampler: Literal["euler", "dpmpp_2m"]
) -> None:
    expected = theirs(pair, TWO_CONTROLS, sampler=sampler)
    result = ours(pair, TWO_CONTROLS, sampler=sampler)
    assert references.distance(result, expected) < TOLERANCE
    # The same comparison fails when a control is forgotten: it does test the controls.
    assert references.distance(ours(pair, TWO_CONTROLS[:1], sampler=sampler), expected) > 0.01


def test_a_batch_of_pictures(pair: Pair) -> None:
    expected = theirs(pair, TWO_CONTROLS, batch=2, steps=5)
    assert references.distance(ours(pair, TWO_CONTROLS, batch=2, steps=5), expected) < TOLERANCE


def test_guess_mode(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = theirs(pair, [{}], guess_mode=True)
    # Published weights are powers of 0.825, diffusers spaces them logarithmically.
    assert references.distance(ours(pair, [{"mode": "guess"}]), expected) < 1e-3
    monkeypatch.setattr(nodegraph_diffusion.control, "SOFTNESS", 10 ** (-1 / 12))
    assert references.distance(ours(pair, [{"mode": "guess"}]), expected) < TOLERANCE


def test_prompts_are_encoded_as_transformers_does(pair: Pair) -> None:
    result = encode_text(pair.text_encoder, text=PROMPT).context
    assert references.distance(result, pair.their_context(PROMPT)) < 1e-5


@pytest.fixture(scope="module")
def full() -> Pair:
    """Return networks of SD1.5's sizes, one ControlNet twice, in 7 GB of memory."""
    return make_pair(UNetConfig(), CLIPTextConfig(), (16, 32, 96, 256), 128, nets=1)


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["euler", "dpmpp_2m"])
def test_full_size(full: Pair, sampler: Literal["euler", "dpmpp_2m"]) -> None:
    expected = theirs(full, TWO_CONTROLS, sampler=sampler)
    result = ours(full, TWO_CONTROLS, sampler=sampler)
    assert references.distance(result, expected) < 1e-3
