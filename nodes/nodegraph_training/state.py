"""The weights of a run in its three forms (trained, averaged, computing) and their optimiser."""

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn

from nodegraph_training import muon
from nodegraph_training.checkpoint import Saved
from nodegraph_training.errors import TrainingError
from nodegraph_training.settings import Settings

Model = TypeVar("Model", bound=nn.Module)


class State:
    """The float32 weights, their optimisers, their exponential average, the copy that computes.

    Muon moves the matrices and AdamW the rest: biases, norms, tables of vectors.
    """

    def __init__(self, model: nn.Module, settings: Settings, device: str) -> None:
        """Take the model's weights as the start of a run."""
        self.settings = settings
        self.model = model.to(device).float().requires_grad_(True)
        for weight in self.model.parameters():
            # torch's fused AdamW ignores strides: weights lie in memory as gradients do
            weight.data = weight.data.contiguous()
        self.dtype = computing_dtype(settings, device)
        self.replica = compute_copy(self.model, self.dtype).requires_grad_(True).train()
        self.average = copy.deepcopy(self.model).requires_grad_(False).eval()
        self.names = [name for name, _ in self.model.named_parameters()]
        self.weights: list[Tensor] = list(self.model.parameters())
        self.shadow: list[Tensor] = list(self.average.parameters())
        self.computing: list[Tensor] = list(self.replica.parameters())
        pairs = list(enumerate(zip(self.names, self.weights, strict=True)))
        by_muon = settings.optimizer == "muon"
        self.matrices = [
            place for place, (name, weight) in pairs if by_muon and muon.suits(name, weight)
        ]
        self.others = [place for place, _ in pairs if place not in self.matrices]
        self.muon = muon.Muon(
            [self.weights[place] for place in self.matrices], settings.weight_decay
        )
        kernels = [self.weights[place] for place in self.others if self.weights[place].ndim > 1]
        vectors = [self.weights[place] for place in self.others if self.weights[place].ndim <= 1]
        groups = [
            {"params": kernels, "weight_decay": settings.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ]
        betas = (0.9, settings.beta2)
        self.adamw = torch.optim.AdamW(groups, lr=settings.rate, betas=betas, eps=1e-8, fused=True)

    @torch.no_grad()
    def apply(self, gradients: list[Tensor], step: int, spread: muon.Spread = map) -> float:
        """Take one optimiser step from float32 gradients and return their norm before clipping."""
        norm = torch.stack([gradient.square().sum() for gradient in gradients]).sum().sqrt()
        if not torch.isfinite(norm):
            raise TrainingError(
                f"training: the gradient of step {step + 1} is not finite; lower `rate`, "
                "or look for broken samples"
            )
        shrink = torch.clamp(self.settings.clip / (norm + 1e-6), max=1.0)
        gradients = [gradient * shrink for gradient in gradients]
        rate = self.settings.learning_rate(step)
        self.muon.step([gradients[place] for place in self.matrices], rate, spread)
        for place in self.others:
            # the fused kernel reads memory in order and would scramble a channels-last gradient
            self.weights[place].grad = gradients[place]
        for group in self.adamw.param_groups:
            group["lr"] = rate
        self.adamw.step()  # pyright: ignore[reportUnknownMemberType]
        for average, weight in zip(self.shadow, self.weights, strict=True):
            average.lerp_(weight, 1.0 - self.settings.ema_decay(step))
        self._refresh()
        return float(norm)

    def averaged(self) -> nn.Module:
        """Return the averaged weights on the CPU."""
        on_cpu = self.shadow[0].device.type == "cpu"
        return self.average if on_cpu else copy.deepcopy(self.average).cpu()

    def saved(self, step: int) -> Saved:
        """Return everything that a later process needs to go on exactly."""
        tensors: dict[str, Tensor] = {}
        for name, weight, average in zip(self.names, self.weights, self.shadow, strict=True):
            tensors[f"weights.{name}"] = weight
            tensors[f"average.{name}"] = average
            moments = self.adamw.state.get(weight, {})
            tensors.update({f"{key}.{name}": value for key, value in moments.items()})
        for place, momentum in zip(self.matrices, self.muon.momenta, strict=True):
            tensors[f"momentum.{self.names[place]}"] = momentum
        return Saved(
            step, {name: value.detach().contiguous().cpu() for name, value in tensors.items()}
        )

    @torch.no_grad()
    def restore(self, saved: Saved) -> None:
        """Take over a saved state.

        Raises: TrainingError when it belongs to another model.
        """
        wanted = self._shapes()
        found = {
            name: value.shape for name, value in saved.tensors.items() if value.is_floating_point()
        }
        odd = sorted(name for name, shape in wanted.items() if found.get(name) != shape)
        if odd:
            raise TrainingError(
                f"checkpoint: it has no {odd[0]!r} of {list(wanted[odd[0]])} numbers; it belongs "
                "to another model, use another folder"
            )
        for name, weight, average in zip(self.names, self.weights, self.shadow, strict=True):
            weight.copy_(saved.tensors[f"weights.{name}"])
            average.copy_(saved.tensors[f"average.{name}"])
        for place, momentum in zip(self.matrices, self.muon.momenta, strict=True):
            momentum.copy_(saved.tensors[f"momentum.{self.names[place]}"])
        for place in self.others:
            kept = {
                key: saved.tensors[f"{key}.{self.names[place]}"].float()
                for key in ("step", "exp_avg", "exp_avg_sq")
            }
            device = self.weights[place].device
            kept = {key: value.to(device) if value.ndim else value for key, value in kept.items()}
            self.adamw.state[self.weights[place]] = kept
        self._refresh()

    def _shapes(self) -> dict[str, torch.Size]:
        """Return what the state consists of after a step."""
        shapes: dict[str, torch.Size] = {}
        for name, weight in zip(self.names, self.weights, strict=True):
            shapes |= {f"{kind}.{name}": weight.shape for kind in ("weights", "average")}
        for place in self.matrices:
            shapes[f"momentum.{self.names[place]}"] = self.weights[place].shape
        for place in self.others:
            name, shape = self.names[place], self.weights[place].shape
            shapes |= {f"exp_avg.{name}": shape, f"exp_avg_sq.{name}": shape}
            shapes[f"step.{name}"] = torch.Size()
        return shapes

    def _refresh(self) -> None:
        for fast, weight in zip(self.computing, self.weights, strict=True):
            fast.copy_(weight)


def computing_dtype(settings: Settings, device: str) -> torch.dtype:
    """Return what a step computes in: bfloat16 where the processor has it."""
    if settings.precision == "auto":
        fast = device != "cpu" or _has_fast_bfloat16()
        return torch.bfloat16 if fast else torch.float32
    return torch.bfloat16 if settings.precision == "bfloat16" else torch.float32


def compute_copy(model: Model, dtype: torch.dtype) -> Model:
    """Return a frozen copy of a model in a dtype, its kernels channels-last."""
    twin = copy.deepcopy(model).requires_grad_(False).to(dtype)
    for weight in twin.parameters():
        if weight.ndim == 4:
            weight.data = weight.data.contiguous(memory_format=torch.channels_last)
    return twin.eval()


def own(model: Model) -> Model:
    """Return a copy to work with, so that a value that others hold stays as it is."""
    return compute_copy(model, torch.float32).cpu()


def _has_fast_bfloat16() -> bool:
    return torch.cpu._is_avx512_bf16_supported()  # pyright: ignore[reportPrivateUsage]
