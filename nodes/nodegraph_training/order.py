"""Samples and random numbers of a step, from seed and step alone: a resumed run is exact."""

import numpy as np
import torch
from numpy.typing import NDArray


def batch_indices(count: int, batch: int, step: int, seed: int) -> NDArray[np.int64]:
    """Return the sample indices of a step; every epoch is one shuffled pass over the samples."""
    places = np.arange(step * batch, (step + 1) * batch)
    out = np.empty(batch, np.int64)
    for epoch in np.unique(places // count):
        chosen = places // count == epoch
        shuffled = np.random.default_rng((seed, int(epoch))).permutation(count)
        out[chosen] = shuffled[places[chosen] % count]
    return out


def numpy_generator(seed: int, step: int, worker: int) -> np.random.Generator:
    """Return the numpy generator of one worker at one step."""
    return np.random.default_rng((seed, step, worker, 1))


def torch_generator(seed: int, step: int, worker: int) -> torch.Generator:
    """Return the torch generator (CPU) of one worker at one step."""
    state = np.random.SeedSequence((seed, step, worker, 2)).generate_state(2, np.uint32)
    return torch.Generator("cpu").manual_seed(int(state[0]) << 31 ^ int(state[1]))
