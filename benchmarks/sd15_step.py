"""One step of SD1.5 with one and two ControlNets, ours beside diffusers', as ratios.

    python -m benchmarks.sd15_step
    python -m benchmarks.sd15_step --quick

Weights are random, since only time and memory are measured; they are written once into `--folder`.
For each dtype and number of ControlNets, a process of ours and one of diffusers' load the same
files and take steps in turn, guidance in one batch, so that what else the machine does hits both;
while one computes the other waits. Each tells its own peak of memory, loading included. Theirs
runs as people run it: with `accelerate` where that is installed, without which it loads slowly;
`--channels-last` gives it our layout of the convolutions' weights. The first step holds what is
computed once per run (the hint's embedding, keys and values of the text).

Full size needs 12 GB of memory in bfloat16 and 18 GB in float32. `--quick` measures nothing of
interest: small networks and pictures, to see that everything runs.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

SIGMA = 1.6161
CFG = 7.5
SIDES = ("ours", "diffusers")
Step = Callable[[Tensor], Tensor]


class Side:
    """One side in a process of its own, which takes a step when it is told to."""

    def __init__(self, side: str, settings: argparse.Namespace, dtype: str, controls: int) -> None:
        words = [sys.executable, "-m", "benchmarks.sd15_step", "--side", side]
        words += ["--dtype", dtype, "--controls", str(controls), "--size", str(settings.size)]
        words += ["--device", settings.device, "--folder", str(settings.folder)]
        words += ["--quick"] if settings.quick else []
        words += ["--channels-last"] if settings.channels_last else []
        self._process = subprocess.Popen(
            words, text=True, env=quiet(), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdin
        assert self._process.stdout
        self._ask, self._answers = self._process.stdin, self._process.stdout
        self.prepared: dict[str, float] = self._answer()

    def step(self) -> dict[str, float]:
        """Return seconds of wall and of CPU of one step."""
        self._ask.write("step\n")
        self._ask.flush()
        return self._answer()

    def end(self) -> float:
        """Let the process end and return the peak of its memory in MiB."""
        self._ask.close()
        peak = self._answer()["peak"]
        self._process.wait()
        return peak

    def _answer(self) -> dict[str, float]:
        text = self._answers.readline()
        if not text:
            raise SystemExit(f"a side ended with code {self._process.wait()}; see above")
        answer: dict[str, float] = json.loads(text)
        return answer


def our_step(place: Path, settings: argparse.Namespace, context: Tensor, hint: Tensor) -> Step:
    """Return one step of `diffusion.sample` on networks that our loader read."""
    from nodegraph_diffusion.conditioning import Conditioning
    from nodegraph_diffusion.control import Control
    from nodegraph_diffusion.guidance import Guided
    from nodegraph_diffusion.predictor import UNet
    from nodegraph_diffusion.schedule import make_schedule
    from nodegraph_diffusion.weights import load_checkpoint_file, load_controlnet_file
    from nodegraph_diffusion.window import Window

    where = (getattr(torch, settings.dtype[0]), torch.device(settings.device))
    loaded = load_checkpoint_file(place / "model", *where)
    unet = UNet(loaded.unet, "sd1")
    for index in range(settings.controls[0]):
        net = load_controlnet_file(place / f"control_{index}", *where)
        unet = unet.wrapped(Control(net, "net", hint, 1.0, Window(), "balanced"))
    schedule = make_schedule("normal", unet.noise, 20)
    positive, negative = (Conditioning(text[None]) for text in context)
    guided = Guided(unet, schedule, positive, negative, cfg=CFG, batch=1)

    def step(x: Tensor) -> Tensor:
        assert loaded  # all of it is held, as in a run: it counts for the peak
        return guided(x, SIGMA, 10)

    return step


def their_step(place: Path, settings: argparse.Namespace, context: Tensor, hint: Tensor) -> Step:
    """Return one step as diffusers' ControlNet pipeline takes it, without its scheduler."""
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.controlnets.controlnet import ControlNetModel
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from transformers import CLIPTextModel

    how: dict[str, Any] = {"dtype": getattr(torch, settings.dtype[0])}
    folders = [place / f"control_{index}" for index in range(settings.controls[0])]
    nets: list[Any] = [ControlNetModel.from_pretrained(path, **how) for path in folders]
    unet: Any = UNet2DConditionModel.from_pretrained(place / "model" / "unet", **how)
    held: list[Any] = [AutoencoderKL.from_pretrained(place / "model" / "vae", **how)]
    held += [CLIPTextModel.from_pretrained(place / "model" / "text_encoder", **how)]
    for model in (unet, *nets, *held):
        model.to(settings.device).requires_grad_(False).eval()
        if settings.channels_last:
            model.to(memory_format=torch.channels_last)
    t = torch.tensor(499)
    words, hints = context.to(unet.device, unet.dtype), torch.cat([hint] * 2).to(unet.device)

    def step(x: Tensor) -> Tensor:
        assert held  # as a pipeline does
        inputs = torch.cat([x / (SIGMA**2 + 1) ** 0.5] * 2).to(unet.dtype)
        down, middle = their_residuals(nets, inputs, t, words, hints.to(unet.dtype))
        added = {
            "down_block_additional_residuals": down,
            "mid_block_additional_residual": middle,
        }
        eps = unet(inputs, t, encoder_hidden_states=words, **added, return_dict=False)[0]
        positive, negative = eps.chunk(2)
        clean: Tensor = x - SIGMA * (negative + CFG * (positive - negative)).float()
        return clean

    return step


