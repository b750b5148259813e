"""Rendered scenes on disk: memory-mapped arrays, filled by several processes, and their reader."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final, cast

import cv2
import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from nodegraph_blocks.caption import Draw, caption
from nodegraph_blocks.render import Rendering, depth_hint, render
from nodegraph_blocks.scene import Scene, from_json, mirror, sample_scene, to_json
from nodegraph_training.kept import below, replacing

Bytes = NDArray[np.uint8]
Indices = NDArray[np.int64] | Sequence[int]

CHUNK: Final = 100  # scenes rendered between two marks of progress
CANNY_LOW: Final = 100
CANNY_HIGH: Final = 200
_CHANNELS: Final[dict[str, tuple[int, ...]]] = {
    "pictures": (3,),
    "depth": (),
    "segmentation": (),
}


def render_dataset(
    folder: Path,
    count: int,
    *,
    first_seed: int = 0,
    size: int = 128,
    processes: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Render the scenes of `count` seeds into a folder; go on where an earlier call stopped.

    Writes `pictures.npy (N, S, S, 3) uint8`, `depth.npy (N, S, S) uint8` (the hint: near is
    white), `segmentation.npy (N, S, S) uint8` and `scenes.jsonl`.

    Raises:
        ValueError: the folder holds another data set, or a number is out of range.
    """
    if count < 1 or size < 8 or processes < 1:
        raise ValueError("render_dataset: count and processes start at 1, size at 8; raise them")
    folder.mkdir(parents=True, exist_ok=True)
    _claim(folder, {"count": count, "first_seed": first_seed, "size": size})
    scenes, journal = below(folder, "scenes.jsonl"), below(folder, "done.txt")
    if not scenes.exists():
        lines = (to_json(sample_scene(first_seed + index)) for index in range(count))
        _write_whole(scenes, "\n".join(lines) + "\n")
    for name, channels in _CHANNELS.items():
        shape, place = (count, size, size, *channels), below(folder, f"{name}.npy")
        if not place.exists():
            journal.unlink(missing_ok=True)  # nothing is rendered where one of the arrays is gone
            open_memmap(place, "w+", np.uint8, shape)
        _opened(place, shape)
    done = _finished(folder)
    starts = [start for start in range(0, count, CHUNK) if start not in done]
    left = len(starts)
    total = len(starts) + len(done)
    for start in _work(folder, starts, processes):
        with journal.open("a") as file:
            file.write(f"{start}\n")
        left -= 1
        if progress is not None:
            progress(min((total - left) * CHUNK, count), count)
    return folder


class BlocksDataset:
    """Rendered scenes as a training set: pictures, hints and captions by index.

    With `mirrored`, the indices `N` to `2N - 1` are the mirror images of the first `N`.
    """

    def __init__(self, folder: Path, *, mirrored: bool = False) -> None:
        """Open a folder that `render_dataset` filled.

        Raises:
            ValueError: the folder is not a finished data set.
        """
        self.scenes = _read_scenes(folder)
        if len(_finished(folder)) * CHUNK < len(self.scenes):
            raise ValueError(f"{folder}: rendering is not finished; run it again to go on")
        claimed = _claimed(folder)
        shape = (claimed["count"], claimed["size"], claimed["size"])
        if len(self.scenes) != shape[0]:
            raise ValueError(
                f"{folder}/scenes.jsonl: {len(self.scenes)} scenes and not {shape[0]}; "
                "delete it and render again"
            )
        self._arrays = {
            name: _opened(below(folder, f"{name}.npy"), (*shape, *channels))
            for name, channels in _CHANNELS.items()
        }
        self._mirrored = mirrored

    def __len__(self) -> int:
        """Give the number of examples, mirror images included."""
        return len(self.scenes) * (2 if self._mirrored else 1)

    def pictures(self, indices: Indices) -> Bytes:
        """Give pictures `(n, H, W, 3) uint8` RGB."""
        return self._rows("pictures", indices)

    def depth(self, indices: Indices) -> Bytes:
        """Give depth hints `(n, H, W) uint8`, near is white."""
        return self._rows("depth", indices)

    def segmentation(self, indices: Indices) -> Bytes:
        """Give labels `(n, H, W) uint8`: 0 sky, 1 ground, 2 the scene's first thing."""
        return self._rows("segmentation", indices)

    def hint(self, kind: str, indices: Indices) -> Bytes:
        """Give hints `(n, H, W, 3) uint8` of one kind.

        Raises:
            ValueError: an unknown kind.
        """
        if kind == "depth":
            return np.repeat(self.depth(indices)[..., None], 3, axis=-1)
        if kind == "canny":
            pictures = self.pictures(indices)
            edges = [np.asarray(cv2.Canny(p, CANNY_LOW, CANNY_HIGH), np.uint8) for p in pictures]
            return np.repeat(np.stack(edges)[..., None], 3, axis=-1)
        raise ValueError(f"hint: unknown kind {kind!r}; choose 'canny' or 'depth'")

    def scene(self, index: int) -> Scene:
        """Give the scene of an example."""
        scene = self.scenes[index % len(self.scenes)]
        return mirror(scene) if index >= len(self.scenes) else scene

    def caption(self, index: int, rng: Draw) -> str:
        """Describe an example, in other words at each call."""
        return caption(self.scene(index), rng)

    def _rows(self, name: str, indices: Indices) -> Bytes:
        rows = np.asarray(indices, np.int64)
        result = self._arrays[name][rows % len(self.scenes)]
        flipped = rows >= len(self.scenes)
        result[flipped] = result[flipped, :, ::-1]
        return np.asarray(result)


