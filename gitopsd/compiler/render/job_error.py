"""Why a blueprint can't become a job."""

from gitopsd.model.system import Origin


class JobError(ValueError):
    """A blueprint that can't become this job.

    `at` is the way to the cause below `job:` in the blueprint, `parameter` the step's parameter that is the cause and
    `way` what in its value is, `origin` the place in a declaration that is; with none of these it is the step itself.
    `within` are the offsets of what is wrong in the text that is there.
    """

    def __init__(
        self,
        code: str,
        message: str,
        at: tuple[str | int, ...] = (),
        hint: str = "",
        *,
        parameter: str = "",
        way: tuple[str | int, ...] = (),
        origin: Origin | None = None,
        within: tuple[int, int] = (0, 0),
    ) -> None:
        super().__init__(message)
        self.code = code
        self.at = at
        self.hint = hint
        self.parameter = parameter
        self.way = way
        self.origin = origin
        self.within = within
