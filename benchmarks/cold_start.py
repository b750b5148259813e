"""From the start of a process to its first step with a ControlNet: ours, and diffusers' pipeline.

    python -m benchmarks.cold_start
    python -m benchmarks.cold_start --quick

Both load the same random weights of SD1.5 from files in diffusers' layout that the system has read
before, encode prompts and take one step at 512x512; the clock runs from the moment the process is
started until the step is done. They take turns. Ours runs `workflows/sd15_canny.json`, with a cache
of its own that knows the nodes; theirs is handed token ids and a hint, having no tokenizer's files.
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
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.sd15_step import SIDES, accelerated, arguments, compared, files, peak, quiet, told

FLOW = Path(__file__).parents[1] / "workflows" / "sd15_canny.json"
PROMPT = "a marble sphere beside a wooden cube, studio light, photograph"


def our_start(place: Path, settings: argparse.Namespace, done: Callable[[], None]) -> None:
    """Run the flow until its sampler has taken a step."""
    import nodegraph

    def hear(event: dict[str, Any]) -> None:
        if event["event"] == "progress" and event.get("done") == 1 and event["node"] == "sample":
            done()

    values = {"prompt": PROMPT, "width": settings.size, "height": settings.size, "steps": 1}
    nodegraph.run(
        FLOW,
        dtype=settings.dtype[0],
        inputs=values,
        checkpoint=place / "model",
        controlnet=place / "control_0",
        on_event=hear,
    )


def their_start(place: Path, settings: argparse.Namespace, done: Callable[[], None]) -> None:
    """Run diffusers' ControlNet pipeline, as people do, until its callback is called."""
    import torch
    from diffusers.models.controlnets.controlnet import ControlNetModel
    from diffusers.pipelines.controlnet.pipeline_controlnet import StableDiffusionControlNetPipeline
    from diffusers.utils import logging

    logging.disable_progress_bar()
    how: dict[str, Any] = {"dtype": getattr(torch, settings.dtype[0])}
    controlnet: Any = ControlNetModel.from_pretrained(place / "control_0", **how)
    absent: dict[str, Any] = {"tokenizer": None, "safety_checker": None, "feature_extractor": None}
    pipeline: Any = StableDiffusionControlNetPipeline.from_pretrained(
        place / "model", controlnet=controlnet, **how, **absent
    )
    with torch.inference_mode():
        ids = torch.randint(0, 49406, (2, 77))
        texts = pipeline.text_encoder(ids)[0]

    def hear(_pipe: Any, _step: int, _time: Any, values: dict[str, Any]) -> dict[str, Any]:
        done()
        return values

    pipeline.set_progress_bar_config(disable=True)
    pipeline(
        image=torch.rand(1, 3, settings.size, settings.size),
        prompt_embeds=texts[:1],
        negative_prompt_embeds=texts[1:],
        num_inference_steps=1,
        guidance_scale=7.0,
        output_type="latent",
        callback_on_step_end=hear,
    )


def be_a_side(settings: argparse.Namespace) -> None:
    """Start, and tell CPU seconds and peak when the first step is done; nothing after that."""

    def done() -> None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        numbers = {"cpu": used.ru_utime + used.ru_stime, "peak": peak()}
        print(json.dumps(numbers), flush=True)
        os._exit(0)

    begin = our_start if settings.side == "ours" else their_start
    begin(files(settings), settings, done)
    raise SystemExit("the run ended without a step")


def start(side: str, settings: argparse.Namespace, dtype: str, cache: str) -> dict[str, float]:
    """Return seconds of wall and of CPU, and the peak, from a new process to its first step."""
    words = [sys.executable, "-m", "benchmarks.cold_start", "--side", side, "--dtype", dtype]
    words += ["--size", str(settings.size), "--folder", str(settings.folder)]
    words += ["--quick"] if settings.quick else []
    began = time.perf_counter()
    environment = {**quiet(), "XDG_CACHE_HOME": cache, "NODEGRAPH_CACHE": cache}
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout
    text = process.stdout.readline()
    wall = time.perf_counter() - began
    if process.wait() or not text:
        raise SystemExit(f"{side} ended with code {process.returncode}; see above")
    return {"wall": wall, **json.loads(text)}


def compare(settings: argparse.Namespace, dtype: str, cache: str) -> None:
    """Start both sides in turn; the first pair warms the files and is not counted."""
    taken: dict[str, list[dict[str, float]]] = {name: [] for name in SIDES}
    for number in range(settings.rounds + 1):
        for name in SIDES if number % 2 == 0 else SIDES[::-1]:
            taken[name].append(start(name, settings, dtype, cache))
    print(f"{dtype}, one ControlNet")
    medians = {
        name: {key: statistics.median(run[key] for run in runs[1:]) for key in runs[0]}
        for name, runs in taken.items()
    }
    for name, numbers in medians.items():
        print(
            f"  {name:10}{numbers['wall']:8.2f} s from start to first step"
            f"{numbers['cpu']:8.2f} s of CPU{numbers['peak']:8.0f} MiB peak"
        )
    print(told(compared(medians)))


def main() -> None:
    """Measure and print, or be one of the two sides."""
    settings = arguments()
    if settings.side:
        be_a_side(settings)
        return
    files(settings)
    title = f"{settings.size} x {settings.size}, cold start, medians of {settings.rounds}"
    print(f"{title}, {accelerated()} accelerate", flush=True)
    with tempfile.TemporaryDirectory() as cache:
        for dtype in settings.dtype:
            compare(settings, dtype, cache)


if __name__ == "__main__":
    main()
