"""What must hold before a cohort is worth a number. Each check passes silently or says what is wrong and what to do."""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from ...core.errors import InputError
from ..groups import SPLITS, check_patients
from .fingerprint import Fingerprint, near_pairs
from .table import Cohort

# the sizes that the paper states: of NLST participants, of CheXpert frontal images (arXiv 2506.19055)
PAPER_SIZES = {
    "nlst": {"train": 7268, "validation": 1042, "test": 2085},
    "chexpert": {"train": 191_027, "validation": 202, "test": 518},
}
_REMEDY = "write the table with --skip-images, delete rows, and read it again with --kind csv"
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def check_names(cohort: Cohort) -> None:
    """Raise InputError unless there are samples and their names are safe, different file names."""
    if not cohort.samples:
        why = next(iter(cohort.failed.items()), ("", ""))
        raise InputError(f"{cohort.kind}: nothing can be used ({len(cohort.failed)} failed; {': '.join(why)})")
    name, count = Counter(sample.study for sample in cohort.samples).most_common(1)[0]
    if count > 1:
        raise InputError(f"{cohort.kind}: {count} studies are called {name}; give each its own name")
    for sample in cohort.samples:
        if not _SAFE.fullmatch(sample.study):
            raise InputError(
                f"{cohort.kind}: study name {sample.study!r} is no safe file name: use letters, digits, '.', '_' or '-'"
            )


def check_split(cohort: Cohort) -> None:
    """Raise InputError if a patient is in two splits, only some samples are in one, or it is none of `SPLITS`."""
    if not cohort.splits:
        return
    without = [sample.study for sample in cohort.samples if not sample.split]
    if without:
        raise InputError(f"{cohort.kind}: {len(without)} studies are in no split, first {without[0]}; give all or none")
    odd = [sample for sample in cohort.samples if sample.split not in SPLITS]
    if odd:
        said = f"{odd[0].study} is in split {odd[0].split!r}; say {', '.join(SPLITS)}"
        raise InputError(f"{cohort.kind}: {said}")
    split = {sample.study: sample.split for sample in cohort.samples}
    check_patients(split, {sample.study: sample.patient for sample in cohort.samples})


def check_classes(cohort: Cohort) -> None:
    """Raise InputError if a label knows one class only, in all or in a split: nothing can be learned or tested so."""
    split = np.array([sample.split for sample in cohort.samples])
    for name in cohort.label_names:
        values = cohort.label(name)
        for part in cohort.splits or ("",):
            known = np.unique(values[(split == part) & ~np.isnan(values)])
            if len(known) < 2:
                said = "unknown in all" if not len(known) else f"{known[0]:g} in all"
                raise InputError(f"{cohort.kind}: {name} is {said} {part} studies; leave it out or add studies")


def check_images(cohort: Cohort, prints: Mapping[str, Fingerprint]) -> None:
    """Raise InputError if one file, or nearly one picture, is in two splits.

    Args:
        prints: the fingerprints of the samples, by study.
    """
    places: dict[str, dict[str, str]] = defaultdict(dict)  # hash -> split -> a study
    for sample in cohort.samples:
        places[prints[sample.study].sha256].setdefault(sample.split, sample.study)
    same = [tuple(one.values()) for one in places.values() if len(one) > 1]
    if same:
        raise InputError(f"{cohort.kind}: the same file is in two splits, {_pairs(same)}; {_REMEDY}")
    for first, second in combinations(cohort.splits, 2):
        names, bits = zip(*(_hashed(cohort, part, prints) for part in (first, second)), strict=True)
        near = [(names[0][i], names[1][j]) for i, j in near_pairs(*bits)] if all(map(len, names)) else []
        if near:
            said = f"nearly the same picture is in {first} and {second}"
            raise InputError(f"{cohort.kind}: {said}, {_pairs(near)}; look at them, then {_REMEDY}")


def _hashed(cohort: Cohort, split: str, prints: Mapping[str, Fingerprint]) -> tuple[list[str], np.ndarray]:
    """Studies of a split that have a hash, and the hashes (n, 512)."""
    there = {s.study: bits for s in cohort.samples if s.split == split and (bits := prints[s.study].bits) is not None}
    return list(there), np.array(list(there.values()))


def _pairs(pairs: Sequence[tuple[str, ...]]) -> str:
    shown = ", ".join(" and ".join(pair) for pair in pairs[:3])
    return f"{len(pairs)} pair{'s' if len(pairs) > 1 else ''} ({shown}{', ...' if len(pairs) > 3 else ''})"


def paper_sizes(cohort: Cohort) -> str | None:
    """A line that compares the split with the paper's, where the paper has this cohort and the cohort a split."""
    paper = PAPER_SIZES.get(cohort.kind)
    if paper is None or not cohort.splits:
        return None
    what = "participants" if cohort.kind == "nlst" else "frontals"
    here = {
        part: len(
            {s.patient if what == "participants" else s.study for s in cohort.frontals().samples if s.split == part}
        )
        for part in paper
    }
    said = ", ".join(f"{part} {here[part]:,} of {paper[part]:,}" for part in paper)
    if here == paper:
        return f"{what} as in the paper: {said}"
    return f"warning: not the paper's {what}: {said}"
