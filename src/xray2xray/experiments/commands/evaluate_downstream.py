from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ...commands.options import Form, at_least
from ...commands.registry import as_function
from ...commands.run_folder import CONFIG, check_inputs, removed_if_empty, write_config
from ...core.errors import UsageError


@dataclass(frozen=True)
class Options:
    """Compare features with every baseline on the same labels: findings, numbers, and an event in time.

    Patients of the store are split into training, validation and test. Every method is given the labels of the same
    training patients, a few or all, with all of their images, and answers for the test patients. With the labels of
    all, the validation patients choose penalties and stop trainings; with fewer, a part of the labelled ones does. What
    cannot run is listed with the reason before anything starts. Writes downstream.json, downstream.md and two figures;
    docs/results/downstream.md says what the methods are.

    Attributes:
        views: a view store whose studies carry labels, with frontals (and laterals, where a method sees them).
        out: the output folder; scores are kept there, and what is done is not done again.
        methods: names, such as vision, age_sex+measured, hidden@3, attentive:vision, resnet50 (default: all).
        labels: numbers of labelled training patients, or all (default: 100, 500 and 2,000, where there are so many).
        seeds: of the draw of these patients, of inner splits and of networks.
        primary: the one contrast that is named before the run, as TASK/METHOD/LABELS.
        primary_seeds: further seeds of the primary contrast.
        network_seeds: seeds of what is trained for its budget, where there is no time for all (default: seeds).
        ours: the method that all others are compared with.
        tasks: columns of 0 and 1, of other numbers, and one event in time as EVENT,TIME; cvd_time is event,time_years
            (default: all labels of the store).
        table: a CSV with a row a study (column study); its labels, patient and split go before the store's.
        ceiling: a ceiling.json of xray2xray.experiments.ceiling; who sees a frontal only and scores above is flagged.
        encoders: further encoders as NAME=FOLDER, a world model, one of xray2xray.experiments.pretraining or a public
            one, or features as NAME=FILE.npz, which `embed` wrote; name them in methods.
        budget: seconds that the training of each network may take to its plateau, from scratch or fine-tuned; one that
            did not get there is listed, not ranked.
        weights: public weights to begin with as METHOD=FILE, such as resnet50=resnet50.safetensors, for size paper.
        size: of the networks from scratch: paper, small (for a CPU), or tiny to see that they run.
        source: the model: tiny, or a folder that `train` made.
        form: the form of M whose hidden states are read: volumetric, direct, or auto, the first that the model has.
        device: auto, cpu, or cuda (gpu is the same).
        resume: go on in the output folder of an earlier run.
        overwrite: empty the output folder of an earlier run first.
    """

    views: str | Path
    out: str | Path
    methods: Sequence[str] | None = None
    labels: Sequence[int | Literal["all"]] | None = None
    seeds: Sequence[int] = (0, 1, 2)
    primary: str | None = None
    primary_seeds: Sequence[int] | None = None
    network_seeds: Sequence[int] | None = None
    ours: str = "volumetric"
    tasks: Sequence[str] | None = None
    table: str | Path | None = None
    ceiling: str | Path | None = None
    encoders: Sequence[str] = ()
    budget: float = 900.0
    weights: Sequence[str] = ()
    size: Literal["paper", "small", "tiny"] = "paper"
    source: str | Path = "tiny"
    form: Form = "auto"
    device: str = "auto"
    resume: bool = False
    overwrite: bool = False


@dataclass(frozen=True)
class DownstreamResult:
    """`rows`: one a task, metric, method and number of labels; `leaks`: frontal-only methods above their ceiling;
    `left_out`: what could not run, and why."""

    out: Path
    rows: Sequence[Mapping[str, Any]]
    leaks: Sequence[Mapping[str, Any]]
    notes: Sequence[str]
    left_out: Mapping[str, str]


def run(options: Options) -> DownstreamResult:
    from ...core.device import pick_device
    from ...io.files import prepare_out
    from ..downstream.methods import METHODS, Budget
    from ..downstream.run import check_primary, evaluate_downstream

    counts = [n for n in options.labels or () if n != "all"]
    at_least(1, labels=min(counts, default=1), seeds=len(options.seeds))
    if not options.budget > 0:
        raise UsageError(f"--budget {options.budget:g}: a network needs more than 0 seconds")
    folder = Path(options.out)
    check_inputs([options.views], folder)
    named, weights = (dict(one.partition("=")[::2] for one in given) for given in (options.encoders, options.weights))
    if not all(named.values()):
        raise UsageError("--encoders wants NAME=FOLDER")
    if not all(weights.values()):
        raise UsageError("--weights wants METHOD=FILE")
    if options.resume and options.overwrite:
        raise UsageError("--resume goes on and --overwrite begins anew; choose one of them")
    if options.resume:
        check_primary(folder, options.primary)
    else:
        prepare_out(folder, options.overwrite)
    write_config(folder / CONFIG, replace(options, overwrite=False))
    with removed_if_empty(folder):
        found = evaluate_downstream(
            options.views,
            folder,
            methods=options.methods or (*METHODS, *named),
            labels=options.labels,
            seeds=options.seeds,
            primary=options.primary,
            primary_seeds=options.primary_seeds,
            network_seeds=options.network_seeds,
            ours=options.ours,
            tasks=options.tasks,
            table=options.table,
            ceiling=options.ceiling,
            encoders={name: Path(path) for name, path in named.items()},
            budget=Budget(options.size, options.budget, {name: Path(path) for name, path in weights.items()}),
            source=options.source,
            form=options.form,
            device=pick_device(options.device),
        )
    return DownstreamResult(folder, found["rows"], found["leaks"], found["notes"], found["left_out"])


evaluate_downstream = as_function(Options, run)
