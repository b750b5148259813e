"""How and where a run happens."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from .errors import Problem, WorkflowError
from .memory import Memory
from .store import Store

DEVICES: Final = r"cpu|cuda(:[0-9]{1,3})?"
DTYPES: Final = ("auto", "float32", "bfloat16", "float16")


@dataclass(frozen=True, slots=True)
class Settings:
    """Where a run happens."""

    out: Path
    device: str = "cpu"
    dtype: str = "auto"
    cancelled: Callable[[], bool] | None = None
    record: Mapping[str, Any] | None = None
    """What written pictures carry: how they came about."""
    threads: int = min(4, os.cpu_count() or 1)
    """Nodes on the CPU that run at once, beside the one on the device."""
    store: Store | None = None
    """Where results are kept for the next run."""
    memory: Memory | None = None
    """What has no form on disk, kept for the next run of this process."""
    checkpoint: int = 0
    """Steps after which long nodes keep their state, to go on from after a crash; 0 for never."""

    def __post_init__(self) -> None:
        if not re.fullmatch(DEVICES, self.device):
            message = f"{self.device!r} is no device; write cpu, cuda or cuda:1"
            raise WorkflowError([Problem("bad_device", "", message)])
        if self.dtype not in DTYPES:
            message = f"{self.dtype!r} is no dtype; write {', '.join(DTYPES)}"
            raise WorkflowError([Problem("bad_dtype", "", message)])
