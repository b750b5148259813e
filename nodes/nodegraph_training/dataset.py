"""Where pictures, hints and captions for training come from."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nodegraph import Codec, port

Pictures = NDArray[np.uint8]
Indices = NDArray[np.int64]


class PictureSource(Protocol):
    """A numbered set of pictures of one size, each with a caption and kinds of hints."""

    def __len__(self) -> int:
        """Return the number of pictures."""
        ...

    def pictures(self, indices: Indices) -> Pictures:
        """Return pictures (n, H, W, 3) uint8 RGB."""
        ...

    def hint(self, kind: str, indices: Indices) -> Pictures:
        """Return the hints of one kind (n, H, W, 3) uint8 RGB, such as `canny` or `depth`."""
        ...

    def caption(self, index: int, rng: np.random.Generator) -> str:
        """Return a caption of one picture, drawn anew where the source knows several."""
        ...


class DataSetCodec(Codec["DataSet"]):
    """Data sets stay where they are; all that can be said of one is how large it is."""

    @staticmethod
    def describe(value: "DataSet") -> str:
        """Say how many pictures there are."""
        return f"{len(value.source)} pictures"


@port(codec=DataSetCodec)
@dataclass(frozen=True, eq=False)
class DataSet:
    """Pictures with hints and captions to train on; `name` says which, for the record of a run."""

    source: PictureSource
    name: str
