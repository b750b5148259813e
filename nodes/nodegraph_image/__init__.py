"""Pictures: reading, writing, resizing, hints and contact sheets."""

from nodegraph_image.annotators import canny, invert
from nodegraph_image.files import Loaded, load, save
from nodegraph_image.picture import Image, Mask
from nodegraph_image.resizing import resize
from nodegraph_image.sheet import grid

__all__ = ["Image", "Loaded", "Mask", "canny", "grid", "invert", "load", "resize", "save"]
