"""Makes the toys an installed package: metadata on the path, as pip would leave it."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.batches import FLOW
from tests.engine.packs import Put, lay

HERE = Path(__file__).parent

ENTRY_POINTS = """\
[nodegraph.nodes]
toys = toys

[nodegraph.probes]
toys = toys_probe

[nodegraph.models]
toys = toys_models
"""


def write_metadata(folder: Path, name: str, entry_points: str, version: str = "1.0") -> None:
    """Write what an installed distribution leaves beside its modules."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(entry_points)


@pytest.fixture(scope="session")
def toy_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds what pip leaves of the toys, and their models."""
    site = tmp_path_factory.mktemp("site")
    write_metadata(site, "nodegraph-toys", ENTRY_POINTS)
    models = site / "toys_models"
    models.mkdir()
    (models / "shipped.safetensors").write_text("checkpoint small")
    return site


@pytest.fixture(scope="session")
def toy_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that all engine tests share."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module", autouse=True)
def installed_toys(toy_site: Path, toy_cache: Path) -> Iterator[Path]:
    """Install the toys for the engine's tests alone: no other test may find them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(toy_site), str(HERE), *sys.path])
        patch.setenv("NODEGRAPH_CACHE", str(toy_cache))
        patch.delenv("NODEGRAPH_MODELS", raising=False)
        yield toy_site


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder of toy models."""
    folder = tmp_path / "models"
    (folder / "deep").mkdir(parents=True)
    (folder / "base.safetensors").write_text("checkpoint small")
    (folder / "big.safetensors").write_text("checkpoint large")
    (folder / "edges.safetensors").write_text("controlnet small")
    (folder / "deep" / "edges-large.safetensors").write_text("controlnet large")
    (folder / "broken.safetensors").write_text("broken")
    return folder


@pytest.fixture
def put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Put:
    """Put a package of several modules on the path, as if it were installed."""
    monkeypatch.setenv("NODEGRAPH_CACHE", str(tmp_path / "cache"))

    def write(name: str, modules: dict[str, str], entry: str = "") -> Path:
        site = tmp_path / f"dist-{name}"
        point = f"{name} = {name}_pack{entry}"
        write_metadata(site, site.name, f"[nodegraph.nodes]\n{point}\n")
        lay(site / f"{name}_pack", modules)
        monkeypatch.syspath_prepend(str(site))
        return site / f"{name}_pack"

    return write


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a flow, which is the current one."""
    (tmp_path / "flow.json").write_text(json.dumps(FLOW))
    (tmp_path / "other.toy").write_text("dog")
    monkeypatch.chdir(tmp_path)
    return tmp_path
