"""Reads the record that a written PNG carries, from its chunks; no decoder takes part."""

import struct
import zlib
from pathlib import Path
from typing import Any, BinaryIO, Final

from . import jsontext
from .errors import Problem, WorkflowError
from .jsontext import is_table

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
KEYWORD: Final = b"nodegraph"
MOST: Final = 64 * 2**20
"""Bytes of a record; longer ones are not written."""


def is_picture(path: Path) -> bool:
    """Say whether a file is a PNG, by its first bytes."""
    try:
        if not path.is_file():  # to open a pipe waits for whoever writes to it
            return False
        with path.open("rb") as file:
            return file.read(8) == SIGNATURE
    except OSError:
        return False


def read_record(path: Path) -> dict[str, Any]:
    """Return the record of how a picture was made.

    Raises:
        WorkflowError: it carries none, or is damaged.
    """
    try:
        if path.exists() and not path.is_file():
            raise _refusal("not_a_file", f"{path}: a folder, device or pipe; name a picture")
        with path.open("rb") as file:
            text = _chunk(file) if file.read(8) == SIGNATURE else None
    except OSError as error:
        raise _refusal("unreadable", f"{path}: {error.strerror}; check the path") from None
    if text is None:
        message = f"{path}: carries no record of nodegraph; it was made or saved by something else"
        raise _refusal("no_record", message)
    record = jsontext.parse(text, path.name)
    if not is_table(record) or not is_table(record.get("flow")) or "nodes" not in record["flow"]:
        raise _refusal("no_record", f"{path}: its record holds no workflow; it cannot be repeated")
    return record


def _chunk(file: BinaryIO) -> str | None:
    """Return the text of the chunk `nodegraph`, or None where there is none before the end."""
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if kind == b"IEND" or length > 2**31 - 1:
            return None
        if kind != b"tEXt" or length > MOST:
            file.seek(length + 4, 1)
            continue
        data = file.read(length)
        seal = file.read(4)
        keyword, zero, text = data.partition(b"\0")
        if keyword == KEYWORD and zero:
            if len(data) < length or seal != struct.pack(">I", zlib.crc32(kind + data)):
                raise _refusal("bad_record", f"{file.name}: the record is damaged")
            return text.decode("latin-1")
    return None


def _refusal(code: str, message: str) -> WorkflowError:
    return WorkflowError([Problem(code, "", message)])
