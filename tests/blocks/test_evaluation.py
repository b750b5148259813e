"""The evaluation as a whole, with small random models: ceilings, equal noise, and what is shown."""

from pathlib import Path

import pytest
import torch

from nodegraph import Context
from nodegraph.context import Cancelled
from nodegraph_blocks.annotator import Annotator
from nodegraph_blocks.evaluation import TRIP, TRUE, Evaluation, Models, Sampling, evaluate_models
from nodegraph_blocks.evaluation import make_sheet as sheet_of
from nodegraph_blocks.heldout import heldout_scenes
from nodegraph_blocks.report import Report, ReportCodec
from nodegraph_diffusion import VAE, ControlNet, TextEncoder, UNet
from nodegraph_diffusion.models.clip import CLIPTextConfig, CLIPTextModel
from nodegraph_diffusion.models.controlnet import ControlNetModel
from nodegraph_diffusion.models.unet import UNetConfig, UNetModel
from nodegraph_diffusion.models.vae import AutoencoderKL, VAEConfig


@pytest.fixture(scope="module")
def models() -> Models:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = UNetConfig(widths=(16, 16, 16, 16), heads=2, context_width=16, norm_groups=4)
        unet = UNetModel(config).eval().requires_grad_(False)
        control = ControlNetModel.from_unet(unet, (4, 4, 8, 8)).eval().requires_grad_(False)
        vae = AutoencoderKL(VAEConfig(widths=(8, 8, 8, 8), blocks=1, norm_groups=4)).eval()
        text = CLIPTextModel(CLIPTextConfig(width=16, inner_width=16, layers=1, heads=2)).eval()
    return Models(
        UNet(unet, "blocks"),
        VAE(vae.requires_grad_(False), "blocks"),
        TextEncoder(text.requires_grad_(False), "blocks"),
        {"canny": ControlNet(control, "blocks")},
    )


@pytest.fixture(scope="module")
def evaluation(models: Models) -> Evaluation:
    sampling = Sampling(steps=1, batch=2)
    annotator = Annotator().eval()
    return evaluate_models(models, annotator, heldout_scenes()[:3], sampling, Context())


def test_every_control_is_measured_under_both_prompts_and_below_two_ceilings(
    evaluation: Evaluation,
) -> None:
    assert list(evaluation.rows) == [
        TRUE,
        TRIP,
        "canny, true prompt",
        "canny, contrary prompt",
        "no control, true prompt",
        "no control, contrary prompt",
    ]


def test_true_renders_have_the_edges_of_their_hints(evaluation: Evaluation) -> None:
    assert evaluation.rows[TRUE]["edge_f1"] == 1
    assert evaluation.rows[TRUE]["edge_retrieval"] == 1


def test_rows_share_their_noise_so_that_a_zero_control_changes_nothing(
    evaluation: Evaluation,
) -> None:
    pictures = evaluation.pictures
    assert (pictures["canny, true prompt"] == pictures["no control, true prompt"]).all()


def test_each_scene_has_noise_of_its_own(evaluation: Evaluation) -> None:
    first, second, third = evaluation.pictures["no control, true prompt"]
    assert (first != second).any()
    assert (first != third).any()


def test_a_contrary_prompt_is_another_prompt(evaluation: Evaluation) -> None:
    for prompt, other in zip(evaluation.prompts, evaluation.contrary, strict=True):
        assert prompt != other


def test_the_sheet_shows_every_row_and_both_hints(evaluation: Evaluation) -> None:
    _, height, width, _ = sheet_of(evaluation).pixels.shape
    assert height > (len(evaluation.rows) + 2) * 128
    assert width >= 3 * 128


def test_a_report_is_written_read_and_shown(evaluation: Evaluation, tmp_path: Path) -> None:
    report = Report({"count": 3}, evaluation.rows)
    (path,) = ReportCodec.write(report, tmp_path / "report", {"why": "a test"})
    again = ReportCodec.read(path)
    assert again.rows == report.rows
    table = ReportCodec.describe(again).splitlines()
    assert table[0] == "3 scenes"
    assert len({len(line) for line in table[1:]}) == 1
    assert len(table) == 3 + len(evaluation.rows)


@pytest.mark.parametrize(
    "text",
    [
        *("[]", "3", "{", "[" * 100_000, "\udcff", '{"settings": {}, "rows": {}}'),
        *('{"settings": 3, "rows": 4}', '{"settings": {}, "rows": {"a": 3}}'),
        '{"settings": {}, "rows": {"a": {"edge_f1": "x"}}}',
    ],
)
def test_what_is_no_report_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError, match="it is no report"):
        ReportCodec.read(path)


def test_it_can_be_stopped_before_the_first_picture(models: Models) -> None:
    asked: list[str] = []
    context = Context(
        report=lambda done, total, said: asked.append(said), cancelled=lambda: len(asked) > 2
    )
    with pytest.raises(Cancelled):
        evaluate_models(models, Annotator(), heldout_scenes()[:9], Sampling(), context)
    assert asked == ["rendering"] * 3
