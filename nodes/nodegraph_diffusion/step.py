"""Where a run stands when it asks for a prediction."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """The noise level of each latent of the batch and the step at hand.

    Plain numbers, so that deciding what acts in a step never waits for an accelerator. A sampler of
    higher order calls several times with one index. In a part of a run that was split, index and
    count are those of the whole run.
    """

    sigma: tuple[float, ...]
    timestep: tuple[float, ...]
    """What the network is told for each sigma."""
    index: int = 0
    count: int = 1
