"""What one input may ask for, in one place; above it is refused before memory is taken (SECURITY.md)."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from .errors import InputError

MAX_VOXELS = 2**30  # of a scan: a CT of 512 x 512 pixels has 4,096 slices then
MAX_PIXELS = 2**26  # of a radiograph: 8,192 x 8,192
MAX_SIDE = 2**12  # pixels along a side of a rendered view
MAX_UNPACKED_BYTES = 4 * 2**30  # of an archive, all members together; a whole-body CT has about 1 GiB
MAX_RATIO, FREE_BYTES = (
    200,
    2**28,
)  # unpacked to packed bytes, where FREE_BYTES are exceeded; a CT has 2 to 20
MAX_MEMBERS = 100_000  # files in an archive or below the folder of a scan
MAX_TEXT_BYTES = 2**22  # of a JSON or YAML file
MAX_SETTING = 2**16  # of a whole number in the settings of a network
MAX_LAYERS = 256  # of a network, blocks of one kind
MAX_BATCH = 2**12  # of a training recipe
MAX_PARAMETERS = 2**31  # of a network
BYTES_PER_VOXEL = 16  # while a scan is read and projected: stored, HU, a copy in canonical axes, attenuation
BYTES_PER_PIXEL = 24  # while a radiograph is read: three channels as stored and as numbers, and their mean


_stricter: ContextVar[dict[str, int] | None] = ContextVar("stricter", default=None)


@contextmanager
def at_most(**most: int) -> Iterator[None]:
    """Inside the block `check_size` also holds these: `voxels=`, `pixels=`. For programs that read for others."""
    before = _stricter.set(most)
    try:
        yield
    finally:
        _stricter.reset(before)


def check_size(count: float, most: int, unit: str, where: object, remedy: str) -> None:
    """Raise InputError if there are more than `most` voxels or pixels, or more than fit into the memory that is free.

    Args:
        count: how many a header promises; nothing has been read yet.
        unit: voxels or pixels.
        where: the file, for the message.
        remedy: what to do.
    """
    most = min(most, (_stricter.get() or {}).get(unit, most))
    if not count <= most:  # also NaN
        raise InputError(f"{where}: {count:,.0f} {unit} are too many (at most {most:,}); {remedy}")
    needed = count * (BYTES_PER_VOXEL if unit == "voxels" else BYTES_PER_PIXEL)
    free = free_bytes()
    if needed > free:
        raise InputError(
            f"{where}: {count:,.0f} {unit} need about {needed / 2**20:,.0f} MiB, {free / 2**20:,.0f} MiB of memory are"
            f" free; {remedy}"
        )


def check_ratio(unpacked: int, packed: int, where: object) -> None:
    """Raise InputError for compressed data that unpacks to more than a scan would: a decompression bomb."""
    if unpacked > FREE_BYTES and unpacked > MAX_RATIO * max(packed, 1):
        raise InputError(
            f"{where}: unpacks to {unpacked / 2**20:,.0f} MiB, more than {MAX_RATIO} times its size: a decompression"
            " bomb, not a scan; give the original file"
        )


def free_bytes() -> float:
    """Memory that this process may still take: what the machine, a container and RLIMIT_DATA leave; inf if unknown."""
    free = [float("inf")]
    try:
        free.append(_kib("/proc/meminfo", "MemAvailable"))
        data, _ = resource.getrlimit(resource.RLIMIT_DATA)
        if data != resource.RLIM_INFINITY:
            free.append(data - _kib("/proc/self/status", "VmData"))
        limit, used = (Path("/sys/fs/cgroup", f"memory.{one}").read_text().strip() for one in ("max", "current"))
        if limit.isdecimal():
            free.append(int(limit) - int(used))
    except (OSError, ValueError, StopIteration):  # another system, or no container
        pass
    return max(0.0, min(free))


def _kib(path: str, name: str) -> float:
    with open(path, encoding="ascii", errors="replace") as file:
        return next(1024.0 * int(line.split()[1]) for line in file if line.startswith(f"{name}:"))