def their_residuals(
    nets: Sequence[Any], x: Tensor, t: Tensor, context: Tensor, hint: Tensor
) -> tuple[list[Tensor], Tensor]:
    """Return the sums over the ControlNets, as diffusers' MultiControlNetModel takes them."""
    down, middle = nets[0](x, t, context, hint, 1.0, return_dict=False)
    for net in nets[1:]:
        more, more_middle = net(x, t, context, hint, 1.0, return_dict=False)
        down = [a + b for a, b in zip(down, more, strict=True)]
        middle = middle + more_middle
    return down, middle


def measure(step: Step, x: Tensor) -> dict[str, float]:
    """Return seconds of wall and of CPU of one call, and the mean size of what it returned."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = step(x)
    if result.device.type == "cuda":
        torch.cuda.synchronize()
    taken = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    return {**taken, "mean": float(result.abs().mean())}


def be_a_side(settings: argparse.Namespace) -> None:
    """Load, take a first step, then one for each line of the standard input; tell the peak."""
    generator = torch.Generator().manual_seed(0)
    place, side = files(settings), settings.size
    context = torch.randn(2, 77, 768, generator=generator)
    hint = torch.rand(1, 3, side, side, generator=generator)
    x = torch.randn(1, 4, side // 8, side // 8, generator=generator).to(settings.device) * SIGMA
    with torch.inference_mode():
        began = time.perf_counter()
        make = our_step if settings.side == "ours" else their_step
        step = make(place, settings, context, hint)
        load, first = time.perf_counter() - began, measure(step, x)
        tell({"load": load, "first": first["wall"], "mean": first["mean"]})
        for _ in sys.stdin:
            tell(measure(step, x))
    tell({"peak": peak()})


def peak() -> float:
    """Return the most memory that this process held, files mapped into it included, in MiB.

    The rusage of a process counts its parent's memory before `exec`, too, so Linux is asked for
    the address space alone.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # bytes on macOS
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return int(lines["VmHWM"].split()[0]) / 1024


def accelerated() -> str:
    """Say whether diffusers loads with accelerate: without it, it is slow at that."""
    return "with" if find_spec("accelerate") else "without"


def quiet() -> dict[str, str]:
    """Return an environment in which diffusers and transformers say errors only."""
    loud = ("DIFFUSERS_VERBOSITY", "TRANSFORMERS_VERBOSITY")
    return {**os.environ, **dict.fromkeys(loud, "error"), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}


def tell(numbers: dict[str, float]) -> None:
    """Answer the process that asks."""
    print(json.dumps(numbers), flush=True)


