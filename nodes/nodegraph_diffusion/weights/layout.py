"""The names of tensors in diffusers' folders, as one table per model: original prefix to theirs.

Everything here is an original name beside its counterpart; what stands in no table has the same
name in both layouts. Each table is a bijection on the names of its model.
"""

from collections.abc import Mapping
from dataclasses import dataclass

RESBLOCK = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
UNET = {
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "label_emb.0.0": "add_embedding.linear_1",
    "label_emb.0.2": "add_embedding.linear_2",
    "input_blocks.0.0": "conv_in",
    "middle_block.1": "mid_block.attentions.0",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
}
VAE_BLOCK = {"nin_shortcut": "conv_shortcut"}
VAE_ATTENTION = {
    "norm": "group_norm",
    "q": "to_q",
    "k": "to_k",
    "v": "to_v",
    "proj_out": "to_out.0",
}
VAE_HALF = {"norm_out": "conv_norm_out"}
OLD_VAE_ATTENTION = {  # diffusers before 0.18, and many files since
    ".query.": ".to_q.",
    ".key.": ".to_k.",
    ".value.": ".to_v.",
    ".proj_attn.": ".to_out.0.",
}

Table = Mapping[str, str]


@dataclass(frozen=True)
class Structure:
    """What the numbers in a UNet's names depend on: levels, blocks a level, attention or none."""

    levels: int
    blocks: int
    attention: tuple[bool, ...]


def unet_table(structure: Structure) -> dict[str, str]:
    """Return the table of a UNet."""
    return UNET | _encoder(structure) | _decoder(structure)


def controlnet_table(structure: Structure) -> dict[str, str]:
    """Return the table of a ControlNet."""
    table = UNET | _encoder(structure)
    table["input_hint_block.0"] = "controlnet_cond_embedding.conv_in"
    for i in range(6):
        table[f"input_hint_block.{2 * i + 2}"] = f"controlnet_cond_embedding.blocks.{i}"
    table["input_hint_block.14"] = "controlnet_cond_embedding.conv_out"
    for i in range(structure.levels * (structure.blocks + 1)):
        table[f"zero_convs.{i}.0"] = f"controlnet_down_blocks.{i}"
    table["middle_block_out.0"] = "controlnet_mid_block"
    return table


def vae_table(levels: int, blocks: int) -> dict[str, str]:
    """Return the table of a VAE."""
    table: dict[str, str] = {}
    for half in ("encoder", "decoder"):
        table |= _nested(half, half, VAE_HALF)
        table |= _nested(f"{half}.mid.attn_1", f"{half}.mid_block.attentions.0", VAE_ATTENTION)
        for i in (0, 1):
            table[f"{half}.mid.block_{i + 1}"] = f"{half}.mid_block.resnets.{i}"
    for level in range(levels):
        up = levels - 1 - level  # theirs counts in the order of running, the original by resolution
        down, theirs = f"encoder.down.{level}", f"encoder.down_blocks.{level}"
        table[f"{down}.downsample"] = f"{theirs}.downsamplers.0"
        table[f"decoder.up.{level}.upsample"] = f"decoder.up_blocks.{up}.upsamplers.0"
        for i in range(blocks):
            table |= _block(f"{down}.block.{i}", f"{theirs}.resnets.{i}", VAE_BLOCK)
        for i in range(blocks + 1):
            above = f"decoder.up_blocks.{up}.resnets.{i}"
            table |= _block(f"decoder.up.{level}.block.{i}", above, VAE_BLOCK)
    return table


def _encoder(structure: Structure) -> dict[str, str]:
    table: dict[str, str] = {}
    for level in range(structure.levels):
        theirs = f"down_blocks.{level}"
        first = 1 + level * (structure.blocks + 1)
        for i in range(structure.blocks):
            table |= _block(f"input_blocks.{first + i}.0", f"{theirs}.resnets.{i}", RESBLOCK)
            table[f"input_blocks.{first + i}.1"] = f"{theirs}.attentions.{i}"
        if level < structure.levels - 1:
            table[f"input_blocks.{first + structure.blocks}.0.op"] = f"{theirs}.downsamplers.0.conv"
    for i in (0, 1):
        table |= _block(f"middle_block.{2 * i}", f"mid_block.resnets.{i}", RESBLOCK)
    return table


def _decoder(structure: Structure) -> dict[str, str]:
    table: dict[str, str] = {}
    for up, attention in enumerate(reversed(structure.attention)):
        theirs = f"up_blocks.{up}"
        for i in range(structure.blocks + 1):
            ours = f"output_blocks.{up * (structure.blocks + 1) + i}"
            table |= _block(f"{ours}.0", f"{theirs}.resnets.{i}", RESBLOCK)
            if attention:
                table[f"{ours}.1"] = f"{theirs}.attentions.{i}"
            if i == structure.blocks and up < structure.levels - 1:
                table[f"{ours}.{2 if attention else 1}.conv"] = f"{theirs}.upsamplers.0.conv"
    return table


def _block(ours: str, theirs: str, inner: Table) -> dict[str, str]:
    return {ours: theirs} | _nested(ours, theirs, inner)


def _nested(ours: str, theirs: str, inner: Table) -> dict[str, str]:
    return {f"{ours}.{a}": f"{theirs}.{b}" for a, b in inner.items()}


def rename(name: str, table: Table) -> str:
    """Translate a tensor's name by the longest prefix that the table knows."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        known = table.get(".".join(parts[:end]))
        if known is not None:
            return ".".join([known, *parts[end:]])
    return name


def inverse(table: Table) -> dict[str, str]:
    """Return the table in the other direction."""
    return {theirs: ours for ours, theirs in table.items()}
