"""Runs that begin from given weights: nothing is lost, all is exact and named in the plan."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from nodegraph_diffusion.models.clip import CLIPTextModel
from nodegraph_diffusion.models.controlnet import ControlNetModel
from nodegraph_diffusion.models.unet import UNetModel
from nodegraph_diffusion.tokens import START, tokenizer
from nodegraph_training.errors import TrainingError
from nodegraph_training.latents import digest
from nodegraph_training.loop import train
from nodegraph_training.stages import train_control, train_text_to_image
from nodegraph_training.start import TextToImageRecipe
from nodegraph_training.text_to_image import TextToImage
from nodegraph_training.words import forget_some, ids_of, install, unknown_id, vocabulary
from tests.training.test_control import HINTS
from tests.training.test_resume import state
from tests.training.test_stages import small_vae
from tests.training.toys import TEXT, UNET, LineTask, Squares, locked, quick

Pair = tuple[UNetModel, CLIPTextModel]


def given() -> Pair:
    """Return a UNet and a text encoder that knows the words of the squares."""
    torch.manual_seed(2)
    known = vocabulary(Squares(), tokenizer(), 0)
    text = CLIPTextModel(replace(TEXT, rows=len(known) + 1))
    install(text, known)
    return UNetModel(UNET), text


def further(folder: Path, steps: int, begin: Pair, **changes: object) -> TextToImage:
    settings, recipe = quick(steps, **changes), TextToImageRecipe(UNET, TEXT)
    unet, text, _ = train_text_to_image(
        Squares(), small_vae(), recipe, settings, folder, begin=begin, prompts=["a square"]
    )
    return TextToImage(unet, text)


def same(a: nn.Module, b: nn.Module) -> bool:
    """Tell whether two models hold the same tensors, bit for bit."""
    ours, theirs = a.state_dict(), b.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


@torch.no_grad()
def farthest(a: nn.Module, b: nn.Module) -> float:
    """Return how far the weight that differs most has moved."""
    pairs = zip(a.parameters(), b.parameters(), strict=True)
    return max(float((ours - theirs).abs().max()) for ours, theirs in pairs)


def trained_controlnet(unet: UNetModel) -> ControlNetModel:
    """Return a ControlNet none of whose convolutions is zero any more."""
    model = ControlNetModel.from_unet(unet, HINTS)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.02 * torch.randn_like(weight))
    return model


def plan(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / "plan.json").read_text())
    return found


def test_no_step_gives_the_same_weights_back(tmp_path: Path) -> None:
    begin = given()
    assert same(further(tmp_path / "words", 3, begin, stop=0), TextToImage(*begin))
    parts = locked()
    control = trained_controlnet(parts[0])
    stopped, folder = quick(3, stop=0), tmp_path / "control"
    found, _ = train_control(Squares(), "canny", parts, stopped, folder, begin=control)
    assert same(found, control)


def test_the_given_weights_stay_and_the_run_moves_on_from_them(tmp_path: Path) -> None:
    begin, untouched = given(), TextToImage(*given())
    found = further(tmp_path, 3, begin)
    assert same(TextToImage(*begin), untouched)
    assert not same(found, untouched)
    assert 0 < farthest(found, untouched) < 0.01


def test_a_further_run_that_was_broken_off_equals_an_unbroken_one(tmp_path: Path) -> None:
    further(tmp_path / "whole", 4, given())
    further(tmp_path / "broken", 4, given(), stop=2)
    further(tmp_path / "broken", 4, given())
    whole, broken = state(tmp_path / "whole"), state(tmp_path / "broken")
    assert whole.keys() == broken.keys()
    assert all(torch.equal(whole[name], broken[name]) for name in whole)


def test_the_words_keep_their_rows(tmp_path: Path) -> None:
    unet, text = given()
    rows = text.text_model.embeddings.token_rows
    rows[rows > 0] = rows.max() + 1 - rows[rows > 0]  # another order than a fresh table has
    found = further(tmp_path, 1, (unet, text))
    assert torch.equal(found.text.text_model.embeddings.token_rows, rows)


def test_the_plan_names_what_a_run_began_from_and_refuses_others(tmp_path: Path) -> None:
    begin = given()
    further(tmp_path, 3, begin, stop=1)
    assert plan(tmp_path)["begun_from"] == digest(TextToImage(*begin))
    begin[0].out[2].bias.data.add_(1)  # type: ignore[operator]
    with pytest.raises(TrainingError, match=r"holds a run with begun_from = '\w{16}', not '\w"):
        further(tmp_path, 3, begin)


def test_a_run_from_scratch_names_no_origin(tmp_path: Path) -> None:
    train_control(Squares(), "canny", locked(), quick(1), tmp_path, hint_widths=HINTS)
    assert "begun_from" not in plan(tmp_path)


def test_a_controlnet_goes_on_from_its_own_weights(tmp_path: Path) -> None:
    parts = locked()
    control = trained_controlnet(parts[0])
    found, _ = train_control(Squares(), "canny", parts, quick(2), tmp_path, begin=control)
    assert plan(tmp_path)["begun_from"] == digest(control)
    assert plan(tmp_path)["hint_widths"] == list(HINTS)
    assert 0 < farthest(found, control) < 0.02


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"context_width": 24}, r"takes a context of 24 channels, the text encoder gives 16"),
        ({"in_channels": 9}, r"takes 9 channels, the latents of the VAE have 4"),
        ({"vector_width": 8}, r"needs vectors beside the text, as SDXL does"),
    ],
)
def test_networks_that_cannot_learn_together_are_refused(
    tmp_path: Path, changes: dict[str, int], message: str
) -> None:
    unet = UNetModel(replace(UNET, **changes))  # type: ignore[arg-type]
    with pytest.raises(TrainingError, match=message):
        further(tmp_path, 1, (unet, given()[1]))


def test_a_text_encoder_without_the_words_of_the_captions_is_refused(tmp_path: Path) -> None:
    text = CLIPTextModel(replace(TEXT, rows=3))
    install(text, [START, START + 1])
    with pytest.raises(TrainingError, match=r"6 of the 8 tokens of the captions share one row"):
        further(tmp_path, 1, (given()[0], text))


def test_a_text_encoder_with_a_row_for_every_id_learns_without_hidden_words(tmp_path: Path) -> None:
    text = CLIPTextModel(TEXT)
    assert unknown_id(text) is None
    ids = ids_of(["a square"] * 50, tokenizer())
    assert torch.equal(forget_some(ids, None, torch.Generator()), ids)
    assert not same(further(tmp_path, 1, (given()[0], text)).text, text)


def test_a_controlnet_of_another_unet_is_refused_by_its_layer(tmp_path: Path) -> None:
    other = ControlNetModel.from_unet(UNetModel(replace(UNET, widths=(16, 32))), HINTS)
    with pytest.raises(TrainingError, match=r"controlnet: 'input_blocks.* for this UNet; begin"):
        train_control(Squares(), "canny", locked(), quick(1), tmp_path, begin=other)


def test_kernels_that_lie_channels_last_are_moved_like_others(tmp_path: Path) -> None:
    # 4 x 16 x 3 x 3 is left to AdamW, whose fused kernel takes gradients in order of memory
    states = []
    for name, layout in (("plain", torch.contiguous_format), ("last", torch.channels_last)):
        begin = given()
        begin[0].to(memory_format=layout)  # type: ignore[call-overload]
        further(tmp_path / name, 2, begin)
        states.append(state(tmp_path / name))
    plain, last = states
    assert all(torch.equal(plain[name], last[name]) for name in plain)


def test_a_run_may_stop_before_its_first_step(tmp_path: Path) -> None:
    done = train(LineTask(), quick(4, stop=0), tmp_path)
    assert done.step == 0
    assert done.preview is None
    assert done.curve.is_file()
    assert train(LineTask(), quick(4), tmp_path).step == 4
