"""Whom a model has learned from, so that no later stage tests it on them: hashes of names, never the names."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from ..io.files import write_text
from ..io.model_folder import folder_of

FILE = "patients.txt"


def fingerprint(patient: str) -> str:
    """16 hexadecimal digits that stand for a patient's name."""
    return hashlib.sha256(f"xray2xray patient {patient}".encode()).hexdigest()[:16]


def keep_patients(folder: Path, patients: Iterable[str], start: str | Path | None) -> None:
    """Add patients to those of a model's folder, and those of the model that it starts from."""
    known = {fingerprint(patient) for patient in patients} | known_patients(folder)
    known |= set() if start is None else known_patients(folder_of(start))
    if known:
        write_text(folder / FILE, "\n".join(sorted(known)) + "\n")


def known_patients(folder: Path) -> set[str]:
    """The fingerprints of the real patients that a model has seen in training; none of a model that does not say."""
    path = folder / FILE
    return set(path.read_text(encoding="utf-8").split()) if path.is_file() else set()
