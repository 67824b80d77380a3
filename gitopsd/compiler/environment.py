"""Which environment is meant, and what its artifact branch is: all that is needed to look at what is deployed."""

from collections.abc import Callable

from gitopsd.compiler.declarations.decode import decode
from gitopsd.compiler.load import ENVIRONMENTS_FILE
from gitopsd.compiler.yaml.reader import Document, read_yaml
from gitopsd.model.diagnostic import Diagnostic
from gitopsd.model.environments import Environments, artifact_branch
from gitopsd.model.names import did_you_mean


def choose_environment(
    declared: Environments, document: Callable[[], Document], wanted: str | None
) -> tuple[str | None, list[Diagnostic]]:
    """The environment's name; `wanted` may be None where there is only one."""
    known = declared.environments
    if wanted is None and len(known) == 1:
        return next(iter(known)), []
    if wanted in known:
        return wanted, []
    place = document().locate_key("environments")
    if wanted is None:
        names = ", ".join(f"`{name}`" for name in sorted(known))
        message, hint = f"the repository has several environments: {names}", "choose one with --env NAME"
        return None, [Diagnostic(code="which-environment", message=message, location=place, hint=hint)]
    message, hint = f"there is no environment `{wanted}`", did_you_mean(wanted, known)
    return None, [Diagnostic(code="unknown-environment", message=message, location=place, hint=hint)]


def find_branch(content: bytes, wanted: str | None) -> tuple[tuple[str, str] | None, list[Diagnostic]]:
    """(environment, artifact branch) by gitopsd.yaml alone: whether the rest compiles doesn't matter."""
    document, mistakes = read_yaml(ENVIRONMENTS_FILE, content)
    value, more = (None, []) if mistakes else decode(document, Environments)
    if value is None:
        return None, [*mistakes, *more]
    name, mistakes = choose_environment(value, lambda: document, wanted)
    return (None if name is None else (name, artifact_branch(name, value.environments[name]))), mistakes


def environment_names(content: bytes) -> tuple[str, ...]:
    """The environments that gitopsd.yaml declares; none where it can't be read."""
    document, mistakes = read_yaml(ENVIRONMENTS_FILE, content)
    value, _ = (None, []) if mistakes else decode(document, Environments)
    return tuple(sorted(value.environments)) if value else ()
