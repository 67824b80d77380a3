"""Why the controller can't go on, for the command line to show."""

from collections.abc import Mapping, Sequence

from gitopsd.fleet.errors import WorkerError
from gitopsd.model.diagnostic import Diagnostic, Location, Severity


class DiagnosticsError(Exception):
    """A version or configuration that doesn't compile; `sources` holds the files for the excerpts."""

    def __init__(self, diagnostics: Sequence[Diagnostic], sources: Mapping[str, bytes]) -> None:
        errors = sum(one.severity is Severity.ERROR for one in diagnostics)
        super().__init__(f"the version has {errors} error{'' if errors == 1 else 's'}")
        self.diagnostics = tuple(diagnostics)
        self.sources = sources

    @classmethod
    def at_file(cls, path: str, code: str, message: str, hint: str = "") -> "DiagnosticsError":
        """A single mistake of a whole file."""
        return cls([Diagnostic(code=code, message=message, location=Location(path=path), hint=hint)], {})


class ControllerError(Exception):
    """Something that keeps a command from being done; `hint` says what to do next."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def explain(error: Exception) -> str:
    """A failure of one worker in one line, whatever it was: the others go on."""
    if isinstance(error, WorkerError):
        return error.message
    return f"unexpected {type(error).__name__}: {error}"


class StalePlanError(ControllerError):
    """The plan that was to be applied isn't what applying would do now."""
