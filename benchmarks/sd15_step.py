"""One step of SD1.5 with ControlNets, ours beside diffusers' with the same weights, as a ratio.

    python benchmarks/sd15_step.py --dtype bfloat16 --controls 1

Weights are random, since only time is measured. Both run in turn in one process, so that what else
the machine does hits both. Theirs runs as people run it; `--channels-last` gives it our layout of
the convolutions' weights. Needs 7 GB of memory in bfloat16 and 12 GB in float32. What is computed
once per run (the hint's embedding, keys and values of the text) is printed apart, as "prepare".
"""

import argparse
import resource
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from diffusers.models.controlnets.controlnet import ControlNetModel as TheirControlNet
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn

from nodegraph_diffusion.conditioning import Conditioning
from nodegraph_diffusion.control import Control
from nodegraph_diffusion.guidance import Guided
from nodegraph_diffusion.models.controlnet import ControlNetConfig, ControlNetModel
from nodegraph_diffusion.models.unet import UNetConfig, UNetModel
from nodegraph_diffusion.predictor import UNet
from nodegraph_diffusion.samplers.denoiser import network_input
from nodegraph_diffusion.schedule import make_schedule
from nodegraph_diffusion.weights.layout import Structure, controlnet_table, rename, unet_table
from nodegraph_diffusion.window import Window

SIGMA = 1.6161
STRUCTURE = Structure(4, 2, (True, True, True, False))


def build(make: Callable[[], nn.Module], dtype: torch.dtype, device: str) -> Any:
    """Return a network with random weights, laid out as `load_checkpoint` does."""
    with torch.device("meta"):
        model = make().to(dtype=dtype)
    model = model.to_empty(device=device).requires_grad_(False).eval()
    for value in model.state_dict().values():
        spread = max(value[0].numel(), 1) ** -0.5 if value.dim() > 1 else 0.05
        value.uniform_(-spread, spread)
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def twin(
    ours: nn.Module, make: Callable[[], nn.Module], table: dict[str, str], channels_last: bool
) -> Any:
    """Return their network with our weights; the convolutions' copied unless `channels_last`."""
    with torch.device("meta"):
        theirs = make()
    shapes = {name: value.shape for name, value in theirs.state_dict().items()}
    renamed = {rename(name, table): value for name, value in ours.state_dict().items()}
    state = {name: value.reshape(shapes[name]) for name, value in renamed.items()}
    if not channels_last:
        state = {name: value.contiguous() for name, value in state.items()}
    theirs.load_state_dict(state, assign=True)
    return theirs.requires_grad_(False).eval()


def their_step(
    unet: Any, controlnet: Any, controls: int, hint: Tensor, context: Tensor, cfg: float
) -> Callable[[Tensor], Tensor]:
    """Return one step as diffusers' ControlNet pipeline takes it, without its scheduler."""
    t = torch.tensor(499)

    def step(x: Tensor) -> Tensor:
        inputs = torch.cat([network_input(x, SIGMA)] * 2).to(context.dtype)
        down: list[Tensor] | None = None
        middle: Tensor | None = None
        for _ in range(controls):
            more, more_middle = controlnet(
                inputs, t, context, torch.cat([hint] * 2), 1.0, return_dict=False
            )
            down = more if down is None else [a + b for a, b in zip(down, more, strict=True)]
            middle = more_middle if middle is None else middle + more_middle
        eps = unet(
            inputs,
            t,
            encoder_hidden_states=context,
            down_block_additional_residuals=down,
            mid_block_additional_residual=middle,
            return_dict=False,
        )[0]
        positive, negative = eps.chunk(2)
        guided: Tensor = negative + cfg * (positive - negative)
        return guided

    return step


def measure(step: Callable[[Tensor], Tensor], x: Tensor) -> tuple[float, float]:
    """Return seconds of wall and of CPU of one call."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = step(x)
    if result.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dtype", choices=["float32", "bfloat16", "float16"], default="bfloat16")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--controls", type=int, default=1)
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    settings = parser.parse_args()
    dtype: torch.dtype = getattr(torch, settings.dtype)
    with torch.inference_mode():
        run(settings, dtype)


def run(settings: argparse.Namespace, dtype: torch.dtype) -> None:
    """Build both sides and let them take turns."""
    side, device = settings.size, settings.device
    model = build(lambda: UNetModel(UNetConfig()), dtype, device)
    net = build(lambda: ControlNetModel(ControlNetConfig()), dtype, device)
    hint = torch.rand(1, 3, side, side)
    positive, negative = (Conditioning(torch.randn(1, 77, 768)) for _ in range(2))
    context = torch.cat([positive.context, negative.context]).to(device, dtype)
    same = settings.channels_last
    theirs = their_step(
        twin(model, their_unet, unet_table(STRUCTURE), same),
        twin(net, their_controlnet, controlnet_table(STRUCTURE), same),
        settings.controls,
        hint.to(device, dtype),
        context,
        7.5,
    )
    unet = UNet(model, "sd1")
    for _ in range(settings.controls):
        unet = unet.wrapped(Control(net, "net", hint, 1.0, Window(), "balanced"))
    schedule = make_schedule("normal", unet.noise, 20)
    x = torch.randn(1, 4, side // 8, side // 8, device=device)

    before = time.perf_counter()
    guided = Guided(unet, schedule, positive, negative, cfg=7.5, batch=1)
    prepared = time.perf_counter() - before

    def ours(x: Tensor) -> Tensor:
        return guided(x, SIGMA, 10)

    times: dict[str, list[tuple[float, float]]] = {"ours": [], "diffusers": []}
    first = measure(ours, x)[0]
    measure(theirs, x)
    for _ in range(settings.rounds):
        times["ours"].append(measure(ours, x))
        times["diffusers"].append(measure(theirs, x))
    report(settings, times)
    print(f"prepare {prepared:.2f} s, first step {first:.2f} s (ours)")


def their_unet() -> UNet2DConditionModel:
    """Return diffusers' UNet of SD1.5."""
    return UNet2DConditionModel(cross_attention_dim=768)


def their_controlnet() -> TheirControlNet:
    """Return diffusers' ControlNet of SD1.5."""
    return TheirControlNet(cross_attention_dim=768)


def report(settings: argparse.Namespace, times: dict[str, list[tuple[float, float]]]) -> None:
    """Print medians and the ratio."""
    print(
        f"{settings.size} x {settings.size}, {settings.dtype}, {settings.controls} ControlNet(s), "
        f"{torch.get_num_threads()} threads, medians of {settings.rounds}"
    )
    medians = {
        name: [statistics.median(column) for column in zip(*values, strict=True)]
        for name, values in times.items()
    }
    for name, (wall, cpu) in medians.items():
        print(f"{name:10} {wall:6.2f} s a step, {cpu:6.2f} s of CPU")
    wall, cpu = (a / b for a, b in zip(medians["ours"], medians["diffusers"], strict=True))
    print(f"ours / diffusers: {wall:.2f} of the time, {cpu:.2f} of the CPU")
    # ru_maxrss is in KiB on Linux.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"peak of the process, both together: {peak} MiB")


if __name__ == "__main__":
    main()
