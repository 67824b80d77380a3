"""What can go wrong between a controller and a forge. No message holds a token or what a forge wrote at length."""


class ForgeError(Exception):
    """A forge didn't do what it was asked; `message` says what was tried and what came back, `hint` what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ForgeRefusedError(ForgeError):
    """It answered, and the same request will be refused again: a token without that right, something that is gone."""


class NotFoundError(ForgeRefusedError):
    """There is no such thing, or this token may not see it: forges don't tell one from the other."""


class ForgeUnavailableError(ForgeError):
    """It can't be reached, is out of order, or wants fewer requests. `again_in`: seconds, not to be asked before."""

    def __init__(self, message: str, *, again_in: float, hint: str = "") -> None:
        super().__init__(message, hint)
        self.again_in = again_in
