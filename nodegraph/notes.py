"""What nodes told of themselves, by node: for the records of pictures, and kept with results."""

from collections.abc import Iterator, Mapping
from threading import Lock
from typing import Any

from .frame import Frame
from .keys import FrameKeys
from .plan import Step

Kept = list[list[Any]]
"""As notes are stored: a node's key ("" for the result's own), the way within, what it said."""


class Notes:
    """Notes by the names of nodes; a stored result brings back those of all that it came from.

    There a node is known by its key, since the same result may belong to nodes of other names.
    """

    def __init__(self) -> None:
        self.said: dict[str, dict[str, Any]] = {}
        self._lock = Lock()

    def add(self, name: str, said: Mapping[str, Any]) -> None:
        """Take what a node said."""
        if said:
            with self._lock:
                self.said[name] = dict(said)

    def within(self, record: Mapping[str, Any], frame: Frame, step: Step) -> Mapping[str, Any]:
        """Return a record with what was said by the nodes that a step depends on."""
        if not self.said:
            return record
        names = [n for f, s in _chain(frame, step) for n in self._among(f, s)]
        return with_notes(record, {name: self.said[name] for name in names})

    def kept(self, frame: Frame, step: Step) -> Kept:
        """Return what is to be stored with a step's result: its own notes, and all before it."""
        if not self.said:
            return []
        own = frame.name(step)
        found: Kept = [["", n[len(own) :], self.said[n]] for n in self._under({own})]
        for each, before in _chain(frame, step):
            for name in self._among(each, before):
                key, way = _placed(each, name)
                if key:
                    found.append([key, way, self.said[name]])
        return found

    def restore(self, frame: Frame, step: Step, kept: Kept) -> Iterator[tuple[str, dict[str, Any]]]:
        """Take stored notes, under the names that their nodes have here, and yield them."""
        names = _names(frame) if any(key for key, _, _ in kept) else {}
        for key, way, said in kept:
            for name in names.get(key, []) if key else [frame.name(step)]:
                self.add(name + way, said)
                yield name + way, said

    def _among(self, frame: Frame, step: Step) -> list[str]:
        """Return the nodes that said something, of those in this frame that a step depends on."""
        return self._under({frame.name(each) for each in frame.ancestors(step)})

    def _under(self, places: set[str]) -> list[str]:
        with self._lock:
            said = list(self.said)
        return [name for name in said if _is_under(name, places)]


def with_notes(record: Mapping[str, Any], notes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record with what nodes told, in the order of their names."""
    return {**record, "notes": dict(sorted(notes.items()))} if notes else dict(record)


def _is_under(name: str, places: set[str]) -> bool:
    """Say whether a node is one of some, or in the body of one."""
    return any(name[:end] in places for end in range(1, len(name) + 1) if name[end:][:1] in "[/")


def _chain(frame: Frame, step: Step) -> Iterator[tuple[Frame, Step]]:
    """Yield a step with its frame, then the group that it is in, and so on outwards."""
    yield frame, step
    while frame.group is not None:
        step, frame = frame.group.step, frame.group.frame
        yield frame, step


def _placed(frame: Frame, name: str) -> tuple[str, str]:
    """Return the key of a node in a frame, or in bodies that run once, and the rest of its name."""
    keys, rest = frame.keys, name[len(frame.prefix) :].removeprefix("/")
    while keys is not None:
        end = next((i for i, c in enumerate(rest) if c in "[/"), len(rest))
        id_, rest = rest[:end], rest[end:]
        if keys.steps.get(id_):
            return keys.steps[id_], rest
        keys, rest = keys.bodies.get(id_), rest.removeprefix("/")
    return "", ""


def _names(frame: Frame | None) -> dict[str, list[str]]:
    """Return the names of nodes by their keys, in a frame and those around it."""
    found: dict[str, list[str]] = {}
    while frame is not None:
        pending: list[tuple[str, FrameKeys | None]] = [(frame.prefix, frame.keys)]
        while pending:
            prefix, keys = pending.pop()
            for id_, key in keys.steps.items() if keys else ():
                name = f"{prefix}/{id_}" if prefix and id_ else prefix or id_
                if key:
                    found.setdefault(key, []).append(name)
                elif keys and id_ in keys.bodies:
                    pending.append((name, keys.bodies[id_]))
        frame = frame.group.frame if frame.group else None
    return found
