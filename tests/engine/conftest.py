"""Makes the toys an installed package: metadata on the path, as pip would leave it."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

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


@pytest.fixture(scope="package", autouse=True)
def installed_toys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Install the toys and their models for these tests alone, with a cache of its own."""
    site = tmp_path_factory.mktemp("site")
    write_metadata(site, "nodegraph-toys", ENTRY_POINTS)
    models = site / "toys_models"
    models.mkdir()
    (models / "shipped.safetensors").write_text("checkpoint small")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(site), str(HERE), *sys.path])
        patch.setenv("NODEGRAPH_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("NODEGRAPH_MODELS", raising=False)
        yield site


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
