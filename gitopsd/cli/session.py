"""What the options before a command say."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from gitopsd.daemon.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    repo: str | None
    environment: str | None
    config: Path | None
    debug: bool

    def workspace(self) -> "Workspace":
        from gitopsd.daemon.workspace import open_workspace  # noqa: PLC0415 - not for `--help` and `init`

        workspace = open_workspace(self.repo, self.config, self.environment)
        click.get_current_context().call_on_close(workspace.close)
        return workspace
