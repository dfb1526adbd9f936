"""`python -m benchmarks.fuzz --inputs 2000 --seed 0`: see the package. Linux: it forks, and limits memory."""

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from random import Random

for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_variable] = "1"  # before torch and numba: a process with one thread may be forked

from xray2xray.commands.cli import main as command  # noqa: E402

from . import kit as kit_  # noqa: E402
from .child import BYTES, SECONDS, Ended, run  # noqa: E402
from .formats import FORMATS, Format, beside  # noqa: E402


@dataclass(frozen=True)
class Case:
    """One mutated input: its number, its format, and what became of the command."""

    number: int
    format: str
    seed: str
    words: tuple[str, ...]
    ended: Ended


def prepare(work: Path) -> None:
    """Make kit and seeds, and run one good input of every format here, so that forks find all imported and compiled."""
    (work / "kit").mkdir(parents=True)
    kit_.make(work / "kit")
    beside(work / "kit")
    for one in FORMATS.values():
        folder = work / "seeds" / one.name
        folder.mkdir(parents=True)
        one.seeds(folder)
    for name in ("dicom_ct", "report", "table"):
        command(_laid_out(work, FORMATS[name], sorted((work / "seeds" / name).iterdir())[0], None))


def case(work: Path, number: int, seed: int, only: str | None = None) -> Case:
    """One mutated input through its command, in a child."""
    rng = Random(f"{seed}-{number}")
    one = FORMATS[only or rng.choice(list(FORMATS))]
    original = rng.choice(sorted((work / "seeds" / one.name).iterdir()))
    words = _laid_out(work, one, original, rng)
    return Case(number, one.name, original.name, tuple(words), run(words, work / "case" / "said"))


def good(work: Path) -> list[Case]:
    """Every good input as it is: what the mutated ones start from must work."""
    cases: list[Case] = []
    for one in FORMATS.values():
        for original in sorted((work / "seeds" / one.name).iterdir()):
            words = _laid_out(work, one, original, None)
            ended = run(words, work / "case" / "said")
            cases.append(Case(len(cases), one.name, original.name, tuple(words), ended))
    return cases


def _laid_out(work: Path, one: Format, original: Path, rng: Random | None) -> list[str]:
    """A copy of an input in `case/`, mutated if there is an rng, and the words of the command that reads it."""
    folder = work / "case"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    path = folder / original.name
    if original.is_dir():
        shutil.copytree(original, path)
    else:
        shutil.copy(original, path)
    if rng is not None:
        one.mutate(rng, path)
    words = one.command(path, work / "kit")
    if "--out" in words:
        return [*words, "--quiet"]
    return [*words, "--quiet", "--out", str(folder / ("out.csv" if words[0] in ("embed", "cohort") else "out"))]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--format", choices=FORMATS, help="this format only")
    parser.add_argument("--only", type=int, metavar="NUMBER", help="repeat one input and keep it")
    parser.add_argument("--out", type=Path, help="figures as JSON")
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="xray2xray-fuzz-"))
    prepare(work)
    if options.only is not None:
        os.environ["XRAY2XRAY_DEBUG"] = "1"
        again = case(work, options.only, options.seed, options.format)
        print(f"{again.words}\n{again.ended.said}{again.ended.verdict}\nthe input is in {work / 'case'}")
        return int(again.ended.fault)
    for one in good(work):
        if one.ended.verdict != "work":
            print("as it is, ", end="")
            _show(one)
    cases = []
    for number in range(options.inputs):
        cases.append(case(work, number, options.seed, options.format))
        if cases[-1].ended.fault:
            _show(cases[-1])
    shutil.rmtree(work)
    figures = summary(cases) | {"inputs": options.inputs, "seed": options.seed}
    if options.out:
        options.out.write_text(json.dumps(figures, indent=1) + "\n")
    print(_table(cases), json.dumps(figures["verdicts"]), sep="\n")
    return int(any(one.ended.fault for one in cases))


def _show(one: Case) -> None:
    last = "\n    ".join(one.ended.said.strip().splitlines()[-3:])
    print(
        f"{one.number} {one.format} {one.seed}: {one.ended.verdict}, {one.ended.seconds:.1f} s\n    {last}", flush=True
    )


def summary(cases: list[Case]) -> dict[str, object]:
    """Verdicts in all and by format, the slowest input and the largest memory."""
    formats: dict[str, Counter[str]] = defaultdict(Counter)
    for one in cases:
        formats[one.format][one.ended.verdict] += 1
    return {
        "verdicts": dict(Counter(one.ended.verdict for one in cases)),
        "formats": {name: dict(formats[name]) for name in sorted(formats)},
        "slowest_s": round(max(one.ended.seconds for one in cases), 2),
        "largest_mib": round(max(one.ended.peak_bytes for one in cases) / 2**20),
        "limits": {"seconds": SECONDS, "mib": BYTES // 2**20},
    }


def _table(cases: list[Case]) -> str:
    """Markdown: a row for each format."""
    lines = ["| format | inputs | work | refused | faults | slowest s | largest MiB |", "|---|--:|--:|--:|--:|--:|--:|"]
    for name in [*sorted({one.format for one in cases}), "all"]:
        ended = [one.ended for one in cases if name in ("all", one.format)]
        count = Counter("faults" if one.fault else one.verdict for one in ended)
        slowest, largest = max(one.seconds for one in ended), max(one.peak_bytes for one in ended) / 2**20
        cells = [len(ended), count["work"], count["refused"], count["faults"], f"{slowest:.1f}", f"{largest:.0f}"]
        lines.append(f"| {name.replace('_', ' ')} | {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
