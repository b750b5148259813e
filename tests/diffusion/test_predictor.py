"""The UNet interface carries what later controls and adapters need: throw-away layers prove it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from nodegraph_diffusion.conditioning import NEGATIVE, POSITIVE, Conditioning, Rows, stack
from nodegraph_diffusion.guidance import Guided
from nodegraph_diffusion.models.injection import AttentionHook, AttentionSite, Injection
from nodegraph_diffusion.predictor import Predictor, UNet
from nodegraph_diffusion.samplers import SAMPLERS
from nodegraph_diffusion.schedule import Schedule, make_schedule
from nodegraph_diffusion.step import Step
from tests.diffusion import toys

X = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(5))


def both(batch: int = 1, **more: Tensor) -> Rows:
    """Return a positive and a negative row for each latent."""
    contexts = [replace(toys.conditioning(seed), **more) for seed in (0, 1)]
    return stack([(POSITIVE, contexts[0]), (NEGATIVE, contexts[1])], batch)


def once(unet: UNet, x: Tensor, rows: Rows, sigma: float = 1.0) -> Tensor:
    """Predict at one noise level, in the first of 20 steps."""
    batch = max(rows.samples) + 1
    step = Step((sigma,) * batch, (unet.noise.timestep(sigma),) * batch, 0, 20)
    with torch.inference_mode():
        return unet(x, step, rows)


def run(unet: UNet, steps: int = 3, cfg: float = 5.0) -> Tensor:
    """Sample one small latent."""
    schedule = make_schedule("karras", unet.noise, steps)
    with torch.inference_mode():
        guided = Guided(
            unet, schedule, toys.conditioning(0), toys.conditioning(1), cfg=cfg, batch=1
        )
        x = X[:1] * schedule.sigmas[0]
        *_, x = SAMPLERS["euler"](guided, x, schedule.sigmas, torch.randn_like)
        return x


@dataclass(frozen=True, eq=False)
class Wrap:
    """A throw-away layer: changes the injection of each call as `change` says."""

    def change(self, x: Tensor, step: Step, rows: Rows, injection: Injection) -> Injection:
        raise NotImplementedError

    def describe(self, schedule: Schedule) -> str:
        return "throw-away"

    def prepare(
        self, inner: Predictor, schedule: Schedule, conditionings: Sequence[Rows]
    ) -> Predictor:
        def predict(
            x: Tensor, step: Step, rows: Rows, injection: Injection | None = None
        ) -> Tensor:
            return inner(x, step, rows, self.change(x, step, rows, injection or Injection()))

        return predict


class Adapter(Wrap):
    """T2I-Adapter: features of a hint enter the encoder's stream after chosen blocks."""

    def change(self, x: Tensor, step: Step, rows: Rows, injection: Injection) -> Injection:
        features = {2: torch.full((1, 32, 8, 8), 0.1), 5: torch.full((1, 32, 4, 4), 0.1)}
        return replace(injection, stream={**injection.stream, **features})


class ImagePrompt(Wrap):
    """An attention adapter: more keys and values for the positive rows of the text's layers."""

    def change(self, x: Tensor, step: Step, rows: Rows, injection: Injection) -> Injection:
        return injection.with_attention(Louder(rows.where(POSITIVE)))


class Louder(AttentionHook):
    """Double the attention to the text in some rows."""

    def __init__(self, rows: list[int]) -> None:
        self.rows = rows

    def output(self, site: AttentionSite, q: Tensor, result: Tensor) -> Tensor:
        if not site.cross:
            return result
        scale = torch.ones(len(result), 1, 1, 1)
        scale[self.rows] = 2.0
        return result * scale


