"""What one network computes once per run: projections of timesteps and texts."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .conditioning import Rows
from .models.encoder import TimeProjections, UNetEncoder
from .models.transformer import ContextKV
from .schedule import Schedule
from .step import Step

LONGEST_TABLE = 200
"""Runs of more steps project each timestep when it comes, to save memory."""


class RunCache:
    """Cached projections of one network, a UNet or a ControlNet, which itself keeps nothing."""

    def __init__(
        self, network: UNetEncoder, schedule: Schedule, conditionings: Sequence[Rows]
    ) -> None:
        self._network = network
        weight = next(network.parameters())
        self.device, self.dtype = weight.device, weight.dtype
        self._contexts: dict[Rows, ContextKV] = {}
        self._table: dict[float, TimeProjections] = {}
        has_vectors = any(rows.vector is not None for rows in conditionings)
        if schedule.count <= LONGEST_TABLE and not has_vectors:
            # One by one: a product of several rows has other bits, and a part of a run would, too.
            for t in {schedule.timestep(sigma) for sigma in schedule.sigmas[:-1]}:
                self._table[t] = self._network.project_time(self._tensor([t]))

    def _tensor(self, values: Sequence[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=self.device)

    def cast(self, x: Tensor) -> Tensor:
        """Return x in the network's dtype, on its device, channels last."""
        return x.to(self.device, self.dtype, memory_format=torch.channels_last)

    def context(self, rows: Rows) -> ContextKV:
        """Return keys and values of the rows' texts."""
        if rows not in self._contexts:
            self._contexts[rows] = self._network.project_context(rows.context.to(self.device))
        return self._contexts[rows]

    def time(self, step: Step, rows: Rows) -> TimeProjections:
        """Return what the step's timesteps add in each block: one row for all, or one each."""
        timesteps = [step.timestep[i] for i in rows.samples]
        if rows.vector is not None:
            return self._network.project_time(self._tensor(timesteps), rows.vector.to(self.device))
        if len(set(timesteps)) > 1:
            return self._network.project_time(self._tensor(timesteps))
        t = timesteps[0]
        return self._table.get(t) or self._network.project_time(self._tensor([t]))
