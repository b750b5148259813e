"""Sizes, starting points and gradients of the networks."""

import pytest
import torch
from torch import Tensor, nn

from nodegraph_diffusion.models.clip import CLIPTextConfig, CLIPTextModel
from nodegraph_diffusion.models.controlnet import ControlNetConfig, ControlNetModel
from nodegraph_diffusion.models.injection import Injection
from nodegraph_diffusion.models.normalization import GroupNorm
from nodegraph_diffusion.models.unet import UNetConfig, UNetModel
from nodegraph_diffusion.models.vae import AutoencoderKL, VAEConfig
from tests.diffusion.references import arranged

SMALL = UNetConfig(widths=(16, 16, 32, 32), heads=2, context_width=12, norm_groups=8)
SD2 = UNetConfig(heads=None, context_width=1024, linear_projection=True)
SDXL = UNetConfig(
    widths=(320, 640, 1280),
    transformers=(0, 2, 10),
    middle_transformers=10,
    heads=None,
    context_width=2048,
    linear_projection=True,
    vector_width=2816,
)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def small_unet() -> UNetModel:
    torch.manual_seed(0)
    return UNetModel(SMALL).requires_grad_(False)


def small_inputs(batch: int = 2) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return latent, time steps, context and hint."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(batch, 4, 8, 8, generator=generator)
    context = torch.randn(batch, 5, 12, generator=generator)
    hint = torch.rand(batch, 3, 64, 64, generator=generator)
    return x, torch.linspace(10, 900, batch), context, hint


@pytest.mark.parametrize(
    ("config", "expected"), [(UNetConfig(), 859_520_964), (SDXL, 2_567_463_684)]
)
def test_a_unet_has_the_released_models_parameter_count(config: UNetConfig, expected: int) -> None:
    with torch.device("meta"):
        assert count(UNetModel(config)) == expected


@pytest.mark.parametrize(
    ("config", "expected"),
    [(UNetConfig(), 361_279_120), (SD2, 364_228_240), (SDXL, 1_251_014_160)],
)
def test_a_controlnet_has_the_released_models_parameter_count(
    config: UNetConfig, expected: int
) -> None:
    with torch.device("meta"):
        assert count(ControlNetModel(ControlNetConfig(config))) == expected


def test_the_parts_of_the_controlnet_have_the_released_counts() -> None:
    with torch.device("meta"):
        model = ControlNetModel(ControlNetConfig())
    hint, zeros = count(model.input_hint_block), count(model.zero_convs)
    zeros += count(model.middle_block_out)
    assert (hint, zeros) == (1_086_480, 11_479_680)
    assert count(model) - hint - zeros == 348_712_960


def test_vae_and_text_encoder_have_the_released_counts() -> None:
    with torch.device("meta"):
        assert count(AutoencoderKL(VAEConfig())) == 83_653_863
        assert count(CLIPTextModel(CLIPTextConfig())) == 123_060_480


@torch.no_grad()
def test_a_new_controlnet_leaves_the_output_bit_identical() -> None:
    unet = small_unet()
    control = ControlNetModel.from_unet(unet, (4, 4, 8, 8))
    x, timesteps, context, hint = small_inputs()
    residuals = control(x, control.embed_hint(hint), timesteps, context)
    controlled = unet(x, timesteps, context, Injection().with_residuals(residuals))
    assert torch.equal(controlled, unet(x, timesteps, context))


def test_a_controlnet_starts_as_a_copy_that_shares_no_memory() -> None:
    unet = small_unet()
    control = ControlNetModel.from_unet(unet, (4, 4, 8, 8))
    theirs = unet.state_dict()
    shared = [name for name in control.state_dict() if name in theirs]
    assert len(shared) == sum(
        name.startswith(("time_embed", "input_blocks", "middle_block.")) for name in theirs
    )
    for name in shared:
        copy = control.state_dict()[name]
        assert torch.equal(copy, theirs[name])
        assert copy.data_ptr() != theirs[name].data_ptr()


def moving(control: ControlNetModel, unet: UNetModel) -> set[str]:
    """Return the parts of the ControlNet that get a gradient, after a step along it."""
    x, timesteps, context, hint = small_inputs()
    residuals = control(x, control.embed_hint(hint), timesteps, context)
    out = unet(x, timesteps, context, Injection().with_residuals(residuals))
    names, parameters = zip(*control.named_parameters(), strict=True)
    gradients = torch.autograd.grad((out - 1).square().mean(), parameters)
    parts: set[str] = set()
    with torch.no_grad():
        for name, parameter, gradient in zip(names, parameters, gradients, strict=True):
            if gradient.abs().max() > 0:
                parts.add(part(name))
            parameter -= 0.1 * gradient
    return parts


def part(name: str) -> str:
    if name.startswith(("zero_convs", "middle_block_out")):
        return "zero convolutions"
    if name.startswith("input_hint_block"):
        return "hint's end" if name.startswith("input_hint_block.14") else "hint's body"
    return "copy"


def test_gradients_unlock_in_three_stages() -> None:
    unet = small_unet()
    control = ControlNetModel.from_unet(unet, (4, 4, 8, 8))
    assert moving(control, unet) == {"zero convolutions"}
    assert moving(control, unet) == {"zero convolutions", "copy", "hint's end"}
    assert moving(control, unet) == {"zero convolutions", "copy", "hint's end", "hint's body"}


