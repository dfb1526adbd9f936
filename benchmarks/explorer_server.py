"""A running `xray2xray serve`, as a process of its own: what tests, pictures and benchmarks of the explorer look at."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

COMMAND = "import sys; from xray2xray.commands.cli import main; sys.exit(main(sys.argv[1:]))"


@contextmanager
def serving(*options: str) -> Iterator[tuple[str, int]]:
    """The address of an explorer on a free port of loopback, and the number of its process."""
    words = [sys.executable, "-c", COMMAND, "serve", "--port", "0", *options]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.match(r"(http://127\.0\.0\.1:\d+/) ", line)
        if found is None:
            raise RuntimeError(f"the explorer did not start: {line!r}")
        yield found[1], process.pid
    finally:
        process.terminate()
        process.wait(timeout=60)
