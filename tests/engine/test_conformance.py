"""What `nodegraph test-package` finds in a package, and that ours pass it."""

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from nodegraph import conformance, watching
from nodegraph.cli import main
from nodegraph.conformance import Check, trials, try_package
from nodegraph.decorator import spec_of
from nodegraph.packages import Packages
from tests.engine.conftest import write_metadata

NODE = """
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from pydantic import Field
from nodegraph import Codec, Context, node, port

class BoxCodec(Codec["Box"]):
    @staticmethod
    def examples(): return [Box([1, 2])]
    @staticmethod
    def digest(value): return repr(value.items)
    @staticmethod
    def dump(value, folder): (folder / "x").write_text(HOW(value))
    @staticmethod
    def restore(folder): return Box(eval((folder / "x").read_text()))

HOW = lambda value: repr(value.items)

@port(codec=BoxCodec)
@dataclass
class Box:
    "Holds items."
    items: list

@node
def good(box: Box, *, at: Annotated[int, Field(ge=0, le=1)] = 0) -> int:
    "Take an item."
    return box.items[at]

@node
def {name}(box: Box, {lent}*, n: Annotated[int, Field(ge=0, le=5)] = 0) -> Box:
    {doc}
    {body}
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Install a package with one good node and one of a given body."""
    monkeypatch.setenv("NODEGRAPH_CACHE", str(tmp_path / "cache"))

    def package(name: str, body: str, doc: str, lent: str = "", far: str = "") -> None:
        folder = tmp_path / f"dist-{name}"
        write_metadata(folder, folder.name, f"[nodegraph.nodes]\n{name} = {name}_pack\n")
        source = NODE.replace("{name}", name).replace("{body}", body).replace("{doc}", doc)
        source = source.replace("{lent}", lent)
        (folder / f"{name}_pack.py").write_text(source + far)
        monkeypatch.syspath_prepend(str(folder))

    return package


@pytest.fixture
def tried(installed: Callable[..., None]) -> Callable[..., list[Check]]:
    """Try such a package and return what is wrong with it."""

    def package(name: str, body: str, doc: str = "'Do something.'") -> list[Check]:
        installed(name, body, doc)
        found = list(try_package(name, Packages.installed()))
        sys.modules.pop(f"{name}_pack")
        assert not [c for c in found if c.node == f"{name}.good" and c.fault]
        return [check for check in found if check.fault]

    return package


