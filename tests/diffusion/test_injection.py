"""Throw-away adapters: what later kinds of control need must fit the UNet's interface as it is."""

import pytest
import torch
from torch import Tensor, nn

from nodegraph_diffusion.models.attention import attend, split_heads
from nodegraph_diffusion.models.controlnet import ControlNetModel
from nodegraph_diffusion.models.injection import AttentionHook, AttentionSite, Injection
from nodegraph_diffusion.models.unet import UNetConfig, UNetModel

CONFIG = UNetConfig(widths=(16, 16, 32, 32), heads=2, context_width=12, norm_groups=8)


def unet(config: UNetConfig = CONFIG) -> UNetModel:
    torch.manual_seed(0)
    return UNetModel(config).requires_grad_(False)


def inputs(batch: int = 2, channels: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(batch, channels, 8, 8, generator=generator)
    return x, torch.full((batch,), 300.0), torch.randn(batch, 5, 12, generator=generator)


def random_residuals(batch: int, seed: int = 2) -> list[Tensor]:
    model = ControlNetModel.from_unet(unet(), (4, 4, 8, 8))
    generator = torch.Generator().manual_seed(seed)
    for zero in (*model.zero_convs, model.middle_block_out):
        assert isinstance(zero, nn.Sequential)
        with torch.no_grad():
            weight = zero[0].weight
            assert isinstance(weight, Tensor)
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.3)
    x, timesteps, context = inputs(batch)
    hint = torch.rand(batch, 3, 64, 64, generator=generator)
    with torch.no_grad():
        residuals: list[Tensor] = model(x, model.embed_hint(hint), timesteps, context)
    return residuals


@torch.no_grad()
def test_a_skip_residual_stays_out_of_the_encoder_and_a_stream_one_does_not() -> None:
    model = unet()
    seen: list[Tensor] = []
    model.middle_block.register_forward_hook(lambda _m, args, _out: seen.append(args[0]))
    x, timesteps, context = inputs()
    residuals = random_residuals(2)
    plain = model(x, timesteps, context)
    controlled = model(x, timesteps, context, Injection().with_residuals(residuals))
    adapted = model(x, timesteps, context, Injection(stream={2: residuals[2]}))
    assert torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[0], seen[2])
    assert not torch.equal(plain, controlled)
    assert not torch.equal(plain, adapted)


@torch.no_grad()
def test_a_t2i_adapter_adds_after_the_last_block_of_each_level() -> None:
    model = unet()
    x, timesteps, context = inputs()
    shapes = {2: (16, 8, 8), 5: (16, 4, 4), 8: (32, 2, 2), 11: (32, 1, 1)}
    features = {i: torch.randn(2, *shape) for i, shape in shapes.items()}
    expected = unet()
    for i, feature in features.items():  # the same by hand: change the blocks' outputs
        expected.input_blocks[i].register_forward_hook(
            lambda _m, _args, out, added=feature: out + added
        )
    result = model(x, timesteps, context, Injection(stream=features))
    assert torch.equal(result, expected(x, timesteps, context))


@torch.no_grad()
def test_controls_add_up_in_any_order() -> None:
    model = unet()
    x, timesteps, context = inputs()
    a, b = random_residuals(2), random_residuals(2, seed=3)
    one = model(x, timesteps, context, Injection().with_residuals(a).with_residuals(b))
    other = model(x, timesteps, context, Injection().with_residuals(b).with_residuals(a))
    assert torch.equal(one, other)


@torch.no_grad()
def test_guidance_rows_may_carry_different_controls() -> None:
    model = unet()
    x, timesteps, context = inputs(3)
    canny, depth = random_residuals(1), random_residuals(1, seed=3)
    zeros = [torch.zeros_like(r) for r in canny]
    rows = [torch.cat(parts) for parts in zip(canny, depth, zeros, strict=True)]
    together = model(x, timesteps, context, Injection().with_residuals(rows))
    for i, control in enumerate((canny, depth, zeros)):
        row = slice(i, i + 1)
        alone = model(x[row], timesteps[row], context[row], Injection().with_residuals(control))
        assert torch.allclose(together[row], alone, rtol=1e-5, atol=1e-6)


class Watching(AttentionHook):
    """Changes nothing and remembers where it was called."""

    def __init__(self) -> None:
        self.sites: list[AttentionSite] = []

    def output(self, site: AttentionSite, q: Tensor, result: Tensor) -> Tensor:
        self.sites.append(site)
        return result


@torch.no_grad()
def test_a_hook_that_changes_nothing_leaves_the_output_bit_identical() -> None:
    model, hook = unet(), Watching()
    x, timesteps, context = inputs()
    result = model(x, timesteps, context, Injection().with_attention(hook))
    assert torch.equal(result, model(x, timesteps, context))
    assert len(hook.sites) == 32
    first = AttentionSite(
        "input_blocks.1.1.transformer_blocks.0.attn1", cross=False, width=16, heads=2, size=(8, 8)
    )
    assert hook.sites[0] == first
    assert sum(site.cross for site in hook.sites) == 16


class Hypernetwork(AttentionHook):
    """Changes what keys and values are computed from (one small network each)."""

    def context(
        self, site: AttentionSite, keys: Tensor, values: Tensor
    ) -> tuple[Tensor, Tensor] | None:
        return (keys * 1.5, values + 0.1) if site.cross else None


