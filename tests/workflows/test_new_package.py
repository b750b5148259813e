"""`nodegraph new-package` writes a package that installs and passes its own tests at once."""

import json
import shutil
from pathlib import Path

import pytest

from nodegraph.cli import main
from tests.workflows.elsewhere import Elsewhere


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Elsewhere:
    """A user who wrote a package and installed it."""
    place = Elsewhere(tmp_path_factory.mktemp("author"))
    place.nodegraph("new-package", "sun_light")
    place.install(place.folder / "nodegraph-sun-light")
    return place


def test_a_new_package_passes_its_own_tests(installed: Elsewhere) -> None:
    tests = (str(installed.python), "-m", "pytest", "-v")
    said = installed.call(*tests, within="nodegraph-sun-light")
    assert "nodegraph:sun_light::brighten: called at the edges of its ranges PASS" in said
    assert "8 passed" in said
    said = installed.call(*tests, "tests", within="nodegraph-sun-light")
    assert "2 passed" in said


def test_its_flow_and_its_page_are_there(installed: Elsewhere) -> None:
    flow = str(installed.folder / "nodegraph-sun-light" / "flow.json")
    assert "image.png" in installed.nodegraph("run", flow, "--amount", "0.5", "--out", "o")
    assert "Brighten pictures" in installed.nodegraph("nodes", "sun_light.brighten")
    said = installed.nodegraph("doctor")
    assert "sun_light: nodegraph-sun-light 0.1.0, 1 nodes" in said
    assert "nothing to mend\n" in said  # a slow machine may be told of, too


def test_a_name_that_is_installed_is_taken(installed: Elsewhere) -> None:
    said = installed.nodegraph("new-package", "sun_light", "--out", "again", expect=2)
    assert "a package 'sun_light' is installed already; choose another name" in said


@pytest.mark.parametrize("name", ["class", "json", "Sun", "sun-light", "", "9", "x" * 41, "a b"])
def test_a_name_that_cannot_be_used_is_refused(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["new-package", name, "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("nodegraph: new-package: ")
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "nodegraph-mine").mkdir()
    assert main(["new-package", "mine", "--out", str(tmp_path)]) == 2
    assert "is there already; remove it" in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert main(["new-package", "mine", "--out", str(tmp_path / "file")]) == 2
    assert "choose another folder with --out" in capsys.readouterr().err


ILL = {
    "broken": "import nothing_of_this_name",
    "leaving": "raise SystemExit(3)",
    "wheel": "",
}


def test_doctor_names_each_package_that_is_ill_and_what_to_do(installed: Elsewhere) -> None:
    site = next((installed.folder / "venv").glob("lib/python*/site-packages"))
    for name, source in ILL.items():
        (site / f"{name}_pack.py").write_text(source)
        module = "json" if name == "wheel" else f"{name}_pack"
        info = site / f"{name}_dist-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}-dist\nVersion: 1.0\n"
            "Requires-Dist: nodegraph>=99\nRequires-Dist: torch==1.0\n"
        )
        (info / "entry_points.txt").write_text(f"[nodegraph.nodes]\n{name} = {module}\n")
    said = installed.nodegraph("doctor", expect=1)
    flow = str(installed.folder / "nodegraph-sun-light" / "flow.json")
    assert "no problems" in installed.nodegraph("check", flow)
    assert "'broken' (broken-dist): cannot be imported: ModuleNotFoundError" in said
    assert (
        "'leaving' (leaving-dist): cannot be imported: SystemExit: 3; repair or uninstall" in said
    )
    assert "its module 'json' has the name of one of Python's; rename it" in said
    assert "broken (broken-dist) wants nodegraph>=99, 0.1.0 is there; pip install -U" in said
    assert "leaving (leaving-dist) wants torch==1.0" in said
    told = json.loads(installed.nodegraph("doctor", "--json", expect=1))
    assert sum(finding["fault"] for finding in told) == 9
    for name in ILL:
        shutil.rmtree(site / f"{name}_dist-1.0.dist-info")
