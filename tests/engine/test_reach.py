"""Paths in a stranger's workflow: where they may lead, and what links in a folder cannot do."""

import json
from pathlib import Path
from typing import Any

import pytest

import nodegraph
from tests.engine.flows import call, flow, ref, toy


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in; what lies beside it belongs to somebody."""
    folder = tmp_path / "work"
    (folder / "flows").mkdir(parents=True)
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "private.toy").write_text("cat")
    (tmp_path / "secret" / "inner.json").write_text(
        json.dumps(flow({"a": toy("toy")}, {"toy": "a"}))
    )
    (tmp_path / "secret" / "m.safetensors").write_text("checkpoint small")
    monkeypatch.chdir(folder)
    return folder


def reading(path: str) -> dict[str, Any]:
    """A flow that reads a toy from a file that it names itself."""
    nodes = {"all": toy("everything", file=path)}
    return flow(nodes, {"all": "all"})


def problems(data: dict[str, Any], place: Path, **more: Any) -> list[str]:
    place.write_text(json.dumps(data))
    return [problem.code for problem in nodegraph.check(place, **more)]


@pytest.mark.parametrize(
    "path",
    [
        "../../secret/private.toy",
        "../flows/../../secret/private.toy",
        "link/private.toy",
        "link.toy",
        "{secret}/private.toy",
        "/etc/hostname",
        "~/.profile",
        "/proc/self/environ",
    ],
)
def test_a_path_in_a_flow_does_not_lead_out(work: Path, path: str) -> None:
    secret = work.parent / "secret"
    (work / "flows" / "link").symlink_to(secret)
    (work / "flows" / "link.toy").symlink_to(secret / "private.toy")
    named = path.replace("{secret}", str(secret))
    place = work / "flows" / "f.json"
    assert problems(reading(named), place) == ["outside"]
    inputs = {"file": {"type": "file", "default": named}}
    nodes = {"all": toy("everything", file=ref("inputs.file"))}
    assert problems(flow(nodes, {"all": "all"}, inputs=inputs), place) == ["outside"]
    nodes = {"all": toy("everything", to=named)}
    assert problems(flow(nodes, {"all": "all"}), place) == ["outside"]


def test_a_path_leads_where_the_user_allows(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret, place = work.parent / "secret", work / "flows" / "f.json"
    data = reading("../../secret/private.toy")
    assert problems(data, place, allow=[secret]) == []
    assert call("check", str(place)) == 2
    assert call("check", str(place), "--allow", "../secret") == 0
    monkeypatch.setenv("NODEGRAPH_ALLOW", str(secret))
    assert problems(data, place) == []


def test_what_is_given_from_outside_leads_anywhere(work: Path) -> None:
    secret, place = work.parent / "secret", work / "flows" / "f.json"
    inputs = {"file": {"type": "file", "default": "../../secret/private.toy"}}
    nodes = {"all": toy("everything", file=ref("inputs.file"))}
    data = flow(nodes, {"all": "all"}, inputs=inputs)
    assert problems(data, place, inputs={"file": str(secret / "private.toy")}) == []
    assert call("check", str(place), "--file", "../secret/private.toy") == 0
    assert call("check", str(place), "--set", "all.file=../secret/private.toy") == 0


def test_the_current_folder_is_reached_unless_it_is_the_home(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (work / "own.toy").write_text("dog")
    place, data = work / "flows" / "f.json", reading("../own.toy")
    assert problems(data, place) == []
    for home in (work, work / "flows"):
        monkeypatch.setenv("HOME", str(home))
        assert problems(data, place) == ["outside"]


def test_flows_within_and_models_and_lists_do_not_lead_out(work: Path) -> None:
    place = work / "flows" / "f.json"
    within = flow({"in": {"flow": "../../secret/inner.json"}}, {"toy": "in.toy"})
    assert problems(within, place) == ["outside"]
    model = flow({"m": toy("load_model", file="../../secret/m.safetensors")}, {"m": "m"})
    assert "outside" in problems(model, place)
    assert "outside" not in problems(model, place, models=[work.parent / "secret"])
    inputs = {"toy": {"type": "toy", "default": "../../secret/private.toy"}}
    port = flow({"p": toy("paint", toy=ref("inputs.toy"))}, {"p": "p"}, inputs=inputs)
    assert problems(port, place) == ["outside"]


def test_requests_lead_where_flows_may(
    work: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    inputs = {"toy": {"type": "toy"}}
    data = flow({"p": toy("paint", toy=ref("inputs.toy"))}, {"p": "p"}, inputs=inputs)
    (work / "f.json").write_text(json.dumps(data))
    (work / "r.jsonl").write_text('{"toy": "../secret/private.toy"}\n')
    for words, code in ([], 1), (["--allow", "../secret"], 0):
        with (work / "r.jsonl").open() as requests:
            monkeypatch.setattr("sys.stdin", requests)
            assert call("batch", "f.json", "--data", "-", "--out", "o", *words) == code
        answer = json.loads(capfd.readouterr().out)
        assert answer["ok"] is not bool(code)
    assert call("batch", "f.json", "--data", "r.jsonl", "--out", "p") == 0  # the user's own file


def test_links_in_the_folder_of_outputs_are_not_followed(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = work.parent / "secret"
    (work / "f.json").write_text(json.dumps(flow({"a": toy("toy")}, {"toy": "a"})))
    (work / "rows.jsonl").write_text('{"id": "a"}\n')
    (work / "out").mkdir()
    (work / "out" / "f").symlink_to(secret)
    assert call("run", "f.json") == 2
    assert call("batch", "f.json", "--data", "rows.jsonl") == 2
    assert call("run", "f.json", "--out", "out/f") == 0  # said by the user
    (work / "o").mkdir()
    for name in ("toy.toy", "journal.jsonl", "batch.jsonl", "batch.lock", "rows.csv"):
        (work / "o" / name).symlink_to(secret / "private.toy")
    (work / "o" / "a").symlink_to(secret)
    assert call("run", "f.json", "--out", "o") == 2
    (work / "o" / "journal.jsonl").unlink()
    assert call("run", "f.json", "--out", "o") == 0
    assert (work / "o" / "toy.toy").read_text().strip() == "bear"
    for name in ("batch.jsonl", "batch.lock"):
        assert call("batch", "f.json", "--data", "rows.jsonl", "--out", "o") == 2
        (work / "o" / name).unlink()
    assert call("batch", "f.json", "--data", "rows.jsonl", "--out", "o") == 1
    assert "is a link" in capsys.readouterr().err
    assert (secret / "private.toy").read_text() == "cat"


def test_links_within_a_folder_do_not_lead_out_of_reach(work: Path) -> None:
    """Whoever reads a folder follows its links: to a stranger's choice of places, without end."""
    data, place = work / "data", work / "flows" / "f.json"
    (data / "deep").mkdir(parents=True)
    (data / "deep" / "up").symlink_to(data)
    assert problems(reading("../data"), place) == []
    secret = work.parent / "secret"
    for target in (secret, secret / "private.toy"):
        link = data / "deep" / "link"
        link.symlink_to(target)
        assert problems(reading("../data"), place) == ["outside"]
        assert problems(reading("../data"), place, allow=[target]) == []
        assert call("check", str(place), "--set", f"all.file={data}") == 0  # said by the user
        link.unlink()
    (work / "beside").mkdir()
    (work / "beside" / "link").symlink_to("/proc")
    (data / "deep" / "beside").symlink_to(work / "beside")
    assert problems(reading("../data"), place) == ["outside"]


def test_links_in_a_circle_are_told_in_a_line(
    work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (work / "f.json").write_text(json.dumps(flow({"a": toy("toy")}, {"toy": "a"})))
    (work / "loop").symlink_to("loop")
    (work / "out").mkdir()
    (work / "out" / "f").symlink_to("f")
    assert call("check", "f.json", "--allow", "loop") == 0
    monkeypatch.setenv("NODEGRAPH_ALLOW", "loop")
    assert call("check", "f.json") == 0
    capsys.readouterr()
    assert call("run", "f.json") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "cannot be written" in line


def test_models_of_a_relative_folder_may_be_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a cache whose snapshots are links to blobs elsewhere."""
    work, blobs = tmp_path / "work", tmp_path / "blobs"
    (work / "models").mkdir(parents=True)
    blobs.mkdir()
    (blobs / "b").write_text("checkpoint small")
    (work / "models" / "m.safetensors").symlink_to(blobs / "b")
    monkeypatch.chdir(work)
    node = {"type": "toys.load_model", "inputs": {"file": "m"}}
    named = flow({"m": node, "n": toy("model_name", model=ref("m"))}, {"n": "n"})
    assert nodegraph.check(named, models=["models"]) == ()