@pytest.fixture
def pytested(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run pytest in a folder of its own, with one test in it, where the packages are found."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "test_own.py").write_text("def test_own(): pass\n")

    def call(*words: str, settings: str = "") -> subprocess.CompletedProcess[str]:
        (tmp_path / "own" / "pytest.ini").write_text(f"[pytest]\n{settings}\n")
        command = [sys.executable, "-m", "pytest", "-v", "-rs", *words]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        return subprocess.run(
            command, cwd=tmp_path / "own", env=environment, capture_output=True, text=True
        )

    return call


Pytested = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize(
    ("name", "body", "fault"),
    [
        ("broken", "return 1 // 0", "n=0: raised ZeroDivisionError"),
        ("edgy", "return box if n < 5 else 1 // 0", "n=5: raised ZeroDivisionError"),
        ("loud", "print(n); return box", "printed something"),
        ("rude", "box.items.append(n); return box", "changed a value that it was given"),
        ("fickle", "return Box([object()])", "differs between two equal calls"),
        ("dicey", "return Box([random.random()])", "used the global random state"),
        ("roving", "import os; os.chdir('/'); return box", "changed the current folder"),
        ("leaving", "raise SystemExit(3)", "raised SystemExit: 3; raise a ValueError in words"),
        ("lying", "return 3", "output 'output': 3 is not a box"),
        ("lossy", "return Box(['a', b'b'][:1] + [float('nan')])", "cannot be stored and restored"),
    ],
)
def test_what_a_node_must_not_do_is_found(
    tried: Callable[..., list[Check]], name: str, body: str, fault: str
) -> None:
    (check,) = tried(name, body)
    assert check.node == f"{name}.{name}"
    assert fault in check.fault


ODD = """
class BadCodec(Codec["Bad"]):
    @staticmethod
    def examples(): {examples}
    @staticmethod
    def digest(value): raise RuntimeError("no digest")

@port(codec=BadCodec)
@dataclass(frozen=True)
class Bad:
    "Cannot be tried."

@node
def take(bad: Bad) -> int:
    "Take."
    return 1
"""


@pytest.mark.parametrize(
    ("examples", "said"),
    [
        ("raise KeyError('none')", "KeyError: 'none'"),
        ("return None", "TypeError: 'NoneType' object is not iterable"),
        ("return [Bad()]", "RuntimeError: no digest"),
        ("return [1]", "1 is not a bad"),
    ],
)
def test_a_codec_that_fails_is_a_fault_of_its_nodes(
    installed: Callable[..., None], examples: str, said: str
) -> None:
    installed("wobbly", "return box", "'Nothing.'", far=ODD.replace("{examples}", examples))
    (check,) = [c for c in try_package("wobbly", Packages.installed()) if c.fault]
    sys.modules.pop("wobbly_pack")
    assert check.node == "wobbly.take"
    assert check.fault.startswith("its types cannot be tried: ")
    assert said in check.fault


HELD = """
import numpy
import torch

class BagCodec(Codec["Bag"]):
    @staticmethod
    def examples(): return [Bag({held})]

@port(codec=BagCodec)
@dataclass{slots}
class Bag:
    "Holds something, and has no digest."
    held: object

@node
def take(bag: Bag) -> int:
    "Take."
    {change}
    return 1
"""
ALL = {
    "a tensor": ("torch.ones(3)", "bag.held.mul_(2)"),
    "a tensor, and back": ("torch.ones(3)", "bag.held.neg_()"),
    "a tensor of halves": ("torch.ones(3, dtype=torch.bfloat16)", "bag.held[1] = 0"),
    "a view": ("torch.ones(3, 4).T", "bag.held[1:2].zero_()"),
    "an array": ("numpy.ones(3)", "bag.held *= 2"),
    "an array's part": ("numpy.ones((3, 4))[:, ::2]", "bag.held[0] = 2"),
    "a list": ("[1]", "bag.held.append(2)"),
    "a table": ("{'a': 1}", "bag.held['a'] = 2"),
    "a set": ("{1}", "bag.held.add(2)"),
    "an attribute": ("1", "bag.held = 2"),
    "deep": ("[{'a': (numpy.ones(3),)}]", "bag.held[0]['a'][0][1] = 7"),
    "a port within": ("Box([1])", "bag.held.items.append(2)"),
    "a model": ("torch.nn.Linear(2, 2)", "torch.nn.init.zeros_(bag.held.weight)"),
    "a mode": ("torch.nn.Linear(2, 2)", "bag.held.eval()"),
    "before it refuses": ("[1]", "bag.held.append(2); raise ValueError('no')"),
}


@pytest.mark.parametrize("slots", ["", "(slots=True)"])
@pytest.mark.parametrize(("held", "change"), ALL.values(), ids=ALL)
def test_a_value_that_is_changed_in_place_is_found_wherever_it_is(
    installed: Callable[..., None], held: str, change: str, slots: str
) -> None:
    far = HELD.replace("{held}", held).replace("{change}", change).replace("{slots}", slots)
    installed("rough", "return box", "'Nothing.'", far=far)
    package = Packages.installed().package("rough")
    spec = spec_of(package.function("take"))
    assert spec is not None
    found = conformance._calls("rough.take", "called", spec, package)
    sys.modules.pop("rough_pack")
    assert "changed a value that it was given; return a new one" in found.fault


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ("bag.cached = 1", ""),
        ("sum(bag.held)", ""),
        ("global LAST; LAST.append(bag); return LAST", "changed what it had given before"),
    ],
)
def test_what_a_call_may_and_may_not_leave_behind(
    installed: Callable[..., None], change: str, fault: str
) -> None:
    far = HELD.replace("{held}", "[1]").replace("{change}", change).replace("{slots}", "")
    far = far.replace("-> int", "-> list[Bag]") if fault else far
    installed("rough", "return box", "'Nothing.'", far=f"LAST = []\n{far}")
    package = Packages.installed().package("rough")
    spec = spec_of(package.function("take"))
    assert spec is not None
    found = conformance._calls("rough.take", "called", spec, package)
    sys.modules.pop("rough_pack")
    assert (fault in found.fault) if fault else not found.fault


