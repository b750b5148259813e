"""The embedded default: a procedural world of blocks and the small models trained on it."""

from nodegraph_blocks.judge_nodes import evaluate, read_scene, train_annotator
from nodegraph_blocks.report import Report
from nodegraph_blocks.scene_nodes import make_dataset, scene
from nodegraph_blocks.training_data import dataset

__all__ = [
    "Report",
    "dataset",
    "evaluate",
    "make_dataset",
    "read_scene",
    "scene",
    "train_annotator",
]
