"""Which of several stacks is the CT to read."""

from ...core.errors import InputError
from .stacks import Stack

MIN_LONG_AXIS_MM = 150.0  # less is no chest, whatever else speaks for it
SAME_COVERAGE = 0.9  # stacks that cover at least this part of what the largest does count as covering the same
HU = {"", "HU", "US"}  # RescaleType; US is unspecified, which the distribution of the values must answer for

# Words of the image type (PS3.3 C.8.2.1.1.1, C.8.15.2 and what vendors add) and of descriptions.
PROJECTION = {
    "MIP", "MINIP", "MNIP", "MAX_IP", "MIN_IP", "MAXIMUM", "MINIMUM", "RAYSUM", "PROJECTION IMAGE", "VRT", "SSD",
    "VOLREN", "CURVED",
}  # fmt: skip
PARAMETRIC = {
    "IODINE", "ZEFF", "Z_EFF", "EFF_ATOMIC_NUM", "ELECTRON_DENSITY", "MAT_SPECIFIC", "MAT_FRACTIONAL",
    "MAT_VALUE_BASED", "PERFUSION", "PBV", "SUBTRACTION", "STD_DEVIATION", "DIVISION",
}  # fmt: skip
ALTERED = {
    "AVERAGE", "AVG", "AVERAGED", "MEAN", "ADDITION", "MULTIPLICATION", "VMI", "MONO", "MONOE", "MONOENERGETIC", "VNC",
    "MAT_REMOVED", "MAT_MODIFIED",
}  # fmt: skip


def kind(stack: Stack) -> tuple[int, str]:
    """0 original axial HU, 1 other HU, 2 HU of another meaning, 3 no CT numbers of a place; and its name from 2 on."""
    words = frozenset().union(*(image.words for image in stack.images))
    if units := _other_units(stack):
        return 3, f"values in {', '.join(units)} (RescaleType), not HU"
    for named, rank, what in ((PROJECTION, 3, "projection"), (PARAMETRIC, 3, "parametric map"), (ALTERED, 2, "image")):
        if found := sorted(named & words):
            return rank, f"{what} ({', '.join(found)})"
    if not all(image.ct_class for image in stack.images):
        return 2, "SOP class other than CT (Secondary Capture or the like)"
    axial = abs(float(stack.affine[2, 2])) > 0.8 * stack.step_mm
    return (0 if axial and "ORIGINAL" in words and "DERIVED" not in words else 1), ""


def _other_units(stack: Stack) -> list[str]:
    return sorted({image.units for image in stack.images} - HU)


def choose(stacks: list[Stack], wanted: str | None, where: str) -> tuple[Stack, list[str]]:
    """The stack to read, and what the report says of the choice.

    Original axial images in HU come first and projections and maps last; then coverage from head to feet; among those
    within 10 % of it regular ones, then the thinnest slices, then the smallest name.

    Args:
        stacks: at least one.
        wanted: a name of a stack, or a SeriesInstanceUID whose best stack is taken.
        where: the path, for messages.

    Raises:
        InputError: no such series, or nothing but what holds no CT numbers.
    """
    listed = "; ".join(map(_described, stacks))
    if wanted is None:
        candidates, chosen = stacks, _best(stacks)
        if kind(chosen)[0] == 3:
            hint = "" if _other_units(chosen) else f", or read it all the same: --series {chosen.name}"
            raise InputError(f"{where}: no CT numbers of a place, only {listed}; give the original axial series{hint}")
    else:
        candidates = [s for s in stacks if s.name == wanted] or [s for s in stacks if wanted == s.name.split(":")[0]]
        if not candidates:
            raise InputError(f"{where}: no CT series {wanted}; choose one of {listed}")
        chosen = _best(candidates)
        if _other_units(chosen):
            raise InputError(f"{where}: series {chosen.name} has {kind(chosen)[1]}; choose another: {listed}")
    others = [stack for stack in candidates if stack is not chosen]
    notes = []
    if others:
        notes.append(
            f"{len(others) + 1} CT series, reading {_described(chosen)}: original axial HU, then coverage from head to "
            f"feet, then thin slices. Choose another with --series UID[:acquisition]: "
            + "; ".join(map(_described, sorted(others, key=lambda stack: _rank(stack, others))))
        )
    if kind(chosen)[0] > 1:
        notes.append(f"series {chosen.name} is no original CT: {kind(chosen)[1]}")
    return chosen, notes


def _best(stacks: list[Stack]) -> Stack:
    return min(stacks, key=lambda stack: _rank(stack, stacks))


def _rank(stack: Stack, among: list[Stack]) -> tuple[object, ...]:
    first = _first(stack)
    most = max(one.long_axis_mm for one in among if _first(one) == first)
    coverage = stack.long_axis_mm
    return (
        *first,
        coverage < SAME_COVERAGE * most,
        stack.problem is not None,
        round(stack.step_mm, 2),
        stack.name,
    )


def _first(stack: Stack) -> tuple[bool, bool, int]:
    rank, _ = kind(stack)
    return rank == 3, stack.long_axis_mm < MIN_LONG_AXIS_MM, rank


def _described(stack: Stack) -> str:
    rank, what = kind(stack)
    return f"{stack} [{what}]" if rank > 1 else str(stack)
