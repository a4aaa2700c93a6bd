"""A filter that lays rows out as a table of text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any


def text_table(
    rows: Iterable[Mapping[str, Any]], columns: list[str], more: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """Lays rows out.

    Args:
        rows: Mappings of column to value; a missing one is empty.
        columns: Which columns, in which order.
        more: Value of the first column -> further cells of its row.

    Returns:
        list[str]: a line with the columns' names, then a line for each row.
    """
    whole = [{**row, **more.get(row[columns[0]], {})} for row in rows]
    cells = [columns, *([str(row.get(column, "")) for column in columns] for row in whole)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    ]


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, Callable[..., list[str]]]:
        """Name in a template -> function."""
        return {"text_table": text_table}
