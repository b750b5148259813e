"""Networks read from files of every layout, and what is said of files that do not fit."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from nodegraph import WeightsError
from nodegraph_diffusion.models.clip import CLIPTextConfig, CLIPTextModel
from nodegraph_diffusion.models.controlnet import ControlNetConfig, ControlNetModel
from nodegraph_diffusion.models.unet import UNetConfig, UNetModel
from nodegraph_diffusion.models.vae import AutoencoderKL, VAEConfig
from nodegraph_diffusion.weights import (
    load_checkpoint_file,
    load_controlnet_file,
    load_vae_file,
    save_checkpoint,
    save_controlnet,
    save_vae,
)
from nodegraph_diffusion.weights.configs import bounded
from tests.diffusion.references import (
    HINT_WIDTHS,
    TEXT,
    UNET,
    VAE,
    controlnet_pair,
    fill,
    text_pair,
    unet_pair,
    vae_pair,
)

# As released models are: what shapes do not say has the default value.
SD1_LIKE = UNetConfig(widths=(32, 32, 64, 64), context_width=768)
VAE_LIKE = VAEConfig(widths=(32, 32, 64, 64), blocks=1)
TEXT_LIKE = CLIPTextConfig(width=64, inner_width=96, layers=2, heads=1)
CONTROLNET = ControlNetConfig(UNET, hint_widths=HINT_WIDTHS)


def filled(module: nn.Module) -> Any:
    fill(module)
    return module.eval()


def prefixed(module: nn.Module, prefix: str) -> dict[str, Tensor]:
    return {prefix + name: value.contiguous() for name, value in module.state_dict().items()}


def released() -> dict[str, Tensor]:
    """Return the tensors of a checkpoint as they are released, with what nobody needs."""
    text = filled(CLIPTextModel(TEXT_LIKE))
    return {
        **prefixed(filled(UNetModel(SD1_LIKE)), "model.diffusion_model."),
        **prefixed(filled(AutoencoderKL(VAE_LIKE)), "first_stage_model."),
        **prefixed(text, "cond_stage_model.transformer."),
        "cond_stage_model.transformer.text_model.embeddings.position_ids": torch.arange(77),
        "model_ema.decay": torch.zeros(()),
        "alphas_cumprod": torch.zeros(1000),
        "sqrt_one_minus_alphas_cumprod": torch.zeros(1000),
        "log_one_minus_alphas_cumprod": torch.zeros(1000),
        "posterior_mean_coef1": torch.zeros(1000),
        "betas": torch.zeros(1000),
    }


def same(module: nn.Module, tensors: dict[str, Tensor], prefix: str = "") -> bool:
    """Say whether a module holds the tensors below a prefix, bit by bit."""
    return all(
        torch.equal(value, tensors[prefix + name].reshape(value.shape).to(value.dtype))
        for name, value in module.state_dict().items()
    )


@pytest.mark.parametrize("stored", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_a_released_checkpoint_is_read_in_every_dtype(tmp_path: Path, stored: torch.dtype) -> None:
    tensors = {
        name: value.to(stored) if value.is_floating_point() else value
        for name, value in released().items()
    }
    save_file(tensors, tmp_path / "model.safetensors")
    unet, vae, text = load_checkpoint_file(tmp_path / "model.safetensors")
    assert (unet.config, vae.config, text.config) == (SD1_LIKE, VAE_LIKE, TEXT_LIKE)
    assert same(unet, tensors, "model.diffusion_model.")
    assert same(vae, tensors, "first_stage_model.")
    assert same(text, tensors, "cond_stage_model.transformer.")
    assert next(unet.parameters()).dtype == torch.float32
    assert not any(parameter.requires_grad for parameter in unet.parameters())


def test_a_checkpoint_may_leave_out_one_level_of_its_texts_names(tmp_path: Path) -> None:
    tensors = released()
    shorter = {name.replace("text_model.", ""): value for name, value in tensors.items()}
    save_file(shorter, tmp_path / "model.safetensors")
    text = load_checkpoint_file(tmp_path / "model.safetensors").text
    assert same(text, tensors, "cond_stage_model.transformer.")


def test_a_controlnet_is_found_in_the_checkpoint_it_came_with(tmp_path: Path) -> None:
    control = filled(ControlNetModel(ControlNetConfig(SD1_LIKE, hint_widths=HINT_WIDTHS)))
    path = tmp_path / "both.safetensors"
    save_file({**released(), **prefixed(control, "control_model.")}, path)
    assert same(load_controlnet_file(path), control.state_dict())
    assert load_checkpoint_file(path).unet.config == SD1_LIKE


def test_weights_are_placed_in_the_dtype_asked_for(tmp_path: Path) -> None:
    save_file(released(), tmp_path / "model.safetensors")
    unet, _, text = load_checkpoint_file(tmp_path / "model.safetensors", torch.bfloat16)
    assert {p.dtype for p in [*unet.parameters(), *text.parameters()]} == {torch.bfloat16}
    convolution = unet.get_parameter("input_blocks.0.0.weight")
    assert convolution.is_contiguous(memory_format=torch.channels_last)


def test_a_tensor_that_needs_no_change_stays_mapped_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file(released(), path)
    _, _, text = load_checkpoint_file(path)
    address = text.text_model.embeddings.token_embedding.weight.data_ptr()
    assert str(path) in mapping_at(address)


def mapping_at(address: int) -> str:
    for line in Path("/proc/self/maps").read_text().splitlines():
        start, end = (int(part, 16) for part in line.split()[0].split("-"))
        if start <= address < end:
            return line
    return ""


def test_weights_do_not_take_the_place_of_another_file(tmp_path: Path) -> None:
    path = tmp_path / "thesis.docx"
    path.write_text("long work")
    with pytest.raises(WeightsError, match=r"write 'thesis.safetensors'"):
        save_controlnet(path, ControlNetModel(CONTROLNET), "toy")
    assert path.read_text() == "long work"


def test_what_is_saved_is_read_again(tmp_path: Path) -> None:
    unet, vae = filled(UNetModel(replace(UNET, prediction="v"))), filled(AutoencoderKL(VAE))
    text = filled(CLIPTextModel(replace(TEXT, rows=40)))
    text.text_model.embeddings.token_rows[5] = 39
    path = tmp_path / "mine.safetensors"
    save_checkpoint(path, unet, vae, text, "toy", notes={"step": "12"})
    loaded = load_checkpoint_file(path)
    assert [m.config for m in loaded] == [unet.config, vae.config, text.config]
    assert same(loaded.unet, {k: v.half() for k, v in unet.state_dict().items()})
    assert int(loaded.text.text_model.embeddings.token_rows[5]) == 39
    assert [p.name for p in tmp_path.iterdir()] == ["mine.safetensors"]
    config = json.loads(metadata(path)["nodegraph.config"])
    assert (config["family"], metadata(path)["step"]) == ("toy", "12")


def metadata(path: Path) -> dict[str, str]:
    from nodegraph_diffusion.probe import read_header

    return read_header(path).metadata


def test_a_saved_file_may_be_read_as_any_new_file_may(tmp_path: Path) -> None:
    save_vae(tmp_path / "v.safetensors", AutoencoderKL(VAE), "toy")
    (tmp_path / "plain").touch()
    modes = {path.stat().st_mode for path in tmp_path.iterdir()}
    assert len(modes) == 1


def test_a_link_in_the_place_of_a_draft_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    (tmp_path / f".v.safetensors.{os.getpid()}").symlink_to("mine")
    save_vae(tmp_path / "v.safetensors", AutoencoderKL(VAE), "toy")
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_weight_that_does_not_fit_the_dtype_is_not_saved(tmp_path: Path) -> None:
    control = ControlNetModel(CONTROLNET)
    with torch.no_grad():
        control.get_parameter("middle_block_out.0.bias")[0] = 1e6
    with pytest.raises(WeightsError, match=r"middle_block_out\.0\.bias: is not finite as"):
        save_controlnet(tmp_path / "c.safetensors", control, "toy")
    assert list(tmp_path.iterdir()) == []


def as_control_model(tensors: dict[str, Tensor], theirs: Any, folder: Path) -> Path:
    save_file({f"control_model.{k}": v for k, v in tensors.items()}, folder / "c.safetensors")
    return folder / "c.safetensors"


def as_bare_names(tensors: dict[str, Tensor], theirs: Any, folder: Path) -> Path:
    save_file(tensors, folder / "c.safetensors")
    return folder / "c.safetensors"


def as_diffusers_file(tensors: dict[str, Tensor], theirs: Any, folder: Path) -> Path:
    theirs.save_pretrained(folder)
    return folder / "diffusion_pytorch_model.safetensors"


def as_diffusers_folder(tensors: dict[str, Tensor], theirs: Any, folder: Path) -> Path:
    theirs.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    "layout", [as_control_model, as_bare_names, as_diffusers_file, as_diffusers_folder]
)
def test_a_controlnet_is_read_in_every_layout(
    tmp_path: Path, layout: Callable[[dict[str, Tensor], Any, Path], Path]
) -> None:
    config = ControlNetConfig(SD1_LIKE, hint_widths=HINT_WIDTHS)
    ours, theirs = controlnet_pair(replace(config, unet=replace(SD1_LIKE, heads=8)), torch.float32)
    tensors = {name: value.contiguous() for name, value in ours.state_dict().items()}
    loaded = load_controlnet_file(layout(tensors, theirs, tmp_path))
    assert loaded.controlnet_config == config
    assert same(loaded, tensors)


def test_a_saved_controlnet_is_read_again(tmp_path: Path) -> None:
    control = filled(ControlNetModel(CONTROLNET))
    save_controlnet(tmp_path / "c.safetensors", control, "toy", dtype=torch.float32)
    loaded = load_controlnet_file(tmp_path / "c.safetensors")
    assert loaded.controlnet_config == CONTROLNET
    assert same(loaded, control.state_dict())


@pytest.mark.parametrize("dtype", [torch.int64, torch.int8, torch.uint8, torch.bool])
def test_a_weight_of_whole_numbers_is_refused(tmp_path: Path, dtype: torch.dtype) -> None:
    tensors = {**filled(AutoencoderKL(VAE_LIKE)).state_dict()}
    tensors["decoder.conv_in.bias"] = tensors["decoder.conv_in.bias"].to(dtype)
    save_file(tensors, tmp_path / "vae.safetensors")
    said = rf"vae\.safetensors: tensor 'decoder\.conv_in\.bias' is {str(dtype)[6:]}, where weights"
    with pytest.raises(WeightsError, match=said):
        load_vae_file(tmp_path / "vae.safetensors")


@pytest.mark.parametrize("prefix", ["first_stage_model.", ""])
def test_a_vae_is_read_by_itself(tmp_path: Path, prefix: str) -> None:
    tensors = prefixed(filled(AutoencoderKL(VAE_LIKE)), prefix)
    extra = {"loss.logvar": torch.zeros(()), "model_ema.decay": torch.zeros(())}
    save_file({**tensors, **({} if prefix else extra)}, tmp_path / "vae.safetensors")
    loaded = load_vae_file(tmp_path / "vae.safetensors")
    assert loaded.config == VAE_LIKE
    assert same(loaded, tensors, prefix)


def test_a_saved_vae_is_read_again(tmp_path: Path) -> None:
    vae = filled(AutoencoderKL(VAE))
    save_vae(tmp_path / "v.safetensors", vae, "toy", dtype=torch.float32)
    assert same(load_vae_file(tmp_path / "v.safetensors"), vae.state_dict())


@pytest.mark.parametrize("names", ["now", "before 0.18"])
def test_a_vae_in_diffusers_layout_is_read(tmp_path: Path, names: str) -> None:
    ours, theirs = vae_pair(VAE, torch.float32)
    theirs.save_pretrained(tmp_path)
    if names != "now":
        path = tmp_path / "diffusion_pytorch_model.safetensors"
        save_file({old_name(k): v for k, v in load_file(path).items()}, path)
    loaded = load_vae_file(tmp_path)
    assert loaded.config == VAE
    assert same(loaded, ours.state_dict())


def old_name(name: str) -> str:
    if ".attentions." not in name:
        return name
    pairs = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    for new, old in pairs.items():
        name = name.replace(f".{new}.", f".{old}.")
    return name


def save_folder(folder: Path, **scheduler: Any) -> dict[str, nn.Module]:
    """Write a model folder as diffusers does; return our networks with the same weights."""
    unet, their_unet = unet_pair(UNET, torch.float32)
    vae, their_vae = vae_pair(VAE, torch.float32)
    text, their_text = text_pair(TEXT, torch.float32)
    their_unet.save_pretrained(folder / "unet")
    their_vae.save_pretrained(folder / "vae")
    their_text.save_pretrained(folder / "text_encoder")
    DDIMScheduler(**scheduler).save_pretrained(folder / "scheduler")
    (folder / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    return {"unet": unet, "vae": vae, "text": text}


def test_a_folder_in_diffusers_layout_is_read(tmp_path: Path) -> None:
    expected = save_folder(tmp_path, prediction_type="v_prediction")
    loaded = load_checkpoint_file(tmp_path)
    for ours, name in zip(loaded, ("unet", "vae", "text"), strict=True):
        assert same(ours, expected[name].state_dict())
    assert loaded.unet.config == replace(UNET, prediction="v")
    assert (loaded.vae.config, loaded.text.config) == (VAE, TEXT)


def test_a_folder_may_lack_its_scheduler(tmp_path: Path) -> None:
    save_folder(tmp_path)
    (tmp_path / "scheduler" / "scheduler_config.json").unlink()
    assert load_checkpoint_file(tmp_path).unet.config.prediction == "eps"


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ("unet", {"act_fn": "gelu"}, "act_fn is 'gelu' and only 'silu' is supported"),
        ("unet", {"attention_head_dim": [1, 2]}, r"attention_head_dim \[1, 2\] does not fit"),
        ("unet", {"norm_num_groups": 0}, "norm_num_groups is 0; it must be a positive integer"),
        ("unet", {"norm_num_groups": 7}, "states a UNet that cannot be built"),
        ("vae", {"scaling_factor": "x"}, "scaling_factor is 'x'; it must be a positive number"),
        ("vae", {"shift_factor": 0.1}, "shift_factor is 0.1 and only None is supported"),
        ("text_encoder", {"hidden_act": "relu"}, "hidden_act is 'relu'"),
    ],
)
def test_a_folder_with_settings_that_nobody_supports_is_refused(
    tmp_path: Path, part: str, change: dict[str, Any], message: str
) -> None:
    save_folder(tmp_path)
    path = tmp_path / part / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(WeightsError, match=message):
        load_checkpoint_file(tmp_path)


def test_a_folder_of_pickles_is_refused(tmp_path: Path) -> None:
    save_folder(tmp_path)
    weights = tmp_path / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(WeightsError, match="unet: holds only pickled weights, which can run any"):
        load_checkpoint_file(tmp_path)


def test_a_folder_without_one_of_its_parts_is_refused(tmp_path: Path) -> None:
    save_folder(tmp_path)
    (tmp_path / "vae").rename(tmp_path / "elsewhere")
    with pytest.raises(WeightsError, match="has no folder vae; download it again"):
        load_checkpoint_file(tmp_path)


def test_missing_surplus_and_misshapen_tensors_are_named_and_counted(tmp_path: Path) -> None:
    tensors = released()
    unet = "model.diffusion_model."
    for name in ("out.2.bias", "time_embed.0.bias"):
        del tensors[unet + name]
    for i in range(5):
        tensors[f"{unet}extra.{i}"] = torch.zeros(1)
    tensors[unet + "out.0.bias"] = torch.zeros(7)
    path = tmp_path / "model.safetensors"
    save_file(tensors, path)
    with pytest.raises(WeightsError) as raised:
        load_checkpoint_file(path)
    assert str(raised.value) == (
        "model.safetensors: does not hold the UNet it seems to be: "
        "2 tensors are missing (time_embed.0.bias, out.2.bias), "
        "5 tensors are not known (extra.0, extra.1, extra.2 and 2 more), "
        "1 tensor has another shape (out.0.bias [7] instead of [32]); "
        "the file is damaged or of another model"
    )


def test_tensors_of_no_network_are_named_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({**released(), "lora_te.alpha": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match=r"1 tensors? .* \(lora_te.alpha\)"):
        load_checkpoint_file(path)


def test_a_controlnet_given_as_a_checkpoint_is_refused(tmp_path: Path) -> None:
    control = ControlNetModel(CONTROLNET)
    save_controlnet(tmp_path / "c.safetensors", control, "toy")
    with pytest.raises(WeightsError, match=r"c\.safetensors: .*is missing; the file is damaged"):
        load_checkpoint_file(tmp_path / "c.safetensors")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("lora_controlnet", "a Control-LoRA"),
        ("difference", "a difference to a UNet"),
        ("task_embedding", "a union of several ControlNets"),
    ],
)
def test_a_controlnet_of_a_kind_not_supported_is_refused_by_name(
    tmp_path: Path, name: str, kind: str
) -> None:
    path = tmp_path / "c.safetensors"
    save_file({name: torch.zeros(1), "input_blocks.0.0.weight": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match=f"is {kind}, which is not supported yet"):
        load_controlnet_file(path)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("[", "its nodegraph.config is not JSON"),
        ("[1]", "its nodegraph.config is no JSON object"),
        ('{"vae": {"blocks": 1, "wings": 2}}', "the unknown entry 'wings'"),
        ('{"vae": {"blocks": "many"}}', "its configuration is wrong at 'blocks'"),
        ('{"vae": {"blocks": 100000}}', "describes a network of 400000 blocks"),
        ('{"vae": {"norm_groups": 7}}', "states a VAE that cannot be built"),
        ('{"vae": {"widths": [0, 0, 0, 0]}}', "has the size 0"),
        ('{"vae": {"latent_channels": -4}}', "has the size -4"),
        ('{"vae": {"widths": []}}', "describes a network of 0 blocks"),
        ('{"vae": {"scale_factor": 0}}', "scales latents by 0.0; it is damaged"),
        ('{"vae": {"scale_factor": NaN}}', "scales latents by nan"),
        ('{"vae": {"scale_factor": 1e999}}', "scales latents by inf"),
        ('{"vae": {"in_channels": 1}}', "codes pictures of 1 channels, not 3"),
        ('{"vae": 3}', "its configuration is wrong at"),
    ],
)
def test_a_bad_configuration_in_a_file_is_refused(
    tmp_path: Path, config: str, message: str
) -> None:
    path = tmp_path / "v.safetensors"
    tensors = prefixed(AutoencoderKL(VAE_LIKE), "first_stage_model.")
    save_file(tensors, path, {"nodegraph.config": config})
    with pytest.raises(WeightsError, match=message):
        load_vae_file(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"heads": 7}, "splits 24 channels into 7 attention heads"),
        ({"positions": 2}, "has places for 2 tokens"),
    ],
)
def test_a_text_encoder_that_could_not_compute_is_refused(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(WeightsError, match=message):
        bounded(replace(TEXT, **changes), "c.safetensors")


@pytest.mark.parametrize(
    "changes", [{"heads": 7}, {"heads": None, "head_width": 1000}, {"heads": None, "head_width": 5}]
)
def test_a_unet_whose_heads_do_not_fit_is_refused(changes: dict[str, Any]) -> None:
    for config in (replace(UNET, **changes), ControlNetConfig(replace(UNET, **changes))):
        with pytest.raises(WeightsError, match=r"channels into .* attention heads"):
            bounded(config, "c.safetensors")


@pytest.mark.parametrize("row", [-1, 10, 2**31 - 1])
def test_a_table_of_words_that_names_no_rows_is_refused(tmp_path: Path, row: int) -> None:
    path, text = tmp_path / "c.safetensors", CLIPTextModel(replace(TEXT, rows=10))
    text.text_model.embeddings.token_rows[5] = row
    save_checkpoint(path, UNetModel(UNET), AutoencoderKL(VAE), text, "toy")
    with pytest.raises(WeightsError, match="its token_rows name no rows of its 10; it is damaged"):
        load_checkpoint_file(path)
