"""The two ways a command can end badly: exit code 1 (the input is wrong) and 2 (the request is)."""

import errno
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


class InputError(ValueError):
    """A file or array cannot be used. The message says which, what is wrong and what to do, in one line."""

    exit_code = 1


class UsageError(ValueError):
    """The request itself is wrong or refused, for example an output folder that is not empty."""

    exit_code = 2


def is_full(error: BaseException) -> bool:
    """Whether there is no room for what was to be written: no other file will fare better."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def silent_libraries(*more: str) -> Iterator[None]:
    """Neither warnings nor log lines of the readers' libraries: they quote values, and repairs are refused by us."""
    loggers = [logging.getLogger(name) for name in ("nibabel.global", "pydicom", "PIL", *more)]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def reading(where: object, what: str, remedy: str = "copy it again", quote: bool = True) -> Iterator[None]:
    """Whatever a library raises while a file from outside is read becomes one InputError; what it warns of is dropped.

    Damaged files raise nearly every type there is, and a library's texts may quote what stands in the file.

    Args:
        where: the file.
        what: what is wrong with it then.
        remedy: what to do.
        quote: say the library's reason, too. Not of DICOM, whose values may name a person.
    """
    try:
        with silent_libraries():
            yield
    except (InputError, UsageError):
        raise
    except MemoryError as error:
        raise InputError(f"{where}: more than fits into memory; give a smaller file") from error
    except Exception as error:
        said = (error.strerror or "") if isinstance(error, OSError) and error.errno else str(error)
        reason = " ".join(said.split())[:160] if quote else ""
        raise InputError(f"{where}: {what} ({reason or type(error).__name__}); {remedy}") from error