def compare(settings: argparse.Namespace, dtype: str, controls: int) -> dict[str, Any]:
    """Let both sides take turns and print medians, peaks and ratios."""
    sides = {name: Side(name, settings, dtype, controls) for name in SIDES}
    steps: dict[str, list[dict[str, float]]] = {name: [] for name in SIDES}
    for number in range(settings.rounds):
        for name in SIDES if number % 2 == 0 else SIDES[::-1]:
            steps[name].append(sides[name].step())
    found: dict[str, dict[str, float]] = {}
    for name, taken in steps.items():
        found[name] = {key: statistics.median(s[key] for s in taken) for key in ("wall", "cpu")}
        found[name] |= {**sides[name].prepared, "peak": sides[name].end()}
    ratios = compared(found)
    report(f"{dtype}, {controls} ControlNet{'s' if controls > 1 else ''}", found, ratios)
    return {"dtype": dtype, "controls": controls, **found, "ratios": ratios}


def report(title: str, found: dict[str, dict[str, float]], ratios: dict[str, float]) -> None:
    """Print one setting."""
    print(title)
    for name, numbers in found.items():
        print(
            f"  {name:10}{numbers['wall']:8.2f} s a step{numbers['cpu']:8.2f} s of CPU"
            f"{numbers['peak']:8.0f} MiB peak   loaded in {numbers['load']:.2f} s, "
            f"first step {numbers['first']:.2f} s"
        )
    print(told(ratios))


def compared(found: dict[str, dict[str, float]]) -> dict[str, float]:
    """Return ours divided by theirs."""
    return {key: found["ours"][key] / found["diffusers"][key] for key in ("wall", "cpu", "peak")}


def told(ratios: dict[str, float]) -> str:
    """Return the line that says how the two sides compare."""
    wall, cpu, most = (ratios[key] for key in ("wall", "cpu", "peak"))
    return (
        f"  ours / diffusers: {wall:.2f} of the time, {cpu:.2f} of the CPU, {most:.2f} of the peak"
    )


def files(settings: argparse.Namespace) -> Path:
    """Return where the weights are; a process of its own writes them if they are not there."""
    place: Path = settings.folder / ("small" if settings.quick else "full")
    if not (place / "done.txt").exists():
        words = [sys.executable, "-m", "benchmarks.sd15_files", str(settings.folder)]
        small = ["--small"] if settings.quick else []
        subprocess.run([*words, *small], check=True, env=quiet())
    return place


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    dtypes = ["float32", "bfloat16", "float16"]
    parser.add_argument("--dtype", nargs="+", choices=dtypes, default=["bfloat16", "float32"])
    parser.add_argument("--controls", nargs="+", type=int, choices=[1, 2], default=[1, 2])
    parser.add_argument("--size", type=int, default=512, help="of the picture, a multiple of 64")
    parser.add_argument("--rounds", type=int, default=3, help="pairs of steps for each setting")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--channels-last", action="store_true", help="for diffusers, too")
    parser.add_argument("--quick", action="store_true", help="small networks at 64 x 64")
    scratch = Path(tempfile.gettempdir()) / "nodegraph-sd15"
    parser.add_argument("--folder", type=Path, default=scratch, help="where the weights are kept")
    parser.add_argument("--json", type=Path, help="also write the figures into this file")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    settings = parser.parse_args(words)
    if settings.size < 64 or settings.size % 64:
        parser.error(f"--size is {settings.size}; give a multiple of 64")
    if settings.quick:
        settings.size = 64
    return settings


def main() -> None:
    """Measure and print, or be one of the two sides."""
    settings = arguments()
    if settings.side:
        be_a_side(settings)
        return
    files(settings)
    print(
        f"{settings.size} x {settings.size}, guidance in one batch, "
        f"{torch.get_num_threads()} threads, medians of {settings.rounds}, "
        f"{accelerated()} accelerate",
        flush=True,
    )
    found = [
        compare(settings, dtype, controls)
        for dtype in settings.dtype
        for controls in settings.controls
    ]
    if settings.json:
        settings.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