@dataclass(frozen=True, eq=False)
class Branch(Wrap):
    """A control of one guidance branch: adds to the middle of its rows only."""

    branch: str

    def change(self, x: Tensor, step: Step, rows: Rows, injection: Injection) -> Injection:
        middle = torch.zeros(len(rows), 64, x.shape[2] // 8, x.shape[3] // 8)
        middle[rows.where(self.branch)] = 0.3
        return injection.with_residuals([*[None] * 12, middle])


def test_adapters_enter_the_encoder_stream() -> None:
    unet, rows = toys.unet(), both()
    assert not torch.equal(once(unet.wrapped(Adapter()), X, rows), once(unet, X, rows))


def test_attention_adapters_reach_only_the_rows_they_choose() -> None:
    unet, rows = toys.unet(), both()
    changed = once(unet.wrapped(ImagePrompt()), X, rows) - once(unet, X, rows)
    assert changed[0].abs().max() > 1e-4
    assert changed[1].abs().max() == 0


def test_branches_of_guidance_take_different_controls() -> None:
    unet, rows = toys.unet(), both()
    plain = once(unet, X, rows)
    left = once(unet.wrapped(Branch(POSITIVE)), X, rows) - plain
    right = once(unet.wrapped(Branch(NEGATIVE)), X, rows) - plain
    together = once(unet.wrapped(Branch(POSITIVE)).wrapped(Branch(NEGATIVE)), X, rows) - plain
    assert left[0].abs().max() > 1e-4
    assert left[1].abs().max() == 0
    assert right[0].abs().max() == 0
    torch.testing.assert_close(together, left + right)


def test_layers_of_all_kinds_stack_in_a_run() -> None:
    unet = toys.unet()
    layers = [Adapter(), ImagePrompt(), Branch(POSITIVE), Branch(NEGATIVE)]
    stacked = unet
    results = [run(unet)]
    for layer in layers:
        stacked = stacked.wrapped(layer)
        results.append(run(stacked))
    assert all(not torch.equal(a, b) for a, b in pairwise(results))
    assert torch.equal(run(unet), results[0])


def test_nine_channels_are_concatenated_from_the_conditioning() -> None:
    config = replace(toys.UNET, in_channels=9)
    unet = toys.unet(config=config)
    inpaint = torch.randn(1, 5, 8, 8)
    seen = once(unet, X, both(concat=inpaint))
    assert seen.shape == X.shape
    assert not torch.equal(seen, once(unet, X, both(concat=inpaint + 1)))


def test_vectors_of_sdxl_are_embedded_beside_the_timestep() -> None:
    unet = toys.unet(config=replace(toys.UNET, vector_width=12))
    seen = once(unet, X, both(vector=torch.zeros(1, 12)))
    assert not torch.equal(seen, once(unet, X, both(vector=torch.ones(1, 12))))


def test_a_run_predicts_what_a_single_call_does() -> None:
    unet = toys.unet()
    schedule = make_schedule("normal", unet.noise, 5)
    rows = both(batch=2)
    x = torch.cat([X, X])
    with torch.inference_mode():
        predict = unet.prepare(schedule, [rows])
        for i, sigma in enumerate(schedule.sigmas[:-1]):
            step = Step((sigma,) * 2, (schedule.timestep(sigma),) * 2, i, 5)
            # One row of time for all, or one each, may be rounded differently.
            torch.testing.assert_close(predict(x, step, rows), unet(x, step, rows))


def test_latents_of_one_batch_may_have_their_own_noise_levels() -> None:
    unet = toys.unet()
    step = Step((3.0, 0.5), (unet.noise.timestep(3.0), unet.noise.timestep(0.5)), 0, 1)
    rows = stack([(POSITIVE, toys.conditioning(0))], 2)
    with torch.inference_mode():
        together = unet(X, step, rows)
        alone = [
            once(unet, X[i : i + 1], stack([(POSITIVE, toys.conditioning(0))], 1), sigma)
            for i, sigma in enumerate((3.0, 0.5))
        ]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=1e-5)


def test_nothing_of_a_run_stays_on_the_model() -> None:
    model = toys.unet_model()
    unet = UNet(model, "sd1").wrapped(Adapter()).wrapped(ImagePrompt())
    before = {name: (id(module), set(vars(module))) for name, module in model.named_modules()}
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    run(unet)
    after = {name: (id(module), set(vars(module))) for name, module in model.named_modules()}
    assert after == before
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())


def test_texts_are_projected_once_per_run(monkeypatch: pytest.MonkeyPatch) -> None:
    unet = toys.unet()
    calls: list[int] = []
    project = unet.model.project_context

    def counted(context: Tensor) -> object:
        calls.append(len(context))
        return project(context)

    monkeypatch.setattr(unet.model, "project_context", counted)
    run(unet, steps=6)
    assert calls == [2]


def test_guidance_of_one_leaves_the_negative_out() -> None:
    unet = toys.unet()
    schedule = make_schedule("karras", unet.noise, 2)
    bad = Conditioning(torch.full((1, 77, 24), torch.nan))
    with torch.inference_mode():
        guided = Guided(unet, schedule, toys.conditioning(0), bad, cfg=1.0, batch=2)
        assert bool(guided(X, 1.0, 0).isfinite().all())


@pytest.mark.parametrize("tokens", [(77, 154), (154, 231), (77 * 5, 77 * 7)])
def test_texts_of_unlike_length_are_predicted_as_if_alone(tokens: tuple[int, int]) -> None:
    unet = toys.unet()
    schedule = make_schedule("karras", unet.noise, 2)
    positive, negative = (toys.conditioning(i, n) for i, n in enumerate(tokens))
    with torch.inference_mode():

        def x0(cfg: float) -> Tensor:
            return Guided(unet, schedule, positive, negative, cfg=cfg, batch=2)(X, 1.0, 0)

        alone = Guided(unet, schedule, negative, negative, cfg=1.0, batch=2)(X, 1.0, 0)
        torch.testing.assert_close(x0(3.0), alone + 3.0 * (x0(1.0) - alone), atol=1e-5, rtol=1e-4)


def test_bfloat16_is_used_inside_and_float32_outside() -> None:
    unet = toys.unet()
    half = UNet(toys.unet_model().to(torch.bfloat16), "sd1")
    seen: list[tuple[torch.dtype, bool]] = []
    half.model.input_blocks[3].register_forward_hook(
        lambda _, inputs, out: seen.append(
            (out.dtype, inputs[0].is_contiguous(memory_format=torch.channels_last))
        )
    )
    a, b = once(unet, X, both()), once(half, X, both())
    assert b.dtype == torch.float32
    assert seen == [(torch.bfloat16, True)]
    torch.testing.assert_close(a, b, atol=0.05, rtol=0.05)
