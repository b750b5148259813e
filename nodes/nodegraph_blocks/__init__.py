"""The embedded default: a procedural world of blocks and the small models trained on it."""
