"""Messages of the library on stderr. Modules log with `logging.getLogger(__name__)`; a program calls `to_stderr` once.

Without that call Python's own rule holds: warnings are shown, the rest is not.
"""

import logging
import sys
import warnings
from typing import TextIO

PACKAGE = logging.getLogger("xray2xray")


def to_stderr(level: int = logging.INFO) -> None:
    """Show the package's messages from this level on: INFO says how far the work is, WARNING what was left out."""
    warnings.filterwarnings("ignore", module=r"(pydicom|nibabel|PIL)\b")  # they quote values, which may name a person
    handler = _Stderr()
    handler.setFormatter(_Formatter())
    PACKAGE.handlers[:] = [handler]
    PACKAGE.setLevel(level)


class _Stderr(logging.StreamHandler[TextIO]):
    """Writes to what `sys.stderr` is at the time of the message: it may have been replaced since."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


class _Formatter(logging.Formatter):
    """Information as it is, warnings with the program's name, debugging with the module's."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        if record.levelno >= logging.WARNING:
            return f"xray2xray: {text}"
        return text if record.levelno >= logging.INFO else f"{record.name}: {text}"
