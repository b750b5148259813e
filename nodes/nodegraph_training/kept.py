"""Files below a folder that may be a stranger's: no link leads out of it, no pipe is opened."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from nodegraph_training.errors import TrainingError


def below(folder: Path, name: str) -> Path:
    """Return the path of a file below a folder; it need not be there yet.

    Raises: TrainingError when the name or a link leads out of the folder, or to a pipe or device.
    """
    path, root = Path(os.path.normpath(folder / name)), Path(os.path.normpath(folder))
    if not path.is_relative_to(root):
        raise TrainingError(f"{str(path)!r} is not below the folder; put the file into it")
    parts = path.relative_to(root).parts
    steps = (root.joinpath(*parts[: count + 1]) for count in range(len(parts)))
    link = next((step for step in steps if step.is_symlink()), None)
    if link is not None:
        real = os.path.realpath(path)
        if not Path(real).is_relative_to(os.path.realpath(root)):
            raise TrainingError(
                f"{str(link)!r} is a link that leads out of its folder, to {real!r}; "
                "put the file itself there, or remove the link"
            )
    if path.exists() and not path.is_file():
        raise TrainingError(f"{str(path)!r} is a folder, pipe or device; remove it")
    return path


@contextmanager
def replacing(path: Path) -> Generator[Path]:
    """Lend a path to write to; at the end, the file there takes the place of `path`, whole."""
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)  # a killed run's, or a link that leads elsewhere
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
