"""Make `docs/gallery.md` and its pictures from `workflows/`: `python docs/make_gallery.py`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nodegraph
from nodegraph.reading import load

DOCS = Path(__file__).parent
FLOWS = DOCS.parent / "workflows"


@dataclass(frozen=True)
class Entry:
    """A flow, what to show of it, what to say, and what it starts from."""

    flow: str
    show: tuple[str, ...]
    about: str
    before: tuple[str, ...] = ()
    """Files of `workflows/assets`, shown first."""


WIDTH = 256
"""Pictures are shown this wide; sheets as they are."""

ENTRIES = (
    Entry("text_to_image", ("image",), "Words alone."),
    Entry(
        "canny",
        ("edges", "image"),
        "The edges of a picture, found by `image.canny`, and what is painted along them.",
    ),
    Entry("depth", ("depth", "image"), "A depth map gives the shapes, the prompt everything else."),
    Entry(
        "multi_controlnet",
        ("depth", "edges", "image"),
        "Two ControlNets around one UNet: depth acts in the first 70 % of the way from noise to "
        "picture, edges in the last 80 %.",
    ),
    Entry(
        "regions",
        ("hint", "mask", "image"),
        "Two ControlNets, each in its own region: edges where the mask is white, depth where it is "
        "black. `apply_controlnet` multiplies a control's residuals by its mask.",
    ),
    Entry(
        "image_to_image",
        ("image",),
        "A picture gets three quarters of the noise and another prompt: places stay, colours and "
        "light change.",
        before=("scene.png",),
    ),
    Entry(
        "inpaint",
        ("image",),
        "Only where a mask is white the picture is painted anew; the rest stays as it was.",
        before=("scene.png", "scene_mask.png"),
    ),
    Entry(
        "hires",
        ("small", "image"),
        "A picture of 128 pixels, enlarged as a latent and painted again at 192 along its edges.",
    ),
    Entry("annotators", ("sheet",), "Every annotator that needs no weights, without torch."),
    Entry("contact_sheet", ("sheet",), "One hint, several prompts: the rows keep their shapes."),
)


def page(entries: Sequence[Entry]) -> str:
    """Return the page in Markdown."""
    lines = [
        "# Gallery",
        "",
        "Every picture here comes from a file in `workflows/` as it stands there, by one command:",
        "",
        "    python docs/make_gallery.py",
        "",
        "They are made by the embedded model of 5 million weights at 128 x 128 pixels, on a CPU.",
        "`docs/blocks.md` says what it is and measures it.",
    ]
    for entry in entries:
        flow = load(FLOWS / f"{entry.flow}.json")
        prompt = flow.inputs.get("prompt")
        lines += ["", f"## {flow.title}", "", entry.about, ""]
        if prompt is not None and prompt.default is not None:
            lines += [f"> {prompt.default.value}", ""]
        lines += [shown(f"../workflows/assets/{name}", "before") for name in entry.before]
        lines += [shown(f"gallery/{entry.flow}_{name}.png", name) for name in entry.show]
        lines += ["", f"    nodegraph run workflows/{entry.flow}.json"]
    return "\n".join(lines) + "\n"


def shown(path: str, name: str) -> str:
    """Return a picture as HTML, which Markdown takes and which can say how wide."""
    width = "" if name == "sheet" else f' width="{WIDTH}"'
    return f'<img src="{path}" alt="{name}" title="{name}"{width}>'


def main() -> None:
    """Run every flow, and write the page and its pictures."""
    place = DOCS / "gallery"
    place.mkdir(exist_ok=True)
    for old in place.glob("*.png"):
        old.unlink()
    for entry in ENTRIES:
        print(f"{entry.flow} ...", flush=True)
        out = DOCS.parent / "out" / entry.flow
        made = nodegraph.run(FLOWS / f"{entry.flow}.json", out=out)
        for name in made if entry.flow == "annotators" else entry.show:
            (place / f"{entry.flow}_{name}.png").write_bytes((out / f"{name}.png").read_bytes())
    (DOCS / "gallery.md").write_text(page(ENTRIES), encoding="utf-8")


if __name__ == "__main__":
    main()
