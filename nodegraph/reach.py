"""Where paths that stand in workflows may lead: a workflow may be a stranger's."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .values import Misfit, show
from .workflow import Literal, Workflow


@dataclass(frozen=True, slots=True)
class Reach:
    """Folders, and single files, that a workflow may name; symbolic links are followed first.

    What is given from outside, such as on the command line, may name any file.
    """

    places: tuple[Path, ...]

    @classmethod
    def of(cls, flow: Workflow, allowed: Iterable[Path] = ()) -> "Reach":
        """Reach a flow's own folder, the working directory, and what the user allows.

        A working directory that is the user's home, or around it, is not reached.
        """
        own = flow.file.parent if flow.file else flow.base
        home, here = Path.home().resolve(), Path.cwd().resolve()
        around = home == here or here in home.parents
        return cls(tuple(each.resolve() for each in (own, *allowed, *(() if around else (here,)))))

    def need(self, path: Path, literal: Literal, *, written: bool = False) -> None:
        """Let a path pass that may be named; one that is `written` lies in a folder that may.

        Raises:
            Misfit: it leads somewhere else.
        """
        if not literal.confined:
            return
        real = Path(os.path.realpath(path))
        found = (place for place in self.places if real.is_relative_to(place))
        if not any(real != place or not written for place in found):
            message = f"{show(literal.value)} leads to {real}, where no path in a workflow may lead"
            folder = real if real.is_dir() else real.parent
            raise Misfit("outside", f"{message}; allow it with --allow {folder}")


def allowed_folders(named: Iterable[str | Path] = ()) -> tuple[Path, ...]:
    """Return some folders and those of NODEGRAPH_ALLOW."""
    if isinstance(named, str | Path):
        named = [named]
    also = os.environ.get("NODEGRAPH_ALLOW", "").split(os.pathsep)
    return tuple(Path(each).expanduser().absolute() for each in (*named, *also) if each)