def to_bytes(values: NDArray[np.float32]) -> Bytes:
    """Round values in [0, 1] to uint8."""
    return np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)


def _work(folder: Path, starts: Sequence[int], processes: int) -> Iterator[int]:
    scenes = _read_scenes(folder) if starts else []
    if processes == 1 or len(starts) < 2:
        for start in starts:
            yield _render_chunk(folder, start, scenes[start : start + CHUNK])
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        jobs = [
            pool.submit(_render_chunk, folder, start, scenes[start : start + CHUNK])
            for start in starts
        ]
        try:
            for job in as_completed(jobs):
                yield job.result()
        finally:  # a cancelled run does not wait for what has not begun
            pool.shutdown(cancel_futures=True)


def _render_chunk(folder: Path, start: int, scenes: Sequence[Scene]) -> int:
    arrays = {name: open_memmap(folder / f"{name}.npy", "r+") for name in _CHANNELS}
    size = arrays["pictures"].shape[1]
    for index, scene in enumerate(scenes, start):
        for name, values in _stored(render(scene, size)).items():
            arrays[name][index] = values
    for array in arrays.values():
        array.flush()
    return start


def _stored(rendering: Rendering) -> dict[str, Bytes]:
    return {
        "pictures": to_bytes(rendering.picture),
        "depth": to_bytes(depth_hint(rendering.depth)),
        "segmentation": rendering.segmentation,
    }


def _claim(folder: Path, settings: dict[str, Any]) -> None:
    """Write what the folder holds, or see that it holds just that."""
    path = below(folder, "dataset.json")
    if not path.exists():
        _write_whole(path, json.dumps(settings))
        return
    found = _claimed(folder)
    if found != settings:
        raise ValueError(f"{folder}: holds another data set, {found}; choose an empty folder")


def _claimed(folder: Path) -> dict[str, Any]:
    """Return what the folder holds: how many scenes from which seed, and their size."""
    path = below(folder, "dataset.json")
    try:
        found: Any = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        found = None
    claimed = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
    if not all(type(claimed.get(name)) is int for name in ("count", "size")):
        raise ValueError(f"{path}: is damaged; delete it and render again")
    return claimed


def _finished(folder: Path) -> set[int]:
    path = below(folder, "done.txt")
    words = path.read_bytes().split() if path.exists() else []
    if not all(word.isdigit() and len(word) < 20 for word in words):
        raise ValueError(f"{path}: is damaged; delete it and render again")
    return {int(word) for word in words}


def _opened(path: Path, shape: tuple[int, ...]) -> Bytes:
    """Map an array of a shape, read-only.

    Raises:
        ValueError: the file holds something else.
    """
    try:
        array: Bytes = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(f"{path}: is no array ({error}); delete it and render again") from error
    if array.shape != shape or array.dtype != np.uint8:
        raise ValueError(
            f"{path}: holds {list(array.shape)} {array.dtype} and not {list(shape)} uint8; "
            "delete it and render again"
        )
    return array


def _read_scenes(folder: Path) -> list[Scene]:
    path = below(folder, "scenes.jsonl")
    if not path.is_file():
        raise ValueError(f"{folder}: no scenes.jsonl; render a data set there first")
    try:
        return [from_json(line) for line in path.read_text("utf-8").splitlines()]
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: is damaged ({error}); delete it and render again") from error


def _write_whole(path: Path, text: str) -> None:
    """Write a file so that it is there in full or not at all."""
    with replacing(path) as fresh:
        fresh.write_text(text)
