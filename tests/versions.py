"""Another version of gitopsd, as somebody has it who upgrades: a copy of the package that Python finds first."""

import re
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import gitopsd
from tests.operator import Operator


def another_version(operator: Operator, version: str, appended: Mapping[str, str] | None = None) -> Operator:
    """The same person with that version; `appended` are lines at the end of files, by their paths in the package."""
    folder = operator.home / f"gitopsd-{version}"
    package = folder / "gitopsd"
    shutil.copytree(Path(gitopsd.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    init = package / "__init__.py"
    init.write_text(re.sub(r'__version__ = ".*"', f'__version__ = "{version}"', init.read_text()))
    for path, text in (appended or {}).items():
        with (package / path).open("a") as file:
            file.write(text)
    upgraded = replace(operator, variables={**operator.variables, "PYTHONPATH": str(folder)})
    assert version in upgraded.run("--version").stdout
    return upgraded
