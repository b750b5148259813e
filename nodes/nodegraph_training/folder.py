"""A data set in a folder: pictures, hints and texts, listed in JSON lines."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np

from nodegraph_image.picture import MAX_PIXELS
from nodegraph_image.reading import read_rgba
from nodegraph_training.dataset import Indices, Pictures
from nodegraph_training.errors import TrainingError
from nodegraph_training.kept import below

LIST = "data.jsonl"


@dataclass(frozen=True)
class Line:
    """One sample: a picture's file, its hints' files by kind, and its captions."""

    picture: Path
    hints: dict[str, Path]
    captions: tuple[str, ...]


class FolderSource:
    """Pictures of a folder, one on each line of its `data.jsonl`: `{"image", "hint", "text"}`.

    Paths stand relative to the folder. `hint` is a path, or an object from kinds to paths; `text`
    is a text, or a list of which one is drawn each time. Pictures are scaled and cropped to `size`
    in their middle.
    """

    def __init__(self, folder: Path, size: int) -> None:
        """Read the list; pictures are read when they are asked for.

        Raises: TrainingError for a missing or empty list, a bad line, a missing file.
        """
        self.size = size
        self.lines = read_list(folder)

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.lines)

    def pictures(self, indices: Indices) -> Pictures:
        """Return pictures (n, size, size, 3) uint8 RGB."""
        return np.stack([self._picture(int(index)) for index in indices])

    def hint(self, kind: str, indices: Indices) -> Pictures:
        """Return hints (n, size, size, 3) uint8 RGB; `canny` is computed where no file is named.

        Raises: TrainingError when a line has no hint of the kind.
        """
        return np.stack([self._hint(kind, int(index)) for index in indices])

    def caption(self, index: int, rng: np.random.Generator) -> str:
        """Return one of the picture's texts."""
        texts = self.lines[index].captions
        return texts[int(rng.random() * len(texts))]

    def _picture(self, index: int) -> Pictures:
        return self._read(self.lines[index].picture, cv2.INTER_AREA)

    def _hint(self, kind: str, index: int) -> Pictures:
        files = self.lines[index].hints
        file = files.get(kind) or files.get("")
        if file is not None:
            return self._read(file, cv2.INTER_NEAREST)
        if kind == "canny":
            edges = np.asarray(cv2.Canny(self.pictures(np.asarray([index]))[0], 100, 200), np.uint8)
            return np.repeat(edges[..., None], 3, axis=2)
        raise TrainingError(
            f"{LIST} line {index + 1}: there is no hint of kind {kind!r}; name its "
            'file under "hint", or train on canny'
        )

    def _read(self, file: Path, shrink: int) -> Pictures:
        try:
            raw = read_rgba(file)[..., :3]
        except ValueError as error:
            raise TrainingError(f"{error}, or take its line out of {LIST}") from error
        if raw.dtype == np.uint16:
            raw = np.rint(raw / 257).astype(np.uint8)
        scale = self.size / min(raw.shape[:2])
        height, width = (max(self.size, round(side * scale)) for side in raw.shape[:2])
        if height * width > MAX_PIXELS:
            raise TrainingError(
                f"{file}: {raw.shape[1]} x {raw.shape[0]} is too narrow to be scaled to "
                f"{self.size}; crop it, or take its line out of {LIST}"
            )
        raw = cv2.resize(
            np.ascontiguousarray(raw),
            (width, height),
            interpolation=shrink if scale < 1 else cv2.INTER_NEAREST,
        )
        top, left = (height - self.size) // 2, (width - self.size) // 2
        return np.asarray(raw[top : top + self.size, left : left + self.size], np.uint8)


def read_list(folder: Path) -> list[Line]:
    """Return the samples that a folder's `data.jsonl` names.

    Raises: TrainingError for a missing or empty list, a bad line, a missing file.
    """
    place = below(folder, LIST)
    if not place.is_file():
        raise TrainingError(
            f"{folder}: there is no {LIST}; write one line for each picture, such as "
            '{"image": "a.png", "hint": "a_hint.png", "text": "a red cube"}'
        )
    try:
        texts = place.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise TrainingError(
            f"{place}: byte {error.start} is not UTF-8; save the file as UTF-8"
        ) from error
    lines = [_line(folder, number, text) for number, text in enumerate(texts, 1) if text.strip()]
    if not lines:
        raise TrainingError(f"{place}: lists no pictures; write one line for each")
    return lines


def _line(folder: Path, number: int, text: str) -> Line:
    where = f"{folder / LIST} line {number}"
    try:
        parsed: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise TrainingError(
            f"{where}: is not JSON ({error}); write one object on each line"
        ) from error
    value = cast("dict[str, Any]", parsed) if isinstance(parsed, dict) else {}
    image: Any = value.get("image")
    if not isinstance(image, str):
        raise TrainingError(
            f'{where}: names no picture; write {{"image": "file.png", "text": "..."}}'
        )
    named = _hints(where, value.get("hint", {}))
    hints = {kind: _file(where, folder, name) for kind, name in named.items()}
    return Line(_file(where, folder, image), hints, _texts(where, value.get("text", "")))


def _file(where: str, folder: Path, name: str) -> Path:
    try:
        file = below(folder, name)
    except (OSError, ValueError, TrainingError) as error:  # such as a name that is too long
        raise TrainingError(f"{where}: {error}") from error
    if not file.is_file():
        raise TrainingError(
            f"{where}: there is no file {str(file)!r}; mend the path or take the line out"
        )
    return file


def _texts(where: str, value: object) -> tuple[str, ...]:
    listed = cast("list[object]", value) if isinstance(value, list) else [value]
    texts = tuple(text for text in listed if isinstance(text, str))
    if not texts or len(texts) < len(listed):
        raise TrainingError(
            f'{where}: "text" is neither a text nor a list of texts; write "text": "a red cube"'
        )
    return texts


def _hints(where: str, value: object) -> dict[str, str]:
    if isinstance(value, str):
        return {"": value}
    named = cast("dict[str, object]", value) if isinstance(value, dict) else {"": None}
    paths = {kind: name for kind, name in named.items() if isinstance(name, str)}
    if len(paths) < len(named):
        raise TrainingError(
            f'{where}: "hint" is neither a path nor an object from kinds to paths; '
            'write "hint": "a_hint.png"'
        )
    return paths
