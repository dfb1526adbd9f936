"""One command in a child process with limits of time and memory, and what became of it."""

import os
import re
import resource
import select
import signal
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SECONDS = 10.0
BYTES = 2 * 2**30
PLANTED = "Plantedname"  # stands in every personal field of the seeds; no output of ours may show it
_OURS = re.compile(r"xray2xray: |usage: ")


@dataclass(frozen=True)
class Ended:
    """How a child ended.

    Attributes:
        code: exit code, or minus the signal that ended it.
        seconds: wall-clock time.
        peak_bytes: largest resident memory, that of the forking process included.
        said: what it wrote to stderr.
        printed: what it wrote to stdout.
    """

    code: int
    seconds: float
    peak_bytes: int
    said: str
    printed: str = ""

    @property
    def verdict(self) -> str:
        """`work`, `refused` (one clear line), or the fault."""
        if self.code == -signal.SIGKILL:
            return "hang"
        if self.code < 0:
            return f"crash ({signal.Signals(-self.code).name})"
        if self.peak_bytes > BYTES:
            return "over memory"
        if "Traceback" in self.said:
            return "traceback"
        if "this should not happen" in self.said:
            return "should not happen"
        if PLANTED in self.said or PLANTED in self.printed:
            return "personal data"
        lines = [line for line in self.said.splitlines() if line.strip()]
        if any(not _OURS.match(line) for line in lines):
            return "foreign lines"
        errors = [line for line in lines if line.startswith("xray2xray: error: ")]
        if self.code == 0 and not errors:
            return "work"
        if self.code in (1, 2) and len(errors) == 1 and lines[-1] == errors[0]:
            return "out of memory" if "out of memory" in errors[0] else "refused"
        return f"exit code {self.code}, {len(errors)} error lines"

    @property
    def fault(self) -> bool:
        return self.verdict not in ("work", "refused")


def run(words: Sequence[str], folder: Path, seconds: float = SECONDS, memory: int = BYTES) -> Ended:
    """`xray2xray WORDS` in a fork of this process, with `folder` as working directory and for its stdout and stderr.

    The fork saves the imports. It is safe as long as this process has one thread, which is checked: neither torch with
    OMP_NUM_THREADS=1 nor our serial kernels start another. Memory is limited by RLIMIT_DATA, which counts what a
    process has written to or may write to (heap, anonymous maps); RLIMIT_AS would count torch's 2 GB of mapped
    libraries as well.

    Raises:
        RuntimeError: this process has several threads.
    """
    tasks = Path("/proc/self/task")
    if tasks.is_dir() and len(list(tasks.iterdir())) > 1:
        raise RuntimeError("several threads: a fork could hang; set OMP_NUM_THREADS=1 before Python starts")
    folder.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        _be_the_child(words, folder, memory)
    watch = os.pidfd_open(child)
    before = os.times().elapsed
    ended, _, _ = select.select([watch], [], [], seconds)
    if not ended:
        os.kill(child, signal.SIGKILL)
    _, status, used = os.wait4(child, 0)
    os.close(watch)
    said, printed = ((folder / name).read_text("utf-8", errors="replace") for name in ("stderr", "stdout"))
    return Ended(os.waitstatus_to_exitcode(status), os.times().elapsed - before, used.ru_maxrss * 1024, said, printed)


def _be_the_child(words: Sequence[str], folder: Path, memory: int) -> None:
    """Never returns."""
    code = 70
    try:
        for name, descriptor in (("stdout", 1), ("stderr", 2)):
            file = os.open(folder / name, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
            os.dup2(file, descriptor)
        os.chdir(folder)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
        from xray2xray.commands import cli

        code = cli.main(list(words))
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)
