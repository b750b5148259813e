"""The gallery shows what its command makes, and nothing else."""

import re
import runpy
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_what_its_command_writes() -> None:
    made = runpy.run_path(str(DOCS / "make_gallery.py"))
    assert (DOCS / "gallery.md").read_text() == made["page"](made["ENTRIES"])


def test_every_picture_is_there_and_shown() -> None:
    pages = [(DOCS / name).read_text() for name in ("gallery.md", "annotators.md")]
    shown = re.findall(r'"gallery/(\w+\.png)"', "".join(pages))
    assert set(shown) == {path.name for path in (DOCS / "gallery").glob("*.png")}


def test_what_a_flow_starts_from_is_there() -> None:
    for path in re.findall(r'src="([^"]+)"', (DOCS / "gallery.md").read_text()):
        assert (DOCS / path).is_file()
