"""The command that makes a picture again from its record and compares the two."""

import argparse
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Final

from nodegraph import __version__
from nodegraph.again import Again, differences
from nodegraph.api import Session
from nodegraph.errors import WorkflowError, one_line
from nodegraph.journal import Event
from nodegraph.record import make_record
from nodegraph.settings import Settings
from nodegraph.writing import scratch

from .comparing import Difference, compare
from .display import display
from .given import picture_session

MOST: Final = 100
"""Differences that are told; the record may be anybody's."""


def verify(arguments: argparse.Namespace) -> int:
    """Say whether a picture can be made again: 0 when every bit is the same, 1 when not."""
    picture = Path(arguments.picture)
    arguments.flow, arguments.rest = arguments.picture, []
    work, made = picture_session(arguments)
    changed = differences(made.record, _now(work, made))
    for line in changed[:MOST]:
        print(one_line(f"changed since: {line}"))
    if len(changed) > MOST:
        print(f"changed since: {len(changed) - MOST:,} more")
    with scratch() as out:
        settings = Settings(out, made.device, made.dtype, arguments.stopped)
        with display(False, arguments.quiet, sys.stdout) as hear, redirect_stdout(sys.stderr):

            def heard(event: Event) -> None:
                if event["event"] != "written":
                    hear(event)

            written = work.run(settings, listeners=[heard]).written
        paths = {w.name: w.path for w in written if w.path and w.path.suffix == ".png"}
        return _told(picture, {name: compare(picture, path) for name, path in paths.items()})


def _now(work: Session, made: Again) -> dict[str, object]:
    """Return what a record made now would say."""
    checked = work.check(running=True)
    if checked.plan is None:
        raise WorkflowError(checked.problems)
    told = {"device": made.device, "dtype": made.dtype}
    return {
        **make_record(work.flow, checked, work.packages, told, work.digests),
        "nodegraph": __version__,
    }


def _told(picture: Path, found: dict[str, Difference | None]) -> int:
    """Tell how the picture and what was made again differ."""
    same = [name for name, difference in found.items() if difference and not difference.share]
    if same:
        print(f"{picture}: the same as the output {same[0]!r}, bit by bit")
        return 0
    near = {name: each for name, each in found.items() if each is not None}
    if not near:
        print(f"{picture}: no output of its flow is a picture of its size")
        return 1
    name, nearest = min(near.items(), key=lambda item: (item[1].share, item[1].most))
    print(
        f"{picture}: differs from the output {name!r} in {100 * nearest.share:.3g}% of the pixels, "
        f"by at most {nearest.most} of {nearest.scale}"
    )
    return 1
