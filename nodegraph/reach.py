"""Where paths that stand in workflows may lead: a workflow may be a stranger's."""

import os
from collections.abc import Iterable, Iterator
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
    written: tuple[Path, ...] | None = None
    """Folders into which nodes may write; None for all that may be named."""

    @classmethod
    def of(cls, flow: Workflow, allowed: Iterable[Path] = ()) -> "Reach":
        """Reach a flow's own folder, the working directory, and what the user allows.

        A working directory that is the user's home, or around it, is not reached.
        """
        own = flow.file.parent if flow.file else flow.base
        return cls(_real(own, *allowed, *_narrow(Path.cwd())))

    @classmethod
    def of_picture(
        cls, picture: Path, found: Iterable[Path], allowed: Iterable[Path] = ()
    ) -> "Reach":
        """Reach what a picture's flow was found to need, and what lies beside it or here.

        It may be a stranger's: it writes only where the user allows it, and neither the picture's
        folder nor the working directory is reached where that is the user's home, or around it.
        """
        beside = picture.absolute().parent
        places = _real(*found, *allowed, *_narrow(beside, Path.cwd()))
        return cls(places, _real(*allowed))

    def need(self, path: Path, literal: Literal, *, written: bool = False) -> None:
        """Let a path pass that may be named; one that is `written` lies in a folder that may.

        Raises:
            Misfit: it leads somewhere else.
        """
        if not literal.confined:
            return
        real = Path(os.path.realpath(path))
        if any(real.is_relative_to(place) for place in self.places) and not written:
            return
        writable = self.places if self.written is None else self.written
        if not (written and any(place in real.parents for place in writable)):
            said = "where no path in a workflow may lead"
            if written and self.written is not None:
                said = "and the flow of a picture writes nowhere unasked"
            message = f"{show(literal.value)} leads to {real}, {said}"
            folder = real if real.is_dir() else real.parent
            raise Misfit("outside", f"{message}; allow it with --allow {folder}")


def _real(*places: Path) -> tuple[Path, ...]:
    return tuple(each.resolve() for each in places)


def _narrow(*folders: Path) -> Iterator[Path]:
    """Yield folders that are not the user's home, or around it."""
    home = Path.home().resolve()
    for folder in folders:
        if folder.resolve() not in (home, *home.parents):
            yield folder


def allowed_folders(named: Iterable[str | Path] = ()) -> tuple[Path, ...]:
    """Return some folders and those of NODEGRAPH_ALLOW."""
    if isinstance(named, str | Path):
        named = [named]
    also = os.environ.get("NODEGRAPH_ALLOW", "").split(os.pathsep)
    return tuple(Path(each).expanduser().absolute() for each in (*named, *also) if each)
