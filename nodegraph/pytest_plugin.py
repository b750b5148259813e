"""A pytest plugin: the checks of `nodegraph test-package` as tests beside an author's own.

In `pyproject.toml`, or on the command line with `--nodegraph-package NAME`:

    [tool.pytest.ini_options]
    nodegraph_packages = ["frames"]

pytest reads this module wherever nodegraph is installed, so it imports the engine only when asked.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from .errors import PackageError

if TYPE_CHECKING:
    from .conformance import Trial


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option and the setting."""
    parser.getgroup("nodegraph").addoption(
        "--nodegraph-package",
        action="append",
        default=[],
        metavar="NAME",
        help="also try this node package as `nodegraph test-package NAME` does; may be repeated",
    )
    parser.addini(
        "nodegraph_packages",
        "node packages that `pytest` without paths tries, as `nodegraph test-package` does",
        type="args",
        default=[],
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Add one test for each check of the packages that are to be tried."""
    for name in _wanted(config):
        checks = _made(_Package, session, name=name, nodeid=f"nodegraph:{name}")
        report = checks.ihook.pytest_make_collect_report(collector=checks)
        checks.ihook.pytest_collectreport(report=report)
        items.extend(report.result)


def _wanted(config: pytest.Config) -> list[str]:
    """Return packages to try: those of the settings only where no test was asked for by name."""
    named: list[str] = [*(config.getoption("nodegraph_package") or ())]
    if config.args_source is not pytest.Config.ArgsSource.ARGS:
        named += config.getini("nodegraph_packages")
    return list(dict.fromkeys(named))


def _made(kind: Any, parent: pytest.Collector, **given: Any) -> Any:
    """Make a part of pytest's tree, whose keywords have no types."""
    return kind.from_parent(parent, **given)


class _Package(pytest.Collector):
    """All checks of one package."""

    def collect(self) -> Iterator["_Check"]:
        from .conformance import Check, Trial, trials
        from .packages import Packages
        from .values import near

        packages = Packages.installed()
        fault, listed = "", list[Trial]()
        if self.name not in packages.entries:
            help_ = near(self.name, packages.names) or f"; installed: {', '.join(packages.names)}"
            fault = f"nodegraph: no package {self.name!r}{help_}"
        else:
            try:
                listed = list(trials(self.name, packages))
            except PackageError as error:
                fault = f"nodegraph: {error}"
        if fault:  # a test that fails: xdist ends where a collection does not succeed
            listed = [Trial("", "can be tried", lambda: Check("", "", fault))]
        for trial in listed:
            node = trial.node.removeprefix(f"{self.name}.")
            name = f"{node}: {trial.what}" if node else trial.what
            yield _made(_Check, self, name=name, trial=trial)


class _Check(pytest.Item):
    """One check, with what plugins look for in a test: it is no function of a module's."""

    module = cls = None

    def __init__(self, *, trial: "Trial", **place: Any) -> None:
        super().__init__(**place)  # pyright: ignore[reportUnknownMemberType]
        self.trial = trial
        self.obj = self.function = trial.look
        self.fixturenames: list[str] = []
        self.funcargs: dict[str, Any] = {}

    def runtest(self) -> None:
        check = self.trial.look()
        if check.passed_over:
            pytest.skip(check.passed_over)
        if check.fault:
            said = f"{check.node} {check.what}: {check.fault}" if check.what else check.fault
            pytest.fail(said, pytrace=False)

    def reportinfo(self) -> tuple[Any, None, str]:
        return self.path, None, self.nodeid
