"""What one explorer takes from all of its users together; what a file may promise stands in `core.limits`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Attributes:
    upload_bytes: of one file.
    upload_s: until it has arrived.
    voxels: of a scan: 512 x 512 pixels have 512 slices then.
    pixels: of a radiograph.
    work_s: of one case, from when its turn has come.
    waiting: cases in the queue.
    cases: kept ready to look at, of all users.
    cases_each: of one user; the oldest goes first.
    idle_s: after which a user who was not heard of is forgotten, with all cases.
    """

    upload_bytes: int = 2**29
    upload_s: float = 300.0
    voxels: int = 2**27
    pixels: int = 2**25
    work_s: float = 180.0
    waiting: int = 32
    cases: int = 64
    cases_each: int = 6
    idle_s: float = 900.0
