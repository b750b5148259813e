"""What can go wrong, one class for each person who has to act."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

LONGEST: Final = 800
"""Characters of a message; a workflow may hold megabytes of text."""


def one_line(text: str) -> str:
    """Return text that is safe on one line of a terminal, shortened; `\\n` is a space."""
    if len(text) > LONGEST:
        text = f"{text[: LONGEST // 2]} ... {text[-LONGEST // 2 :]}"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else " " if c.isspace() else repr(c)[1:-1] for c in text)


def reason(error: BaseException) -> str:
    """Say in one line what an exception is about."""
    try:
        said = " ".join(str(error).split())
    except Exception:  # noqa: BLE001 (a stranger's `__str__`)
        said = ""
    return one_line(f"{type(error).__name__}: {said}".rstrip(": "))


def in_words(error: BaseException) -> str:
    """Say what an exception is about; of one that is raised to tell the user only its words."""
    words = reason(error)
    if isinstance(error, ValueError | NodegraphError):  # users know no classes
        words = words.partition(": ")[2] or "no reason given"
    return words


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a workflow: a stable code, a JSON pointer, a sentence."""

    code: str
    pointer: str
    message: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", one_line(self.message))

    def __str__(self) -> str:
        return self.message

    @classmethod
    def at(cls, code: str, path: tuple[str | int, ...], message: str) -> "Problem":
        """Return a problem at a place of a JSON document, its way through the keys as a pointer."""
        where = "".join("/" + str(p).replace("~", "~0").replace("/", "~1") for p in path)
        return cls(code, where, message)


class NodegraphError(Exception):
    """Anything that nodegraph reports by itself; `node` and `port` say where, if anywhere."""

    code = "error"

    def __init__(self, message: str, *, node: str = "", port: str = "") -> None:
        super().__init__("\n".join(map(one_line, message.split("\n"))))
        self.node = node
        self.port = port


class WorkflowError(NodegraphError):
    """Somebody has to edit the workflow, or the values given to it."""

    code = "workflow"

    def __init__(self, problems: Sequence[Problem] | str) -> None:
        if isinstance(problems, str):
            problems = [Problem(self.code, "", problems)]
        super().__init__("\n".join(problem.message for problem in problems))
        self.problems = tuple(problems)


class PackageError(NodegraphError):
    """Somebody has to repair or install a node package."""

    code = "package"


class NodeError(NodegraphError):
    """A node raised while it ran; the cause is chained."""

    code = "node_failed"


class WeightsError(NodegraphError):
    """A model file is not what it claims to be."""

    code = "weights"


@contextmanager
def contained(who: str) -> Generator[None, None, None]:
    """Run what a package has written: where it ends the program, it has failed like anything else.

    Raises:
        NodegraphError: it called `sys.exit`, or raised another thing that is no `Exception`.
    """
    try:
        yield
    except (Exception, KeyboardInterrupt):
        raise
    except BaseException as error:
        help_ = "raise a ValueError in words for what cannot be"
        raise NodegraphError(f"{who} raised {reason(error)}; {help_}") from error
