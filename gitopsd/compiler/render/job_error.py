"""Why a blueprint can't become a job."""


class JobError(ValueError):
    """A blueprint that can't become this job.

    `at` is the way to the cause below `job:` in the blueprint, `parameter` the step's parameter that is the cause;
    with neither it is the step itself. `within` are the offsets of what is wrong in the text that is there.
    """

    def __init__(
        self,
        code: str,
        message: str,
        at: tuple[str | int, ...] = (),
        hint: str = "",
        *,
        parameter: str = "",
        within: tuple[int, int] = (0, 0),
    ) -> None:
        super().__init__(message)
        self.code = code
        self.at = at
        self.hint = hint
        self.parameter = parameter
        self.within = within
