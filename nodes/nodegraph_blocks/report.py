"""The result of an evaluation: rows of figures, as JSON and as a table to read."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from nodegraph import Codec, port

COLUMNS: Final = (
    ("edge_f1", "edge F1"),
    ("edge_retrieval", "retrieved by edges"),
    ("depth_error_on_things", "depth error"),
    ("depth_retrieval", "retrieved by depth"),
    ("colour", "colour"),
    ("shape", "shape"),
    ("both", "both"),
    ("count", "count"),
    ("hint_shape", "hint's shape"),
)


class ReportCodec(Codec["Report"]):
    """Reports as JSON files, with the table beside them as text."""

    suffixes = (".json",)

    @staticmethod
    def read(path: Path) -> "Report":
        """Read a report that was written before.

        Raises:
            ValueError: the file is no report.
        """
        try:
            fields: Any = json.loads(path.read_bytes())
        except (ValueError, RecursionError):
            fields = None
        found = _table(fields)
        settings, rows = _table(found.get("settings")), _table(found.get("rows"))
        if "settings" not in found or not rows or not all(map(_is_row, rows.values())):
            raise ValueError(f"{path.name}: it is no report; give one that blocks.evaluate wrote")
        return Report(settings, rows)

    @staticmethod
    def write(value: "Report", stem: Path, record: Mapping[str, Any] | None) -> list[Path]:
        """Write the figures; the record of the run goes with them."""
        path = stem.with_name(stem.name + ".json")
        fields = {"settings": value.settings, "rows": value.rows, "record": record}
        path.write_text(json.dumps(fields, indent=2, default=str) + "\n", "utf-8")
        return [path]

    @staticmethod
    def dump(value: "Report", folder: Path) -> None:
        """Store the report."""
        ReportCodec.write(value, folder / "report", None)

    @staticmethod
    def restore(folder: Path) -> "Report":
        """Give back a stored report."""
        return ReportCodec.read(folder / "report.json")

    @staticmethod
    def describe(value: "Report") -> str:
        """Give the table: where a report is said to be written, it is also shown."""
        return f"{value.settings.get('count')} scenes\n{value.table()}\n"


@port(codec=ReportCodec)
@dataclass(frozen=True, eq=False)
class Report:
    """Figures by row: each row has the name of what was measured and its scores."""

    settings: dict[str, Any]
    rows: dict[str, dict[str, float]]

    def table(self) -> str:
        """Give the figures as a Markdown table, aligned to be read as text, too."""
        head = ("", *(title for _, title in COLUMNS))
        body = [
            (name, *(f"{scores[key]:.3f}" for key, _ in COLUMNS))
            for name, scores in self.rows.items()
        ]
        widths = [max(len(row[column]) for row in (head, *body)) for column in range(len(head))]
        rule = tuple("-" * width for width in widths)
        lines = [_line(row, widths) for row in (head, rule, *body)]
        return "\n".join(lines)


def _table(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _is_row(value: object) -> bool:
    return all(isinstance(_table(value).get(key), int | float) for key, _ in COLUMNS)


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    first = row[0].ljust(widths[0])
    rest = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
    return f"| {' | '.join((first, *rest))} |"
