"""What the chunks of a PNG say that decoders do not: whether all rows are there, what is clear."""

import struct
import zlib
from collections.abc import Iterator

# Bits a pixel are the depth times this, by colour type. Source: PNG specification, 11.2.1.
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# First column and row, and steps between them, of Adam7's passes. Source: ibidem, 8.1.
_PASSES = (
    *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)),
    *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
)
_STEP = 2**20


def check_rows(data: bytes) -> None:
    """Refuse a PNG whose rows end before its height: decoders leave the rest black.

    Raises:
        ValueError: it is truncated, does not begin with its header, or has no palette where its
            colours are of one.
    """
    if data[12:16] != b"IHDR":
        raise ValueError("it does not begin with its header")
    if data[25] == 3 and not any(kind == b"PLTE" for kind, _ in _chunks(data)):
        raise ValueError("it has no palette")
    wanted = _size(data)
    found = _unpacked(data, wanted)
    if found < wanted:
        raise ValueError(f"it is truncated: {found:,} of {wanted:,} bytes of its rows are there")


def clear_grey(data: bytes) -> int | None:
    """Return the grey that a grey PNG calls transparent, from 0 to 2 ** depth - 1, if any."""
    bodies = [body for kind, body in _chunks(data) if kind == b"tRNS"] if data[25] == 0 else []
    if not bodies:
        return None
    grey = int.from_bytes(bodies[-1][:2], "big")
    return grey & ((1 << data[24]) - 1)  # higher bits say nothing. Source: ibidem, 11.3.2.1


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and body of each chunk."""
    at = 8
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        yield kind, data[at + 8 : at + 8 + length]
        at += 12 + length


def _size(data: bytes) -> int:
    """Return how many bytes the rows of a PNG are, each with the byte of its filter."""
    width, height, depth, colour = struct.unpack_from(">IIBB", data, 16)
    passes = _PASSES if data[28] else ((0, 0, 1, 1),)
    total = 0
    for left, top, across, down in passes:
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        if columns > 0 and rows > 0:
            total += rows * (1 + -(-columns * depth * _CHANNELS[colour] // 8))
    return total


def _unpacked(data: bytes, enough: int) -> int:
    """Count the bytes that a PNG's data unpack to, and stop where they are enough."""
    stream, found = zlib.decompressobj(), 0
    for kind, body in _chunks(data):
        while kind == b"IDAT" and body and found < enough and not stream.eof:
            found += len(stream.decompress(body, _STEP))
            body = stream.unconsumed_tail
    return found if found >= enough else found + len(stream.flush())
