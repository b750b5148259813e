"""The held-out scenes: frozen, never trained on, and what each one is asked for."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.resources import files
from typing import Final

from nodegraph_blocks.scene import COLOURS, SHAPES, Scene, Thing, from_json

FIRST_SEED: Final = 1_000_000
COUNT: Final = 200


def heldout_scenes() -> list[Scene]:
    """Read the 200 scenes that were frozen with the generator, seeds 1,000,000 and on."""
    text = files("nodegraph_blocks").joinpath("heldout.json").read_text("utf-8")
    return [from_json(json.dumps(fields)) for fields in json.loads(text)]


def contradict(scene: Scene) -> Scene:
    """Give every thing another shape and the colour farthest from its own, where it stands.

    Its caption, given with the first scene's hint, asks for what the hint does not show.
    """
    return replace(scene, things=tuple(_other(thing) for thing in scene.things))


def _other(thing: Thing) -> Thing:
    colour = COLOURS[(COLOURS.index(thing.colour) + len(COLOURS) // 2) % len(COLOURS)]
    shape = SHAPES[(SHAPES.index(thing.shape) + 2) % len(SHAPES)]
    return replace(thing, colour=colour, shape=shape)
