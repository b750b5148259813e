"""The stages from pictures to a model that draws, at toy size."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nodegraph_diffusion.models.clip import CLIPTextModel
from nodegraph_diffusion.models.vae import AutoencoderKL
from nodegraph_diffusion.tokens import END, START, tokenizer
from nodegraph_training.errors import TrainingError
from nodegraph_training.latents import digest, encode_all, scale_factor
from nodegraph_training.log import read
from nodegraph_training.noise import diffusion_loss, noised, trained_sigmas
from nodegraph_training.stages import train_text_to_image, train_vae
from nodegraph_training.start import TextToImageRecipe
from nodegraph_training.vae import crops, reconstruction_loss
from nodegraph_training.words import ids_of, install, vocabulary
from tests.training.toys import TEXT, UNET, VAE, Squares, quick


def small_vae() -> AutoencoderKL:
    torch.manual_seed(0)
    return AutoencoderKL(VAE).requires_grad_(False)


def test_an_autoencoder_learns_its_pictures(tmp_path: Path) -> None:
    settings = quick(60, rate=5e-3, batch=8)
    vae, _ = train_vae(Squares(), VAE, settings, tmp_path, crop=16)
    lines = read(tmp_path / "log.jsonl")
    assert np.mean([line["psnr"] for line in lines[-5:]]) > lines[0]["psnr"] + 4
    assert vae.config.scale_factor == pytest.approx(scale_factor(vae, Squares()))


def test_scaled_latents_have_unit_variance(tmp_path: Path) -> None:
    vae = small_vae()
    vae.config = replace(vae.config, scale_factor=scale_factor(vae, Squares()))
    latents = encode_all(vae, Squares(), tmp_path / "l.safetensors", settings=quick(1))
    assert float(latents.float().std()) == pytest.approx(1.0, abs=0.01)


def test_latents_are_computed_once(tmp_path: Path) -> None:
    place = tmp_path / "l.safetensors"
    first = encode_all(small_vae(), Squares(), place, settings=quick(1, workers=2))
    changed = place.stat().st_mtime_ns
    assert torch.equal(encode_all(small_vae(), Squares(), place, settings=quick(1)), first)
    assert place.stat().st_mtime_ns == changed


def test_latents_of_another_autoencoder_are_refused(tmp_path: Path) -> None:
    place = tmp_path / "l.safetensors"
    encode_all(small_vae(), Squares(), place, settings=quick(1))
    other = small_vae()
    other.encoder.conv_in.weight.mul_(2)
    with pytest.raises(TrainingError, match=r"of other pictures or of another VAE; delete it"):
        encode_all(other, Squares(), place, settings=quick(1))


def test_a_digest_outlives_half_precision() -> None:
    vae = small_vae()
    assert digest(vae) == digest(small_vae().half().float())


def test_unet_and_text_learn_and_the_samples_are_drawn(tmp_path: Path) -> None:
    vae = small_vae()
    vae.config = replace(vae.config, scale_factor=scale_factor(vae, Squares()))
    settings = quick(40, batch=8, rate=3e-3)
    recipe = TextToImageRecipe(UNET, TEXT)
    unet, text, done = train_text_to_image(Squares(), vae, recipe, settings, tmp_path)
    losses = [line["loss"] for line in read(tmp_path / "log.jsonl")]
    assert np.mean(losses[-8:]) < 0.8 * np.mean(losses[:8])
    assert done.preview is not None
    assert done.preview.is_file()
    assert unet.config.prediction == "v"
    assert text.config.rows == len(vocabulary(Squares(), tokenizer(), 0)) + 1


def test_the_velocity_leads_back_to_the_clean_latent() -> None:
    generator = torch.Generator().manual_seed(0)
    latent, sigmas = torch.randn(64, 4, 8, 8), trained_sigmas()
    batch = noised(latent, sigmas, "v", generator)
    ratio = sigmas[batch.timesteps].view(-1, 1, 1, 1)
    alpha = (1 + ratio**2).rsqrt()
    clean = alpha * batch.x - ratio * alpha * batch.target
    torch.testing.assert_close(clean, latent, atol=1e-4, rtol=1e-4)


def test_every_part_of_the_schedule_is_visited_once_in_a_batch() -> None:
    generator = torch.Generator().manual_seed(0)
    batch = noised(torch.randn(50, 4, 2, 2), trained_sigmas(), "v", generator)
    assert sorted(int(step) // 20 for step in batch.timesteps) == list(range(50))


@pytest.mark.parametrize("prediction", ["v", "eps"])
def test_the_weights_are_those_of_min_snr(prediction: str) -> None:
    generator = torch.Generator().manual_seed(0)
    sigmas = trained_sigmas()
    batch = noised(torch.randn(50, 4, 2, 2), sigmas, prediction, generator)
    snr = sigmas[batch.timesteps] ** -2
    expected = snr.clamp(max=5) / (snr + 1 if prediction == "v" else snr)
    torch.testing.assert_close(batch.weight.flatten(), expected)
    assert float(diffusion_loss(batch.target, batch)) == 0.0


def test_known_words_have_rows_and_all_others_share_one() -> None:
    encode = tokenizer()
    known = vocabulary(Squares(), encode, 0)
    assert {START, END} < set(known)
    model = CLIPTextModel(replace(TEXT, rows=len(known) + 1))
    install(model, known)
    rows = model.text_model.embeddings.token_rows
    assert sorted(rows[known].tolist()) == list(range(1, len(known) + 1))
    zebra, yacht = (int(ids_of([word], encode)[0, 1]) for word in ("zebra", "yacht"))
    assert rows[zebra] == rows[yacht] == 0


def test_most_crops_hold_an_edge() -> None:
    picture = np.zeros((1, 128, 128, 3), np.uint8)
    picture[:, 100:110, 100:110] = 255
    rng = np.random.default_rng(0)
    with_edge = [bool(crops(picture, 16, rng).any()) for _ in range(100)]
    assert 65 <= sum(with_edge) <= 95


def test_a_perfect_round_trip_costs_only_its_latent() -> None:
    x = torch.rand(2, 3, 16, 16) * 2 - 1
    zero = torch.zeros(2, 4, 2, 2)
    loss, numbers = reconstruction_loss(x, x, zero, zero)
    assert float(loss) == 0.0
    assert numbers["psnr"] > 100
