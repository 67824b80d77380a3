"""Pass 1: sorts the files of a source tree by what they declare."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gitopsd.model.diagnostic import Diagnostic, Location
from gitopsd.model.names import did_you_mean

ENVIRONMENTS_FILE = "gitopsd.yaml"
DECLARATION_FOLDERS = ("workflows", "blueprints", "fleets")


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """Files by path. Declarations are YAML; shipped files are whatever people put under `files/`."""

    environments: bytes
    declarations: Mapping[str, Mapping[str, bytes]]
    shipped: Mapping[str, bytes] = field(default_factory=dict)


def load(files: Mapping[str, bytes]) -> tuple[Loaded | None, list[Diagnostic]]:
    """`files` are those of one commit or work tree by path from its root."""
    environments = files.get(ENVIRONMENTS_FILE)
    if environments is None:
        return None, [_no_environments_file(files)]
    declarations: dict[str, dict[str, bytes]] = {folder: {} for folder in DECLARATION_FOLDERS}
    shipped: dict[str, bytes] = {}
    diagnostics: list[Diagnostic] = []
    for path in sorted(files):
        folder, _, rest = path.partition("/")
        if folder == "files" and rest:
            shipped[path] = files[path]
        elif folder in declarations and rest and not rest.startswith("."):  # .gitkeep, .orders.yaml.swp
            if "/" in rest or not rest.endswith(".yaml"):
                diagnostics.append(_not_a_declaration(path, folder))
            else:
                declarations[folder][path] = files[path]
    return Loaded(environments=environments, declarations=declarations, shipped=shipped), diagnostics


def _no_environments_file(files: Mapping[str, bytes]) -> Diagnostic:
    near = [path for path in files if path in {"gitopsd.yml", "gitops.yaml", ".gitopsd.yaml"}]
    hint = f"rename {near[0]} to {ENVIRONMENTS_FILE}" if near else "`gitopsd init DIR` makes a repository with one"
    return Diagnostic(
        code="no-environments",
        message=f"there is no {ENVIRONMENTS_FILE} at the root of the repository",
        location=Location(path=ENVIRONMENTS_FILE),
        hint=hint,
    )


def _not_a_declaration(path: str, folder: str) -> Diagnostic:
    name = path.rsplit("/", 1)[-1]
    if name.endswith(".yml"):
        hint = f"rename it to {folder}/{name.removesuffix('.yml')}.yaml"
    elif path.count("/") > 1:
        hint = f"move it to {folder}/{name}"
    else:
        hint = f"{folder}/ holds declarations only; files that jobs ship go to files/"
    return Diagnostic(
        code="misplaced-file",
        message=f"{folder}/ holds .yaml files directly, and this is not one",
        location=Location(path=path),
        hint=hint,
    )


def missing_path(what: str, path: str, location: Location, known: Iterable[str]) -> Diagnostic:
    """A declaration that names a file which the commit doesn't have."""
    return Diagnostic(
        code="missing-path",
        message=f"{what} `{path[:200]}` is not in the repository",
        location=location,
        hint=did_you_mean(path, known) or f"add `{path}`, and `git add` it",
    )
