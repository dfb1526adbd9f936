"""Whose a study is and which part of a split it is in, so that no patient is ever on two sides."""

from collections.abc import Mapping
from typing import Any

from ..core.errors import InputError
from ..core.evidence import FROM_CT, VIRTUAL

SOURCE_CT = "source_ct"  # the label that names the CT a study was warped from
PATIENT, SPLIT, EVIDENCE = "patient", "split", "evidence_level"  # labels that a cohort's table gives
TRAIN, VALIDATION, TEST = SPLITS = ("train", "validation", "test")


def group_of(labels: Mapping[str, Any], study: str) -> str:
    """The patient of a study: as its table says, else the CT that it was warped from, else the study itself."""
    return str(labels.get(PATIENT) or labels.get(SOURCE_CT) or study)


def part_of(labels: Mapping[str, Any]) -> str:
    """The part of its table's split that a study is in; a study without one is for training."""
    return str(labels.get(SPLIT) or TRAIN)


def evidence_of(labels: Mapping[str, Any]) -> str:
    """The evidence level of a stored study: as its table says; a patient that is made by a seed is a virtual one."""
    return str(labels.get(EVIDENCE) or (VIRTUAL if "seed" in labels else FROM_CT))


def check_groups(split: Mapping[str, str], labels: Mapping[str, Mapping[str, Any]]) -> None:
    """Make sure that no patient is in two parts of a split.

    Args:
        split: the part (train, test, ...) of every study.
        labels: the labels of every study.

    Raises:
        InputError: a CT and its warps, or two warps of it, lie in different parts.
    """
    check_patients(
        split, {study: group_of(labels[study], study) for study in split}, "the CT", "a CT and all its warps"
    )


def check_patients(
    split: Mapping[str, str], patient: Mapping[str, str], of: str = "patient", whole: str = "all of a patient"
) -> None:
    """Make sure that no patient is in two parts of a split.

    Args:
        split: the part of every study.
        patient: the patient of every study.
        of, whole: what a patient is called in the message, and what has to stay together.

    Raises:
        InputError: one is.
    """
    first: dict[str, str] = {}
    for study, part in split.items():
        other = first.setdefault(patient[study], study)
        if split[other] != part:
            raise InputError(
                f"{study} is in {part} and {other} in {split[other]}, but both come from {of} {patient[study]}; "
                f"keep {whole} in one part"
            )
