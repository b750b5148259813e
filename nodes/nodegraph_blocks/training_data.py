"""The node that hands rendered scenes to the training nodes."""

from pathlib import Path

from nodegraph import node
from nodegraph_blocks.dataset import BlocksDataset
from nodegraph_training import DataSet


@node(device="cpu", cache=False)
def dataset(folder: Path, *, mirrored: bool = False) -> DataSet:
    """Open a folder that `make_dataset` rendered, to train on.

    With `mirrored`, every scene is there a second time as its mirror image, and its captions say
    right for left.
    """
    return DataSet(BlocksDataset(folder, mirrored=mirrored), folder.name)
