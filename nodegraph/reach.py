"""Where paths that stand in workflows may lead: a workflow may be a stranger's."""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .values import Misfit, show
from .workflow import Literal, Workflow

MOST_NAMES: Final = 1_000_000
"""Links and folders below a folder that are looked at."""


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
        return cls(_real(own, *allowed, *narrow(Path.cwd())))

    @classmethod
    def of_picture(
        cls, picture: Path, found: Iterable[Path], allowed: Iterable[Path] = ()
    ) -> "Reach":
        """Reach what a picture's flow was found to need, and what lies beside it or here.

        It may be a stranger's: it writes only where the user allows it, and neither the picture's
        folder nor the working directory is reached where that is the user's home, or around it.
        """
        beside = picture.absolute().parent
        places = _real(*found, *allowed, *narrow(beside, Path.cwd()))
        return cls(places, _real(*allowed))

    def need(self, path: Path, literal: Literal, *, written: bool = False) -> None:
        """Let a path pass that may be named; one that is `written` lies in a folder that may.

        Raises:
            Misfit: it leads somewhere else.
        """
        if not literal.confined:
            return
        real = Path(os.path.realpath(path))
        if self._holds(real) and not written:
            self._need_below(real, literal)
            return
        writable = self.places if self.written is None else self.written
        if not (written and any(place in real.parents for place in writable)):
            said = "where no path in a workflow may lead"
            if written and self.written is not None:
                said = "and the flow of a picture writes nowhere unasked"
            message = f"{show(literal.value)} leads to {real}, {said}"
            folder = real if real.is_dir() else real.parent
            raise Misfit("outside", f"{message}; allow it with --allow {folder}")

    def _holds(self, real: Path) -> bool:
        return any(real.is_relative_to(place) for place in self.places)

    def _need_below(self, folder: Path, literal: Literal) -> None:
        """Let a folder pass in which no link leads out: whoever reads it follows them."""
        pending, seen = [str(folder)], {str(folder)}
        left = MOST_NAMES
        while pending:
            for name, real in _links_and_folders(pending.pop()):
                left -= 1
                if not self._holds(Path(real)):
                    said = f"{show(literal.value)} holds a link, {name!r}, that leads to {real}"
                    place = real if os.path.isdir(real) else os.path.dirname(real)  # noqa: PTH112,PTH120
                    help_ = f"allow it with --allow {place}"
                    raise Misfit(
                        "outside", f"{said}, where no path in a workflow may lead; {help_}"
                    )
                if left < 0:
                    said = f"{show(literal.value)} holds more than {MOST_NAMES:,} links and folders"
                    raise Misfit("too_large", f"{said}; give it from outside, such as with --set")
                if real not in seen:
                    seen.add(real)
                    pending.append(real)


def _links_and_folders(folder: str) -> Iterator[tuple[str, str]]:
    """Yield the links and folders in a folder: the name of each, and where it is or leads to."""
    with suppress(OSError), os.scandir(folder) as entries:  # a file, or what nobody may read
        for entry in entries:
            if entry.is_symlink():
                yield entry.name, os.path.realpath(entry.path)
            elif entry.is_dir():
                yield entry.name, entry.path


def _real(*places: Path) -> tuple[Path, ...]:
    return tuple(Path(os.path.realpath(each)) for each in places)


def narrow(*folders: Path) -> Iterator[Path]:
    """Yield folders, links followed, that are not the user's home, or around it."""
    (home,) = _real(Path.home())
    for folder in _real(*folders):
        if folder not in (home, *home.parents):
            yield folder


def allowed_folders(named: Iterable[str | Path] = ()) -> tuple[Path, ...]:
    """Return some folders and those of NODEGRAPH_ALLOW."""
    if isinstance(named, str | Path):
        named = [named]
    also = os.environ.get("NODEGRAPH_ALLOW", "").split(os.pathsep)
    return tuple(Path(each).expanduser().absolute() for each in (*named, *also) if each)
