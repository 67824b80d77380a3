class SecretError(Exception):
    """Why a secret's value can't be had; the message names its source, and never holds a part of the value."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