@torch.no_grad()
def test_a_hypernetwork_changes_keys_and_values_apart() -> None:
    model = unet()
    x, timesteps, context = inputs()
    result = model(x, timesteps, context, Injection().with_attention(Hypernetwork()))
    projected = model.project_context(context)
    keys, values = model.project_context(context * 1.5), model.project_context(context + 0.1)
    layers = {name: (keys.layers[name][0], values.layers[name][1]) for name in projected.layers}
    by_hand = model(x, timesteps, type(projected)(context, layers))
    assert torch.allclose(result, by_hand, rtol=1e-6, atol=1e-6)


@torch.no_grad()
def test_hooks_see_what_the_ones_before_them_changed() -> None:
    model = unet()
    x, timesteps, context = inputs()
    twice = Injection().with_attention(Hypernetwork()).with_attention(Hypernetwork())
    result = model(x, timesteps, context, twice)
    projected = model.project_context(context)
    keys, values = model.project_context(context * 2.25), model.project_context(context + 0.2)
    layers = {name: (keys.layers[name][0], values.layers[name][1]) for name in projected.layers}
    by_hand = model(x, timesteps, type(projected)(context, layers))
    assert torch.allclose(result, by_hand, rtol=1e-5, atol=1e-5)


class ImagePrompt(AttentionHook):
    """Adds attention to the tokens of a picture beside that to the text, as IP-Adapter does."""

    def __init__(self, tokens: Tensor, scale: float) -> None:
        self.tokens, self.scale = tokens, scale

    def output(self, site: AttentionSite, q: Tensor, result: Tensor) -> Tensor:
        if not site.cross:
            return result
        generator = torch.Generator().manual_seed(site.width)
        weight = torch.randn(12, site.width, generator=generator) / 4
        k = v = split_heads(self.tokens @ weight, site.heads)
        return result + self.scale * attend(q, k, v)


@torch.no_grad()
def test_an_image_prompt_adds_to_the_attention_of_the_text() -> None:
    model = unet()
    x, timesteps, context = inputs()
    plain = model(x, timesteps, context)
    tokens = torch.randn(2, 4, 12)
    off = Injection().with_attention(ImagePrompt(tokens, 0.0))
    on = Injection().with_attention(ImagePrompt(tokens, 1.0))
    assert torch.equal(model(x, timesteps, context, off), plain)
    assert not torch.allclose(model(x, timesteps, context, on), plain)


class Reference(AttentionHook):
    """Lets row 1 attend to row 0's picture as well, as reference control does."""

    def project(
        self, site: AttentionSite, q: Tensor, k: Tensor, v: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        if site.cross:
            return q, k, v
        k, v = (torch.cat([t, t[:1].expand_as(t)], dim=2) for t in (k, v))
        return q, k, v


@torch.no_grad()
def test_rows_may_share_keys_and_values() -> None:
    model = unet()
    x, timesteps, context = inputs()
    plain = model(x, timesteps, context)
    shared = model(x, timesteps, context, Injection().with_attention(Reference()))
    assert torch.allclose(shared[0], plain[0], rtol=1e-4, atol=1e-5)  # it only sees itself twice
    assert not torch.allclose(shared[1], plain[1], rtol=1e-2, atol=1e-2)


@torch.no_grad()
def test_a_nine_channel_unet_takes_mask_and_masked_latent() -> None:
    model = unet(UNetConfig(**{**vars(CONFIG), "in_channels": 9}))
    x, timesteps, context = inputs()
    mask, masked = torch.ones(2, 1, 8, 8), torch.zeros(2, 4, 8, 8)
    assert model(torch.cat([x, mask, masked], dim=1), timesteps, context).shape == x.shape


@torch.no_grad()
def test_vector_conditioning_is_part_of_the_time_projections() -> None:
    model = unet(UNetConfig(**{**vars(CONFIG), "vector_width": 6}))
    x, timesteps, context = inputs()
    y = torch.randn(2, 6)
    direct = model(x, timesteps, context, y=y)
    assert torch.equal(direct, model(x, model.project_time(timesteps, y), context))
    assert not torch.equal(direct, model(x, timesteps, context, y=y + 1))


def test_missing_and_unwanted_vectors_are_refused() -> None:
    x, timesteps, context = inputs()
    with pytest.raises(ValueError, match="needs no vectors y"):
        unet()(x, timesteps, context, y=torch.zeros(2, 6))
    with pytest.raises(ValueError, match="needs vectors y of width 6"):
        unet(UNetConfig(**{**vars(CONFIG), "vector_width": 6}))(x, timesteps, context)


def test_a_residual_of_another_size_is_refused() -> None:
    x, timesteps, context = inputs()
    residuals = random_residuals(2)
    residuals[4] = torch.zeros(2, 16, 3, 3)
    with pytest.raises(ValueError, match=r"skip 4: an injected tensor has shape \(2, 16, 3, 3\)"):
        unet()(x, timesteps, context, Injection().with_residuals(residuals))


def test_another_number_of_residuals_is_refused() -> None:
    x, timesteps, context = inputs()
    residuals = random_residuals(2)
    with pytest.raises(ValueError, match="9 residuals were injected where this model has 12"):
        unet()(x, timesteps, context, Injection(skips=residuals[:9]))


def test_a_call_may_be_stopped_between_blocks() -> None:
    calls: list[int] = []

    def stop() -> None:
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt

    x, timesteps, context = inputs()
    with pytest.raises(KeyboardInterrupt):
        unet()(x, timesteps, context, Injection(check=stop))
    assert len(calls) == 5
