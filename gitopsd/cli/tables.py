"""Tables on stdout: as wide as the terminal, without borders, and plain where nobody watches."""

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gitopsd.model.excerpt import printable

_UNWATCHED_WIDTH = 200


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Rows of text below their headings; control characters are escaped."""
    table = Table(box=None, pad_edge=False, show_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    Console(width=None if sys.stdout.isatty() else _UNWATCHED_WIDTH, highlight=False).print(table)
