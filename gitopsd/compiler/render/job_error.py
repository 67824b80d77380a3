"""Why a blueprint can't become a job."""


class JobError(ValueError):
    """A blueprint that can't become this job.

    `at` is the way to the cause below `job:` in the blueprint, `parameter` the step's parameter that is the cause;
    with neither it is the step itself.
    """

    def __init__(
        self, code: str, message: str, at: tuple[str | int, ...] = (), hint: str = "", parameter: str = ""
    ) -> None:
        super().__init__(message)
        self.code = code
        self.at = at
        self.hint = hint
        self.parameter = parameter
