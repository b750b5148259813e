"""Training as nodes: data sets, a VAE, a text-to-image model and ControlNets from scratch."""

from nodegraph_training.dataset import DataSet
from nodegraph_training.export import save_checkpoint, save_controlnet
from nodegraph_training.nodes import folder, train_controlnet, train_text_to_image, train_vae

__all__ = [
    "DataSet",
    "folder",
    "save_checkpoint",
    "save_controlnet",
    "train_controlnet",
    "train_text_to_image",
    "train_vae",
]
