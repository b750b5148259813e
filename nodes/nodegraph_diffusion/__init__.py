"""Stable Diffusion and ControlNet as nodes: checkpoints, text, control, sampling, decoding."""
