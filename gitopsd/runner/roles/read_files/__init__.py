from __future__ import annotations

from typing import TYPE_CHECKING

from gitopsd.runner.flow import Assembly, Counts, Pump, to_every
from gitopsd.runner.roles.read_files.source import FileSource

if TYPE_CHECKING:
    from gitopsd.runner.job import Context
    from gitopsd.runner.roles.ports import Ports


def assemble(context: Context, ports: Ports, _counts: Counts) -> Assembly:
    """Files to events: `glob`, `mode` (once or tail), `format` (jsonl, lines or csv). Raises JobError."""
    settings = context.job.settings
    mode = settings.choice("mode", ("once", "tail"))
    kind = settings.choice("format", ("jsonl", "lines", "csv"))
    outputs = ports.outputs_of("default")
    source = FileSource(settings.text("glob"), kind, tail=mode == "tail", context=context)
    return Assembly(outputs, [[Pump(source, to_every(outputs))]])
