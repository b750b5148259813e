"""The nodes from prompt to pixels, called as plain functions."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from nodegraph import Cancelled, Context
from nodegraph_diffusion import (
    VAE,
    Conditioning,
    Latent,
    TextEncoder,
    UNet,
    decode,
    empty_latent,
    encode,
    encode_text,
    sample,
)
from nodegraph_diffusion.conditioning import ConditioningCodec
from nodegraph_diffusion.latent import LatentCodec
from nodegraph_diffusion.samplers import SAMPLERS
from nodegraph_diffusion.schedule import SPACINGS
from nodegraph_image import Image
from tests.diffusion import toys

UNET = toys.unet()
TEXT = TextEncoder(toys.text_model(), "sd1")
TOY_VAE = VAE(toys.vae_model(), "sd1")


def draw(unet: UNet = UNET, context: Context | None = None, **more: Any) -> Tensor:
    """Sample 64 x 64 pixels in 4 steps unless said otherwise."""
    latent = more.pop("latent", None) or empty_latent(width=64, height=64)
    positive = more.pop("positive", toys.conditioning(0))
    negative = more.pop("negative", toys.conditioning(1))
    settings: dict[str, Any] = {"steps": 4, "cfg": 3.0, "seed": 1, **more}
    return sample(unet, positive, negative, latent, context or Context(), **settings).samples


def encoded(text: str, **more: Any) -> Tensor:
    """Encode a prompt."""
    return encode_text(TEXT, text=text, **more).context


def picture(height: int = 16, width: int = 24, batch: int = 1) -> Image:
    """Return random pixels."""
    rng = np.random.default_rng(0)
    return Image(rng.random((batch, height, width, 3), dtype=np.float32))


def test_an_empty_latent_has_an_eighth_of_the_size() -> None:
    latent = empty_latent(width=128, height=64, batch=3)
    assert torch.equal(latent.samples, torch.zeros(3, 4, 8, 16))


def test_sides_that_are_no_multiple_of_8_name_the_nearest_size() -> None:
    with pytest.raises(ValueError) as caught:
        empty_latent(width=500, height=100)
    assert str(caught.value) == (
        "empty_latent: 500 x 100 is not a multiple of 8; the nearest size is 496 x 96"
    )
    with pytest.raises(ValueError, match="encode: 24 x 13 is not a multiple of 8"):
        encode(TOY_VAE, picture(13))


def test_a_latent_that_no_memory_holds_is_refused() -> None:
    assert empty_latent(width=256, height=256, batch=1024).samples.shape[0] == 1024
    with pytest.raises(ValueError, match="empty_latent: 1024 x 256 x 264 is more than 67,108,864"):
        empty_latent(width=256, height=264, batch=1024)


def test_encode_takes_the_mean_times_the_scale_factor() -> None:
    image = picture()
    with torch.no_grad():
        x = torch.tensor(image.pixels).permute(0, 3, 1, 2) * 2 - 1
        mean, _ = TOY_VAE.model.encode(x)
    torch.testing.assert_close(encode(TOY_VAE, image).samples, mean * 0.18215)


def test_decode_undoes_scale_and_range() -> None:
    latent = Latent(torch.randn(2, 4, 2, 3))
    with torch.no_grad():
        x = TOY_VAE.model.decode(latent.samples / 0.18215)
    expected = ((x + 1) / 2).clamp(0, 1).permute(0, 2, 3, 1)
    pixels = decode(TOY_VAE, latent).pixels
    assert pixels.shape == (2, 16, 24, 3)
    np.testing.assert_allclose(pixels, expected.numpy(), atol=1e-5)


def test_decode_refuses_a_latent_of_another_model() -> None:
    with pytest.raises(ValueError, match="decode: the latent has 16 channels and the VAE wants 4"):
        decode(TOY_VAE, Latent(torch.zeros(1, 16, 2, 2)))


def test_decode_refuses_what_is_not_finite() -> None:
    with pytest.raises(ValueError, match="decode: the latent is not finite; look at where it"):
        decode(TOY_VAE, Latent(torch.full((1, 4, 2, 2), torch.nan)))


def test_weight_one_changes_nothing() -> None:
    assert torch.equal(encoded("a (red:1.0) cube"), encoded("a red cube"))


def test_a_weight_moves_its_token_away_from_the_empty_prompt() -> None:
    plain, empty, heavy = encoded("a red cube"), encoded(""), encoded("a (red:1.5) cube")
    moved = empty[:, 2] + 1.5 * (plain[:, 2] - empty[:, 2])
    torch.testing.assert_close(heavy[:, 2], moved)
    others = [i for i in range(77) if i != 2]
    torch.testing.assert_close(heavy[:, others], plain[:, others])


def test_the_other_profile_multiplies_and_keeps_the_mean() -> None:
    plain, heavy = encoded("a red cube"), encoded("a (red:1.5) cube", weighting="a1111")
    assert float(heavy.mean()) == pytest.approx(float(plain.mean()), rel=1e-4)
    ratio = heavy / plain
    torch.testing.assert_close(ratio[:, 2], 1.5 * ratio[:, 1])


def test_the_other_profile_leaves_chunks_without_weights_alone() -> None:
    plain = encoded("cat " * 75 + "dog", weighting="a1111")
    heavy = encoded("cat " * 75 + "(dog:3)", weighting="a1111")
    torch.testing.assert_close(heavy[:, :77], plain[:, :77])
    assert float(heavy[:, 77:].mean()) == pytest.approx(float(plain[:, 77:].mean()), rel=1e-4)


def test_a_text_that_is_not_finite_is_refused() -> None:
    model = toys.text_model()
    model.text_model.final_layer_norm.bias.data[0] = torch.inf
    with pytest.raises(ValueError, match="encode_text: the encoded text is not finite; weaken"):
        encode_text(TextEncoder(model, "toy"), text="a")


def test_long_prompts_are_encoded_in_chunks() -> None:
    assert encoded("cat " * 100).shape == (1, 154, 24)
    torch.testing.assert_close(encoded("cat " * 100)[:, :77], encoded("cat " * 75))


def test_plain_weighting_reads_parentheses() -> None:
    assert torch.equal(encoded("a (red:1.5)", weighting="plain"), encoded(r"a \(red:1.5\)"))


def test_the_same_seed_gives_the_same_latent_and_another_seed_another() -> None:
    assert torch.equal(draw(seed=5), draw(seed=5))
    assert not torch.equal(draw(seed=5), draw(seed=6))


def test_the_start_is_the_seeds_noise_times_the_first_sigma() -> None:
    # At denoise 1 and one step, Euler returns x0 = x - sigma * eps of exactly that start.
    starts: list[Tensor] = []

    class Listen:
        """Hear what the network is given first."""

        def prepare(self, inner: Any, schedule: Any, conditionings: Any) -> Any:
            def predict(x: Tensor, step: Any, rows: Any, injection: Any = None) -> Tensor:
                starts.append(x * (1 + step.sigma[0] ** 2) ** 0.5)
                return inner(x, step, rows, injection)  # type: ignore[no-any-return]

            return predict

        def describe(self, schedule: Any) -> str:
            return "listening"

    latent = Latent(torch.ones(2, 4, 8, 8))
    draw(UNET.wrapped(Listen()), latent=latent, seed=2**64 - 1, cfg=1.0, scheduler="normal")
    noise = torch.randn((2, 4, 8, 8), generator=torch.Generator("cpu").manual_seed(2**64 - 1))
    torch.testing.assert_close(starts[0], 1 + 14.6146416 * noise, atol=1e-4, rtol=1e-5)


def test_denoise_of_zero_returns_the_latent() -> None:
    latent = Latent(torch.randn(1, 4, 8, 8))
    assert torch.equal(draw(latent=latent, denoise=0.0), latent.samples)


def test_little_denoise_stays_near_the_latent() -> None:
    latent = Latent(torch.randn(1, 4, 8, 8))
    near, far = (draw(latent=latent, denoise=d) - latent.samples for d in (0.1, 0.9))
    assert near.norm() < far.norm() / 3


def test_integer_timesteps_differ_a_little() -> None:
    a, b = draw(timesteps="fractional"), draw(timesteps="integer")
    assert not torch.equal(a, b)
    assert (a - b).norm() / a.norm() < 0.05


def test_progress_is_told_after_each_step() -> None:
    told: list[tuple[int, int, str]] = []
    draw(context=Context(report=lambda *entry: told.append(entry)))
    assert told == [(i, 4, "") for i in range(5)]


def test_a_run_is_cancelled_between_the_blocks_of_the_network() -> None:
    asked = 0

    def cancelled() -> bool:
        nonlocal asked
        asked += 1
        return asked > 4  # before the first of four steps is done

    with pytest.raises(Cancelled):
        draw(context=Context(cancelled=cancelled))
    assert asked == 5


def test_a_latent_that_is_not_finite_is_one_clear_error() -> None:
    broken = dataclasses.replace(toys.conditioning(0), context=torch.full((1, 77, 24), torch.nan))
    with pytest.raises(ValueError) as caught:
        draw(positive=broken)
    assert str(caught.value) == (
        "sample: the latent is not finite after step 1 of 4; "
        "lower cfg or the controls' strength, or run with --dtype float32"
    )


def test_a_latent_that_is_not_finite_before_the_first_step_is_not_blamed_on_guidance() -> None:
    broken = Latent(torch.full((1, 4, 8, 8), torch.nan))
    with pytest.raises(ValueError, match="sample: the latent to start from is not finite; repair"):
        draw(latent=broken, denoise=0.5)


def test_a_prompt_of_another_text_encoder_is_refused_in_words() -> None:
    with pytest.raises(ValueError) as caught:
        draw(negative=toys.conditioning(0, width=32))
    assert str(caught.value) == (
        "sample: negative is 32 wide and the UNet wants 24; "
        "encode the text with the text encoder of the same checkpoint"
    )


def test_a_latent_of_another_model_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="the latent has 16 channels, the UNet wants 4"):
        draw(latent=Latent(torch.zeros(1, 16, 8, 8)))


def test_every_sampler_and_every_schedule_gives_a_latent_of_its_own() -> None:
    runs = [
        *(draw(sampler=name, scheduler="karras") for name in sorted(SAMPLERS)),
        *(draw(sampler="euler", scheduler=name) for name in sorted(set(SPACINGS) - {"karras"})),
    ]
    assert all(run.shape == (1, 4, 8, 8) and bool(run.isfinite().all()) for run in runs)
    alike = [
        (i, j)
        for i, a in enumerate(runs)
        for j, b in enumerate(runs[:i])
        if torch.allclose(a, b, atol=1e-5, rtol=1e-5)
    ]
    names = sorted(SAMPLERS)
    assert alike == [(names.index("euler"), names.index("ddim"))]  # the same with eta 0


@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_every_sampler_repeats_bit_by_bit(sampler: str) -> None:
    assert torch.equal(draw(sampler=sampler, steps=2), draw(sampler=sampler, steps=2))


def test_eta_says_how_much_noise_is_drawn_anew() -> None:
    plain, full = draw(sampler="ddim"), draw(sampler="ddim", eta=1.0)
    assert not torch.allclose(plain, full)
    torch.testing.assert_close(full, draw(sampler="euler_ancestral"), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(plain, draw(sampler="euler"), atol=1e-4, rtol=1e-4)


def test_results_can_be_trained_with() -> None:
    latent, context = draw(), encoded("a cube")
    assert not latent.is_inference()
    assert not context.is_inference()


def test_a_latent_file_holds_the_record_and_is_read_again(tmp_path: Path) -> None:
    latent = Latent(torch.randn(2, 4, 8, 8))
    (path,) = LatentCodec.write(latent, tmp_path / "a.latent", {"seed": 1})
    assert path == tmp_path / "a.latent.safetensors"
    assert torch.equal(LatentCodec.read(path).samples, latent.samples)
    length = int.from_bytes(path.read_bytes()[:8], "little")
    header = json.loads(path.read_bytes()[8 : 8 + length])
    assert json.loads(header["__metadata__"]["nodegraph"]) == {"seed": 1}


def test_a_file_that_is_no_latent_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "no.safetensors"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match=r"no\.safetensors: .*; give a safetensors file"):
        LatentCodec.read(path)


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64])
def test_a_latent_of_no_fractions_is_refused(tmp_path: Path, dtype: torch.dtype) -> None:
    save_file({"latent": torch.zeros(1, 4, 2, 2, dtype=dtype)}, tmp_path / "l.safetensors")
    with pytest.raises(ValueError, match=f"there is a latent of {dtype}; give a latent's file"):
        LatentCodec.read(tmp_path / "l.safetensors")


def test_latents_are_stored_and_told_apart(tmp_path: Path) -> None:
    latent = Latent(torch.randn(2, 4, 8, 8))
    LatentCodec.dump(latent, tmp_path)
    again = LatentCodec.restore(tmp_path)
    assert LatentCodec.digest(again) == LatentCodec.digest(latent)
    assert LatentCodec.digest(Latent(latent.samples + 1)) != LatentCodec.digest(latent)
    assert LatentCodec.size(latent) == 2 * 4 * 8 * 8 * 4
    assert LatentCodec.describe(latent) == "2 x 4 x 8 x 8"


def test_conditionings_are_stored_and_told_apart(tmp_path: Path) -> None:
    full = Conditioning(torch.randn(1, 77, 24), pooled=torch.randn(1, 8))
    ConditioningCodec.dump(full, tmp_path)
    again = ConditioningCodec.restore(tmp_path)
    assert again.tensors().keys() == {"context", "pooled"}
    assert ConditioningCodec.digest(again) == ConditioningCodec.digest(full)
    assert ConditioningCodec.digest(Conditioning(full.context)) != ConditioningCodec.digest(full)
    assert ConditioningCodec.describe(full) == "77 tokens x 24"


@pytest.mark.parametrize(
    "samples", [torch.zeros(4, 8, 8), torch.zeros(0, 4, 8, 8), torch.zeros(1, 4, 8, 8).double()]
)
def test_a_latent_of_another_kind_is_refused(samples: Tensor) -> None:
    with pytest.raises(ValueError, match=r"latent: .*; give float32"):
        Latent(samples)
