"""Pipes and devices in the place of files: to open one may wait for ever, or never end."""

import json
import os
from pathlib import Path

import pytest

from nodegraph.picture import is_picture
from tests.engine.flows import call, flow, ref, toy


@pytest.fixture(params=["pipe", "device"])
def odd(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pipe that nobody writes to, or a device that never ends, named like a picture."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "odd.toy"
    if request.param == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    return path


@pytest.mark.parametrize("command", ["run", "check", "verify"])
def test_one_that_is_to_be_run_is_refused(
    odd: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(command, odd.name) == 2
    assert "device or pipe; name a" in capsys.readouterr().err
    assert not is_picture(odd)


@pytest.mark.parametrize(("type_", "node"), [("file", "everything"), ("toy", "paint")])
def test_one_that_is_given_as_an_input_is_refused(
    odd: Path, type_: str, node: str, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs = {type_: ref("inputs.x")}
    data = flow({"a": toy(node, **inputs)}, {"a": "a"}, inputs={"x": {"type": type_}})
    Path("f.json").write_text(json.dumps(data))
    assert call("run", "f.json", "--x", odd.name) == 2
    assert "'odd.toy' is a device or pipe; give a file" in capsys.readouterr().err
