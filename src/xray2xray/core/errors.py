"""The two ways a command can end badly: exit code 1 (the input is wrong) and 2 (the request is)."""


class InputError(ValueError):
    """A file or array cannot be used. The message says which, what is wrong and what to do, in one line."""

    exit_code = 1


class UsageError(ValueError):
    """The request itself is wrong or refused, for example an output folder that is not empty."""

    exit_code = 2
