"""Split a batch over worker threads that share the weights, and average their gradients.

Torch lets go of the interpreter's lock inside its operators, forward and backward, so two Python
threads with one operator thread each keep two cores busy, without a second process and without
barriers inside each operator.
"""

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch
from torch import Tensor

Loss = Callable[[int], tuple[Tensor, dict[str, float]]]


@contextmanager
def single_threaded(workers: int) -> Generator[None]:
    """Give each operator one thread while several workers run, and restore the setting after."""
    before = torch.get_num_threads()
    if workers > 1:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def pool(workers: int) -> ThreadPoolExecutor:
    """Return a pool whose threads run operators on one core each."""
    threads = 1 if workers > 1 else torch.get_num_threads()
    return ThreadPoolExecutor(
        workers, "worker", initializer=torch.set_num_threads, initargs=(threads,)
    )


def gradients(
    executor: ThreadPoolExecutor, workers: int, loss: Loss, parameters: Sequence[Tensor]
) -> tuple[list[Tensor], dict[str, float]]:
    """Return the float32 mean over the workers of each gradient, and of the logged numbers.

    `loss(worker)` computes one worker's share of the batch. The sum is taken in the workers' order,
    so that equal steps give equal bits.
    """

    def share(worker: int) -> tuple[list[Tensor], dict[str, float]]:
        value, numbers = loss(worker)
        found = torch.autograd.grad(value, parameters, allow_unused=True, materialize_grads=True)
        return list(found), {"loss": float(value.detach()), **numbers}

    shares = list(executor.map(share, range(workers)))
    total = _plain(shares[0][0])
    for other, _ in shares[1:]:
        for sum_so_far, gradient in zip(total, _plain(other), strict=True):
            sum_so_far += gradient
    if workers > 1:
        total = [gradient / workers for gradient in total]
    numbers = {name: sum(share[1][name] for share in shares) / workers for name in shares[0][1]}
    return total, numbers


def _plain(gradients: list[Tensor]) -> list[Tensor]:
    """Return float32 gradients in the weights' own layout: torch's fused AdamW ignores strides."""
    return [gradient.float().contiguous() for gradient in gradients]
