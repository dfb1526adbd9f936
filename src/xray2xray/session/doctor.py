"""What `xray2xray doctor` finds: what is installed and works, what is missing, what is slow and why, and what to do."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal

from ..core.limits import free_bytes
from .about import about

State = Literal["ok", "slow", "missing", "broken"]
CODECS = {
    "JPEG": "1.2.840.10008.1.2.4.50",
    "JPEG lossless": "1.2.840.10008.1.2.4.70",
    "JPEG-LS": "1.2.840.10008.1.2.4.80",
    "JPEG 2000": "1.2.840.10008.1.2.4.90",
    "RLE": "1.2.840.10008.1.2.5",
}
LEAST_FREE = 2**31  # bytes of memory that rotate and reconstruct want
SLOW_BFLOAT16 = 0.9


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. Only what is `broken` keeps the package from working."""

    name: str
    state: State
    words: str
    remedy: str = ""


def checks() -> Iterator[Check]:
    """Everything that is looked at."""
    facts = about()
    yield from _packages(facts["packages"])
    yield from _weights(facts["weights"])
    yield from _codecs()
    yield from _extras()
    yield from _machine(facts["machine"])
    yield _command()


def _packages(found: dict[str, str]) -> Iterator[Check]:
    absent = [name for name, number in found.items() if number == "missing"]
    words = ", ".join(f"{name} {number}" for name, number in found.items())
    if absent:
        yield Check("packages", "broken", f"not installed: {', '.join(absent)}", "install xray2xray again with pip")
    else:
        yield Check("packages", "ok", words)


def _weights(found: dict[str, dict[str, object]]) -> Iterator[Check]:
    for name, model in found.items():
        if model["ok"]:
            yield Check(f"weights {name}", "ok", "whole")
        else:
            why = str(model.get("problem", "a file is missing or damaged"))
            yield Check(f"weights {name}", "broken", why, "install xray2xray again")


def _codecs() -> Iterator[Check]:
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import UID

    for name, uid in CODECS.items():
        if get_decoder(UID(uid)).is_available:
            yield Check(f"DICOM {name}", "ok", "can be read")
        else:
            yield Check(f"DICOM {name}", "missing", "such files cannot be read", "pip install 'xray2xray[dicom]'")


def _extras() -> Iterator[Check]:
    """The optional parts that the installed distribution names, but for tools of development."""
    try:
        wanted = requires("xray2xray") or []
    except PackageNotFoundError:  # run from a checkout
        return
    parts: dict[str, list[str]] = {}
    for line in wanted:
        found, package = re.search(r"extra == ['\"](\w+)['\"]", line), re.match(r"[\w.-]+", line)
        if found and package and found.group(1) not in ("dev", "dicom", "bench"):
            parts.setdefault(found.group(1), []).append(package.group())
    for extra, packages in parts.items():
        absent = [package for package in packages if not _installed(package)]
        if absent:
            words, remedy = f"not installed: {', '.join(absent)}", f"pip install 'xray2xray[{extra}]'"
            yield Check(f"extra {extra}", "missing", words, remedy)
        else:
            yield Check(f"extra {extra}", "ok", "installed")


def _installed(package: str) -> bool:
    try:
        return bool(version(package))
    except PackageNotFoundError:
        return False


def _machine(machine: dict[str, object]) -> Iterator[Check]:
    import torch

    cores, threads = os.cpu_count() or 1, torch.get_num_threads()
    limit = os.environ.get("OMP_NUM_THREADS")
    if threads < cores and limit:
        words = f"{threads} of {cores} cores are used: OMP_NUM_THREADS is {limit}"
        yield Check("threads", "slow", words, "unset OMP_NUM_THREADS where nothing else needs the cores")
    else:
        yield Check("threads", "ok", f"{threads}, on {cores} cores")
    if hasattr(os, "getloadavg") and (load := os.getloadavg()[0]) > 1.5 * cores:
        words = f"{load:.1f} programs share {cores} cores at the moment"
        yield Check("load", "slow", words, "wait until they are done")
    if "bfloat16_speedup" in machine:
        speed = float(str(machine["bfloat16_speedup"]))
        words = f"{speed:g} times as fast as float32; precision auto takes {machine['precision']}"
        remedy = "leave --precision at auto: this processor has no instructions for it"
        slow = speed < SLOW_BFLOAT16
        yield Check("bfloat16", "slow" if slow else "ok", words, remedy if slow else "")
    if torch.cuda.is_available():
        yield Check("GPU", "ok", torch.cuda.get_device_name(0))
    elif Path("/dev/nvidia0").exists():
        words = f"there is one, and torch {torch.__version__} cannot use it"
        yield Check("GPU", "slow", words, "install a CUDA build of torch, as pytorch.org says, and a driver")
    else:
        yield Check("GPU", "missing", "none; everything runs on the CPU")
    free = free_bytes()
    state: State = "ok" if free >= LEAST_FREE else "slow"
    remedy = "" if state == "ok" else "close other programs; a CT of 512 slices needs about 2 GiB"
    yield Check("memory", state, f"{free / 2**30:.1f} GiB are free", remedy)
    room = shutil.disk_usage(tempfile.gettempdir()).free
    state = "ok" if room >= 2**30 else "slow"
    remedy = "" if state == "ok" else "zipped CTs are unpacked there: make room, or set TMPDIR"
    yield Check("temporary files", state, f"{room / 2**30:.1f} GiB are free in {tempfile.gettempdir()}", remedy)


def _command() -> Check:
    found = shutil.which("xray2xray")
    if found:
        return Check("command", "ok", found)
    remedy = "activate the environment that holds it, or run python -m xray2xray"
    return Check("command", "missing", "xray2xray is not on the PATH", remedy)
