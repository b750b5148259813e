"""Nodes that read and write picture files."""

from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import Field

from nodegraph import Context, node
from nodegraph_image.picture import Image, ImageCodec, Mask

FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_. -]*$", max_length=200)]


class Loaded(NamedTuple):
    """A picture and where it is opaque."""

    image: Image
    mask: Mask


@node(device="cpu")
def load(path: Path) -> Loaded:
    """Read a picture from a PNG, JPEG, WebP or GIF file.

    The picture is turned upright as its EXIF data says. Sixteen bits a channel are kept, palettes
    and grey become RGB, and of an animation the first frame is read. The mask is the file's alpha
    channel: 1 where the picture is opaque, 1 everywhere in a file without alpha. Colour profiles
    are not applied.

    Raises:
        ValueError: the file is missing, of another format, damaged, or larger than 67 megapixels.

    Args:
        path: the picture file
    """
    from nodegraph_image.reading import read_picture  # with a decoder, when one is needed

    pixels, alpha = read_picture(path)
    return Loaded(Image(pixels[None]), Mask(alpha[None]))


@node(device="cpu", cache=False, sink=True)
def save(
    image: Image,
    *,
    name: FileName = "image",
    context: Context,
) -> None:
    """Write a picture as PNG into the run's output folder.

    A batch becomes `name_0001.png` and on, and so does a list that the node is mapped over. A file
    of an earlier run is replaced. Each carries the run's record in the text chunk `nodegraph`.

    Raises:
        ValueError: another node or output of this run has the same name.

    Args:
        image: what to write
        name: the file's name without `.png`
    """
    stem = name + "".join(f"_{number:04}" for number in context.items)
    context.deliver(ImageCodec.write(image, context.scratch / stem, context.record))