def test_printing_at_import_is_a_fault(installed: Callable[..., None]) -> None:
    installed("chatty", "return box", "'Nothing.'", far="print('hello')")
    (check,) = [c for c in try_package("chatty", Packages.installed()) if c.fault]
    assert (check.what, check.fault) == (
        "is imported without printing",
        "it prints something; print nothing",
    )


def test_a_node_that_imports_torch_first_has_not_used_it(
    installed: Callable[..., None], pytested: Pytested
) -> None:
    installed("late", "import torch; return box", "'Import.'")
    assert "10 passed" in pytested("--nodegraph-package", "late").stdout


def test_a_refusal_in_words_is_good(tried: Callable[..., list[Check]]) -> None:
    assert tried("careful", "raise ValueError('n: too much; give less')") == []
    (check,) = tried("mute", "raise ValueError")
    assert "without words" in check.fault


def test_a_node_without_help_is_found(tried: Callable[..., list[Check]]) -> None:
    assert [check.what for check in tried("silent", "return box", doc="''")] == ["has a help page"]


def test_the_command_tells_and_fails(
    installed: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    installed("shaky", "return 1 // n and box", "'Divide.'")
    assert main(["test-package", "shaky"]) == 1
    said = capsys.readouterr().out
    assert "!!  shaky.shaky" in said
    assert "ok  shaky.good" in said
    assert main(["test-package", "shakey"]) == 2
    assert "no package 'shakey'; did you mean 'shaky'?" in capsys.readouterr().err


BAD = """
import ctypes, os, sys
@node
def a_leaver() -> int:
    "Leave."
    os._exit(0)
@node
def b_crasher() -> int:
    "Crash."
    os.kill(os.getpid(), 11)
    return 1
@node
def c_sleeper() -> int:
    "Sleep."
    time.sleep(1e9)
    return 1
@node
def d_spinner() -> int:
    "Spin."
    while True: pass
@node
def e_printer() -> int:
    "Print past Python, and read what it is not given."
    os.write(1, b"hello\\n")
    return len(sys.stdin.read())
"""


def test_a_node_that_hangs_or_ends_its_process_is_a_fault_and_others_are_tried(
    installed: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watching, "PATIENCE", 3)
    installed("stuck", "return box", "'Nothing.'", far=BAD)
    assert main(["test-package", "stuck"]) == 1
    said = capsys.readouterr().out
    asked = "called at the edges of its ranges"
    assert (
        f"!!  stuck.a_leaver               {asked}: ended the process that it ran in (exit" in said
    )
    assert (
        f"!!  stuck.b_crasher              {asked}: ended the process that it ran in (SIGSEGV"
        in said
    )
    assert f"!!  stuck.c_sleeper              {asked}: not done after 3 s, and did not stop" in said
    assert f"!!  stuck.d_spinner              {asked}: not done after 3 s, and did not stop" in said
    assert f"ok  stuck.e_printer              {asked}, 1 times" in said
    assert "ok  stuck.good" in said
    assert "4 failed" in said


def test_pytest_has_a_test_for_each_check(
    installed: Callable[..., None], pytested: Pytested
) -> None:
    installed("shaky", "return 1 // n and box", "'Divide.'")
    done = pytested("--nodegraph-package", "shaky")
    assert done.returncode == 1
    assert "nodegraph:shaky::good: called at the edges of its ranges PASSED" in done.stdout
    assert "nodegraph:shaky::shaky: called at the edges of its ranges FAILED" in done.stdout
    assert "n=0: raised ZeroDivisionError" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert "1 failed, 9 passed" in done.stdout
    assert "collected 10 items" in done.stdout
    assert (
        "9 passed, 1 deselected"
        in pytested(*("--nodegraph-package", "shaky", "-k", "not (shaky: and edges)")).stdout
    )


FAR = """
@node
def far(path: Path) -> int:
    "Read."
"""


def test_packages_of_the_settings_are_tried_where_no_path_is_given(
    installed: Callable[..., None], pytested: Pytested
) -> None:
    installed("reader", "return box", "'Read.'", far=FAR)
    settings = "nodegraph_packages = reader"
    done = pytested(settings=settings)
    assert done.returncode == 0
    assert "SKIPPED" in done.stdout
    assert "it reads or writes files" in done.stdout
    assert "1 passed" in pytested("test_own.py", settings=settings).stdout
    assert "1 passed" in pytested().stdout


@pytest.mark.parametrize("more", [[], ["-n2"]])
def test_pytest_says_in_a_line_what_cannot_be_tried(
    installed: Callable[..., None], pytested: Pytested, more: list[str]
) -> None:
    installed("shaky", "return box", "'Nothing.'")
    installed("ill", "return box", "'Nothing.'", far="import nothing_of_this_name")
    words = ("--nodegraph-package", "shakey", "--nodegraph-package", "ill")
    done = pytested(*words, *more)
    assert done.returncode == 1
    assert "nodegraph: no package 'shakey'; did you mean 'shaky'?" in done.stdout
    assert "package 'ill' (dist-ill): cannot be imported: ModuleNotFoundError" in done.stdout
    assert "2 failed, 1 passed" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert "INTERNALERROR" not in done.stdout + done.stderr


CURIOUS = """
def pytest_collection_modifyitems(items):
    for item in items:
        assert not item.fixturenames and not item.funcargs and callable(item.function)
        assert item.cls is None and item.obj

def pytest_runtest_setup(item):
    assert "db" not in item.fixturenames
"""


def test_plugins_find_in_a_check_what_they_look_for_in_a_test(
    installed: Callable[..., None], pytested: Pytested, tmp_path: Path
) -> None:
    installed("fine", "return box", "'Nothing.'")
    (tmp_path / "own" / "conftest.py").write_text(CURIOUS)
    assert "10 passed" in pytested("--nodegraph-package", "fine").stdout


SLOW = """for _ in range(600):
        context.progress(1, 2)
        time.sleep(0.1)
    return box"""


def test_a_node_that_takes_long_is_stopped(
    installed: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conformance, "SECONDS", 0.3)
    installed("lasting", SLOW, "'Wait.'", "context: Context, ")
    (check,) = [c for c in try_package("lasting", Packages.installed()) if c.passed_over]
    assert (check.node, check.passed_over) == ("lasting.lasting", "it takes over 0 s")
    monkeypatch.setattr(conformance, "SILENT", 0.1)
    installed("mute", "time.sleep(0.1); return box", "'Wait.'")
    (check,) = [c for c in try_package("mute", Packages.installed()) if c.fault]
    assert "took long without a word; call Context.progress" in check.fault


def test_most_of_our_own_nodes_are_called() -> None:
    packages = Packages.installed()
    for name in ("image", "diffusion", "blocks"):
        edges = [t for t in trials(name, packages) if t.what.startswith("called at")]
        assert len(edges) == len(packages.manifest(name).nodes)
    uncalled = {
        spec.name
        for spec in map(partial(packages.spec, "diffusion"), packages.manifest("diffusion").nodes)
        if conformance.why_not(spec)
    }
    assert uncalled == {"load_checkpoint", "load_controlnet", "load_vae"}
