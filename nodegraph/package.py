"""An installed node package: where it comes from, and how it is imported."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint
from typing import Any

from .errors import PackageError, reason
from .points import distributed, field_of


@dataclass(frozen=True, slots=True)
class Package:
    """An entry point by which a distribution offers nodes; reading its metadata takes 1 ms."""

    name: str
    module: str
    point: EntryPoint

    @property
    def distribution(self) -> str:
        """What it was installed as."""
        return distributed(self.point.dist)

    @property
    def version(self) -> str:
        """The version of its distribution."""
        return field_of(self.point.dist, "Version") or "0"

    def kinship(self, identity: str) -> int:
        """Say how near a port class, as `module:Class`, is: 0 where it is another's."""
        theirs, own = identity.partition(":")[0].split("."), self.module.split(".")
        pairs = enumerate(zip(theirs, own, strict=False))
        return next((n for n, (a, b) in pairs if a != b), min(len(theirs), len(own)))

    def function(self, name: str) -> Callable[..., Any]:
        """Import the package and return a node function.

        Raises:
            PackageError: the package cannot be imported, or has no such node any more.
        """
        try:
            loaded = import_module(self.module)
        except (Exception, SystemExit) as error:
            raise PackageError(self.broken(reason(error))) from error
        function: Callable[..., Any] | None = getattr(loaded, name, None)
        if function is None:
            raise PackageError(f"{self.name}.{name}: gone since its manifest was read; run again")
        return function

    def broken(self, why: str) -> str:
        """Say that the package cannot be imported, and why."""
        side = f"package {self.name!r} ({self.distribution})"
        return f"{side}: cannot be imported: {why}; repair or uninstall it"
