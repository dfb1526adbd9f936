"""Render CTs, and copies of them warped to the outlines of virtual patients, into a view store.

    python -m xray2xray.experiments.warps CT... --count 50 --out STORE

A copy has no couch; its label source_ct names the CT, and training keeps both on one side of a split. A second call
with the same STORE goes on where the first one stopped. A CT that cannot be read is listed in failed.csv.
"""

from collections.abc import Sequence
from pathlib import Path

from ...projection.geometry import STANDARD_ARC
from ..command import command, parser
from .render import render_warps


def main(words: Sequence[str] | None = None) -> None:
    made = parser("warps", __doc__)
    made.add_argument("cts", type=Path, nargs="+", metavar="CT", help="NIfTI files, folders or zips of DICOM")
    made.add_argument("--out", type=Path, required=True)
    made.add_argument("--count", type=int, default=50, help="warped copies of each CT")
    made.add_argument("--size", type=int, default=128, help="pixels along each side of a view")
    made.add_argument("--geometry", default="chest", help="chest, portable_ap, xwin, x2ct or parallel")
    made.add_argument("--yaw-deg", type=float, nargs="+", default=STANDARD_ARC)
    made.add_argument("--remove-couch", action="store_true", help="from the CTs themselves too")
    made.add_argument("--lifted", action="store_true", help="also keep volumes, which the volumetric form learns from")
    made.add_argument("--workers", type=int, help="processes (default: one for each core)")
    store = command(made, lambda options: render_warps(**vars(options)), words)
    print(f"{len(store)} studies in {store.folder}")


if __name__ == "__main__":
    main()
