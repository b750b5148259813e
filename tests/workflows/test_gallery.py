"""The gallery shows what its command makes, and nothing else."""

import importlib.util
import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_what_its_command_writes() -> None:
    spec = importlib.util.spec_from_file_location("make_gallery", DOCS / "make_gallery.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["make_gallery"] = module
    spec.loader.exec_module(module)
    assert (DOCS / "gallery.md").read_text() == module.page(module.ENTRIES)


def test_every_picture_is_there_and_shown() -> None:
    shown = re.findall(r"\(gallery/(\w+\.png)\)", (DOCS / "gallery.md").read_text())
    assert sorted(shown) == sorted(path.name for path in (DOCS / "gallery").glob("*.png"))
