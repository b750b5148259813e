"""Pictures: reading, writing, resizing, masks, hints and contact sheets."""

from nodegraph_image.annotators import canny, invert
from nodegraph_image.composing import (
    Padded,
    batch,
    composite,
    crop,
    erase,
    flip,
    pad,
    pick,
    rotate,
    unbatch,
)
from nodegraph_image.files import Loaded, load, save
from nodegraph_image.lines import line_segments, lineart, scribble, scribble_xdog, soft_edge
from nodegraph_image.masks import (
    image_from_mask,
    mask_blur,
    mask_combine,
    mask_from_image,
    mask_grow,
    mask_invert,
    mask_shape,
)
from nodegraph_image.picture import Image, Mask
from nodegraph_image.regions import normal_from_depth, segment
from nodegraph_image.resizing import mask_resize, resize
from nodegraph_image.sheet import grid
from nodegraph_image.tones import blur, color_grid, recolour, shuffle, threshold, tile

__all__ = [
    "Image", "Loaded", "Mask", "Padded",
    "load", "save", "resize", "crop", "flip", "rotate", "pad", "composite", "erase",
    "batch", "unbatch", "pick", "grid",
    "canny", "invert", "scribble", "scribble_xdog", "lineart", "soft_edge", "line_segments",
    "blur", "tile", "recolour", "threshold", "color_grid", "shuffle",
    "normal_from_depth", "segment",
    "image_from_mask", "mask_blur", "mask_combine", "mask_from_image", "mask_grow", "mask_invert",
    "mask_resize", "mask_shape",
]  # fmt: skip
