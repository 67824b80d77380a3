"""Failures of repositories and remotes. Kept free of pygit2 so that anyone can catch them cheaply."""


class RepositoryError(Exception):
    """Something about a repository keeps us from going on.

    `message` says what was tried and what came back; `hint` says what to do next ("" when there is nothing to add).
    Credentials never appear in either.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UnknownRevisionError(RepositoryError):
    """A revision names nothing, or more than one thing."""


class UnknownDeploymentError(RepositoryError):
    """A deployment number or commit prefix names nothing on the artifact branch, or more than one thing."""


class RefMovedError(RepositoryError):
    """A compare-and-swap lost its race: the ref is no longer where the caller saw it. Read again and retry."""

    def __init__(self, ref: str, *, expected: str | None, actual: str | None) -> None:
        super().__init__(
            f"{ref} moved while it was being updated:"
            f" expected {expected or 'no such ref'}, found {actual or 'another value'}",
            "somebody else wrote at the same time; read the branch again and retry",
        )
        self.ref = ref
        self.expected = expected
        self.actual = actual


class DivergedError(RepositoryError):
    """The local branch holds commits that the remote lacks. Nothing was changed on either side."""


class GitCommandError(RepositoryError):
    """`git` failed or overran its deadline (`exit_code` is then None)."""

    def __init__(
        self, *, command: tuple[str, ...], exit_code: int | None, stdout: str, stderr: str, hint: str = ""
    ) -> None:
        ending = "did not finish before its deadline" if exit_code is None else f"failed with exit code {exit_code}"
        super().__init__(f"`{' '.join(command)}` {ending}" + (f":\n{stderr.strip()}" if stderr.strip() else ""), hint)
        self.command = command
        self.exit_code = exit_code
        self.stdout = stdout
        self.stderr = stderr


class TooLargeError(RepositoryError):
    """It has more bytes than are taken; trying again comes to the same until it is another one."""


class RemoteError(RepositoryError):
    """A remote could not be used. The subclasses say why."""


class RemoteUnreachableError(RemoteError):
    """No answer, or not from a Git repository; a later attempt may succeed.

    After a push the outcome is unknown: fetch and look.
    """


class RemoteAuthenticationError(RemoteError):
    """The remote answered and would not let us in, or its host key is not known."""


class RemoteRejectedError(RemoteError):
    """The remote refused the push for a reason of its own: a hook, a protected branch."""


class LockHeldError(RepositoryError):
    """Another process kept the host lock past our deadline. `pid` is its process id, if it left one."""

    def __init__(self, message: str, hint: str = "", *, pid: int | None) -> None:
        super().__init__(message, hint)
        self.pid = pid
