"""What `nodegraph test-package` finds in a package, and that ours pass it."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nodegraph.cli import main
from nodegraph.conformance import Check, try_package
from nodegraph.packages import Packages
from tests.engine.conftest import write_metadata

NODE = """
import random
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
def {name}(box: Box, *, n: Annotated[int, Field(ge=0, le=5)] = 0) -> Box:
    {doc}
    {body}
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Install a package with one good node and one of a given body."""
    monkeypatch.setenv("NODEGRAPH_CACHE", str(tmp_path / "cache"))

    def package(name: str, body: str, doc: str) -> None:
        folder = tmp_path / f"dist-{name}"
        write_metadata(folder, folder.name, f"[nodegraph.nodes]\n{name} = {name}_pack\n")
        source = NODE.replace("{name}", name).replace("{body}", body).replace("{doc}", doc)
        (folder / f"{name}_pack.py").write_text(source)
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


@pytest.mark.parametrize(
    ("name", "body", "fault"),
    [
        ("broken", "return 1 // 0", "n=0: raised ZeroDivisionError"),
        ("edgy", "return box if n < 5 else 1 // 0", "n=5: raised ZeroDivisionError"),
        ("loud", "print(n); return box", "printed something"),
        ("rude", "box.items.append(n); return box", "changed a value that it was given"),
        ("fickle", "return Box([object()])", "differs between two equal calls"),
        ("dicey", "return Box([random.random()])", "used the global random state"),
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


@pytest.mark.parametrize("name", ["image", "diffusion", "blocks", "training"])
def test_our_own_packages_pass(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["test-package", name, "--json"]) == 0
    checks = json.loads(capsys.readouterr().out)
    assert len(checks) > 10
    called = [c for c in checks if "called at" in c["what"] and not c["passed_over"]]
    assert called or name == "training"
