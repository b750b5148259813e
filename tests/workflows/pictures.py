"""Runs shipped flows for their picture, and says how well pictures follow edges."""

from pathlib import Path
from typing import Any

import nodegraph
from nodegraph_blocks.metrics import edge_f1
from nodegraph_image import Image, canny

FLOWS = Path(__file__).parents[2] / "workflows"


def picture(flow: str, settings: dict[str, Any] | None = None, **inputs: Any) -> Image:
    """Return the output `image` of a shipped flow."""
    image = nodegraph.run(FLOWS / f"{flow}.json", settings=settings, **inputs)["image"]
    assert isinstance(image, Image)
    assert image.pixels.shape[1:] == (128, 128, 3)
    return image


def agreement(image: Image, hint: Image) -> float:
    """Return the F1 score of a picture's edges against those of a hint, at 2 pixels."""
    found, wanted = canny(image).pixels[..., 0] > 0, hint.pixels[..., 0] > 0
    return float(edge_f1(found, wanted)[0, 0])