def test_a_locked_unet_builds_no_graph_before_its_decoder() -> None:
    unet = small_unet()
    control = ControlNetModel.from_unet(unet, (4, 4, 8, 8))
    x, timesteps, context, hint = small_inputs()
    seen: dict[str, bool] = {}

    def look(name: str) -> None:
        def note(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            seen[name] = output.requires_grad

        getattr(unet, name)[-1].register_forward_hook(note)

    for name in ("input_blocks", "middle_block", "output_blocks"):
        look(name)
    residuals = control(x, control.embed_hint(hint), timesteps, context)
    unet(x, timesteps, context, Injection().with_residuals(residuals))
    assert seen == {"input_blocks": False, "middle_block": False, "output_blocks": True}


def test_training_computes_what_inference_does() -> None:
    unet = small_unet()
    x, timesteps, context, _ = small_inputs()
    expected = unet(x, timesteps, context)
    trained = unet.requires_grad_(True)(x, timesteps, context)  # plain attention, with a graph
    assert torch.allclose(trained, expected, rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_projections_made_before_give_the_same_bits() -> None:
    unet = small_unet()
    x, timesteps, context, _ = small_inputs()
    time = unet.project_time(torch.tensor([1.0, 10.0, 5.0, 900.0])).select([1, 3])
    projected = unet.project_context(context)
    result = unet(x, time, projected)
    assert torch.allclose(result, unet(x, timesteps, context), rtol=1e-6, atol=1e-6)


@torch.no_grad()
def test_one_projected_row_serves_a_whole_batch() -> None:
    unet = small_unet()
    x, _, context, _ = small_inputs(3)
    whole = unet(x, torch.full((3,), 4.5), context)
    one = unet(x, unet.project_time(torch.tensor([4.5])), context)
    assert torch.allclose(one, whole, rtol=1e-6, atol=1e-6)


@torch.no_grad()
def test_a_compact_token_table_maps_the_standard_ids() -> None:
    config = CLIPTextConfig(width=8, inner_width=16, layers=1, heads=2, rows=3)
    model = CLIPTextModel(config)
    model.text_model.embeddings.token_rows[[320, 49407]] = torch.tensor([1, 2], dtype=torch.int32)
    known, unknown = torch.tensor([[320, 49407]]), torch.tensor([[17, 49000]])
    embeddings = model.text_model.embeddings
    table = embeddings.token_embedding.weight
    places = embeddings.position_embedding.weight[:2]
    assert torch.equal(embeddings(known)[0], table[[1, 2]] + places)
    assert torch.equal(embeddings(unknown)[0], table[[0, 0]] + places)


@torch.no_grad()
def test_the_last_layers_of_the_text_encoder_may_be_left_out() -> None:
    torch.manual_seed(0)
    model = CLIPTextModel(CLIPTextConfig(width=8, inner_width=16, layers=3, heads=2))
    ids = torch.tensor([[1, 2, 3]])
    shorter = CLIPTextModel(CLIPTextConfig(width=8, inner_width=16, layers=2, heads=2))
    own = shorter.state_dict()
    shorter.load_state_dict({k: v for k, v in model.state_dict().items() if k in own})
    assert torch.equal(model(ids, skip=1), shorter(ids))


@pytest.mark.parametrize("silu", [False, True])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 5e-3)], ids=str
)
def test_channels_last_normalisation_and_its_gradients_are_exact(
    silu: bool, dtype: torch.dtype, tolerance: float
) -> None:
    torch.manual_seed(0)
    norm = GroupNorm(4, 16, silu=silu)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    exact = GroupNorm(4, 16, silu=silu).double()
    norm = norm.to(dtype)
    exact.load_state_dict(norm.state_dict())
    x = (torch.randn(2, 16, 5, 6) * 2 + 1).to(dtype)
    gradient = torch.randn_like(x)
    fast = x.to(memory_format=torch.channels_last).requires_grad_()
    slow = x.double().requires_grad_()
    y, expected = norm(fast), exact(slow)
    assert y.is_contiguous(memory_format=torch.channels_last)
    results = torch.autograd.grad(y, (fast, norm.weight, norm.bias), gradient)
    references = torch.autograd.grad(expected, (slow, exact.weight, exact.bias), gradient.double())
    for a, b in zip((y, *results), (expected, *references), strict=True):
        assert (a.double() - b).norm() <= tolerance * b.norm()


@torch.no_grad()
def test_bfloat16_and_channels_last_hold_from_end_to_end() -> None:
    unet = small_unet()
    _, timesteps, context, _ = small_inputs()
    x = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(1))
    expected = unet(x, timesteps, context)
    layouts: list[bool] = []
    dtypes: set[torch.dtype] = set()

    def look(_module: nn.Module, inputs: tuple[Tensor, ...], _output: Tensor) -> None:
        layouts.append(inputs[0].is_contiguous(memory_format=torch.channels_last))
        dtypes.add(inputs[0].dtype)

    for module in unet.modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3):
            module.register_forward_hook(look)
    fast = arranged(unet.to(torch.bfloat16), torch.channels_last)
    x = x.to(torch.bfloat16, memory_format=torch.channels_last)
    result = fast(x, timesteps, context)
    assert all(layouts)
    assert dtypes == {torch.bfloat16}
    assert (result.float() - expected).norm() < 0.02 * expected.norm()
