"""Port types: a class that may travel between nodes, and how its values are read and written."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeGuard, TypeVar, overload

from .errors import PackageError, contained, reason

T = TypeVar("T")
C = TypeVar("C", bound=type)

ABILITIES = ("read", "write", "dump", "restore", "size", "digest", "describe", "examples")


class Codec(Generic[T]):
    """How the values of one port type are read, written, stored and described.

    Every method is optional; what a codec does not define, its type cannot do.
    """

    suffixes: ClassVar[tuple[str, ...]] = ()
    """Suffixes of files that `read` understands, such as `(".png", ".jpg")`."""

    @staticmethod
    def read(path: Path) -> T:
        """Read a value from a file that a user named."""
        raise NotImplementedError

    @staticmethod
    def write(value: T, stem: Path, record: Mapping[str, Any] | None) -> list[Path]:
        """Write files for a user, named `stem` and a suffix, and say which; embed `record`."""
        raise NotImplementedError

    @staticmethod
    def dump(value: T, folder: Path) -> None:
        """Store a value in an empty folder, without pickle."""
        raise NotImplementedError

    @staticmethod
    def restore(folder: Path) -> T:
        """Give back what `dump` stored."""
        raise NotImplementedError

    @staticmethod
    def size(value: T) -> int:
        """Bytes that the value holds in memory."""
        raise NotImplementedError

    @staticmethod
    def digest(value: T) -> str:
        """Hex digest of the content: equal values give equal digests."""
        raise NotImplementedError

    @staticmethod
    def describe(value: T) -> str:
        """One short line for people, such as `1 x 128 x 128`."""
        raise NotImplementedError

    @staticmethod
    def examples() -> Sequence[T]:
        """Give a few small values, with which nodes that take the type are tried."""
        raise NotImplementedError

    @classmethod
    def can(cls, ability: str) -> bool:
        """Say whether this codec defines the method `ability`."""
        return getattr(cls, ability) is not getattr(Codec, ability)


@dataclass(frozen=True, slots=True)
class Port:
    """What `@port` attaches to a class, as `__nodegraph_port__`."""

    id: str
    name: str
    codec: type[Codec[Any]]


@overload
def port(cls: C) -> C: ...
@overload
def port(*, codec: type[Codec[Any]]) -> Callable[[C], C]: ...
def port(cls: C | None = None, *, codec: type[Codec[Any]] = Codec) -> C | Callable[[C], C]:
    """Declare a class as a port type, optionally with the codec of its values.

    Its name in workflows is the class name in lower case.
    """

    def attach(target: C) -> C:
        identity = f"{target.__module__}:{target.__qualname__}"
        target.__nodegraph_port__ = Port(  # type: ignore[attr-defined]
            identity, target.__name__.lower(), _guarded(codec, identity)
        )
        return target

    return attach if cls is None else attach(cls)


def _guarded(codec: object, identity: str) -> type[Codec[Any]]:
    """Return a codec whose methods cannot end the program."""
    if not _is_codec(codec):
        raise PackageError(f"{identity}: its codec is {codec!r}; give a class derived from Codec")
    if not _are_suffixes(codec.suffixes):
        help_ = 'write such as (".png",), small, with the point and the comma'
        raise PackageError(f"{identity}: its codec's suffixes are {codec.suffixes!r}; {help_}")
    own = {
        ability: staticmethod(contained(f"{identity}, {ability}:")(getattr(codec, ability)))
        for ability in ABILITIES
        if codec.can(ability)
    }
    return type(codec.__name__, (codec,), own)


def _is_codec(value: object) -> TypeGuard[type[Codec[Any]]]:
    return isinstance(value, type) and issubclass(value, Codec)


def _are_suffixes(value: object) -> bool:
    return _is_tuple(value) and all(str(s) == str(s).lower() and str(s)[:1] == "." for s in value)


def _is_tuple(value: object) -> TypeGuard[tuple[Any, ...]]:
    return isinstance(value, tuple)


def declared_port(value: object) -> Port | None:
    """Return the port type of a value, or None when its class is not declared with `@port`."""
    declared = getattr(type(value), "__nodegraph_port__", None)
    return declared if isinstance(declared, Port) else None


def port_named(identity: str) -> Port:
    """Return the declaration of a port class given as `module:Class`; imports the module.

    Raises:
        PackageError: there is no such port class.
    """
    module, _, name = identity.partition(":")
    try:
        target: Any = import_module(module)
    except (Exception, SystemExit) as error:
        message = f"{identity}: its module cannot be imported: {reason(error)}"
        raise PackageError(f"{message}; repair or uninstall its package") from error
    for part in name.split("."):
        target = getattr(target, part, None)
    if target is None:
        raise PackageError(f"{identity}: a port class must be importable by its name")
    return port_of(target)


def port_of(cls: object) -> Port:
    """Return the declaration of a port class.

    Raises:
        PackageError: the class was not declared with `@port`.
    """
    declared = getattr(cls, "__nodegraph_port__", None)
    if not isinstance(declared, Port):
        name = getattr(cls, "__qualname__", repr(cls))
        raise PackageError(
            f"{name}: not a type that a port can have; decorate its class with @port"
        )
    return declared
