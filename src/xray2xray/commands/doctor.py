import json as json_
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from ..core.errors import InputError
from .registry import as_function

if TYPE_CHECKING:
    from ..session.doctor import Check


@dataclass(frozen=True)
class Options:
    """Look at what is installed, what is missing, what is slow and why; say what to do about it.

    The exit code is 1 if something keeps the package from working: a package or a file of weights that is missing or
    damaged. What is only slow, or needed for some files only, is said and leaves it at 0.

    Attributes:
        json: machine-readable output.
    """

    json: bool = False


@dataclass(frozen=True)
class DoctorResult:
    """`checks`: all that was looked at."""

    checks: "tuple[Check, ...]"


def run(options: Options) -> DoctorResult:
    from ..session.doctor import checks

    found = tuple(checks())
    if options.json:
        print(json_.dumps([asdict(one) for one in found], indent=1))
    else:
        for one in found:
            print(f"{one.state:<8}{one.name:<20}{one.words}" + (f"\n{'':<28}-> {one.remedy}" if one.remedy else ""))
        count = Counter(one.state for one in found)
        print("\n" + ", ".join(f"{count[state]} {state}" for state in ("ok", "slow", "missing", "broken")))
    broken = [one.name for one in found if one.state == "broken"]
    if broken:
        raise InputError(f"this keeps xray2xray from working: {', '.join(broken)}")
    return DoctorResult(found)


doctor = as_function(Options, run)
