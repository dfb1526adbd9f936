"""The verbs. Each is a function here and a command of the same name with the same keywords (see `cli`).

Nothing heavy is imported before a verb needs it, so that `xray2xray --help` answers at once. Every verb writes into
`out`, keeps its settings there in `config.yaml`, and refuses a folder that is not empty unless `overwrite` is given.

Raises:
    InputError: an input cannot be used; the message says which, why, and what to do (exit code 1).
    UsageError: the request is wrong or refused (exit code 2).
"""

import csv
import json as json_
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from ..core.errors import InputError, UsageError
from ..core.seeds import FIRST_TEST_SEED
from ..io.files import atomic_path, check_out, check_place, prepare_out, progress
from ..io.runs import CONFIG, as_paths, check_inputs, each, gone_if_empty, pick_device, run_folder, say, write_config

Inputs = str | Path | Sequence[str | Path]
Form = Literal["direct", "autoregressive"]
View = Literal["auto", "pa", "ap"]
Angles = Sequence[float | Literal["all"]]


def demo(
    out: str | Path = "xray2xray-demo",
    seed: int = FIRST_TEST_SEED,
    form: Form = "direct",
    source: str | Path = "tiny",
    device: str = "auto",
    overwrite: bool = False,
) -> dict[str, Any]:
    """Unfold one chest X-ray: 37 views, a volume and a report, of a procedural patient that was in no training set.

    The model is given the frontal view alone. Its other views are predicted and compared with the truth, with the mean
    patient and with the input itself; a volume is reconstructed from the predictions. Needs no data and no network.
    Writes report.html, report.json, views.gif, views.png, views.npz and volume.nii.gz.

    Args:
        out: the output folder.
        seed: which patient; seeds below 1,000,000 may have been used for training.
        form: the form of M that predicts: direct or autoregressive.
        source: the model: tiny, or a folder that `train` made.
        device: auto, cpu or cuda.
        overwrite: empty the output folder of an earlier run first.
    """
    options = dict(locals())
    from ..session.study import open_procedural
    from ..session.unfold import open_tools, summary, unfold, with_volume, write_unfolded

    _at_least(0, seed=seed)
    with run_folder(out, overwrite, "demo", options) as folder:
        start = time.monotonic()
        tools = open_tools(source, form, pick_device(device))
        say(f"making procedural patient {seed} and taking one frontal X-ray")
        study = open_procedural(seed, tools.geometry)
        say("imagining the views from 37 angles, and rendering the true ones to compare")
        unfolded = unfold(study, tools)
        say("reconstructing a volume from the imagined views")
        settings = {"seed": seed, "device": str(tools.model.device)}
        numbers = write_unfolded(folder, with_volume(unfolded), tools, settings)
    say(f"\n{summary(numbers)}\n")
    say(f"open {folder / 'report.html'} in a browser ({time.monotonic() - start:.0f} s; all files are in {folder})")
    return numbers


def info(json: bool = False) -> dict[str, Any]:
    """Show versions, the device, and whether the packaged weights are whole.

    Args:
        json: machine-readable output.
    """
    from ..session.about import about, as_text

    facts = about()
    say(json_.dumps(facts, indent=1) if json else as_text(facts))
    return facts


def phantom(
    out: str | Path,
    count: int = 1,
    seed: int = 0,
    size: int = 128,
    truth: bool = False,
    workers: int | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Make a cohort of procedural patients: CT volumes as NIfTI, and a table of who they are and what becomes of them.

    Writes one thorax-SEED.nii.gz a patient; cohort.csv, a row for each with findings, calcium, split, and outcome; and
    columns.csv, which says what every column means. The same seed is the same patient on every machine. Seeds from
    1,000,000 are never used for training and are all of the split test; below, a hash of the seed deals seven in ten to
    train, one to validation and two to test. To render views without keeping volumes, use `render --procedural`.

    Args:
        out: the output folder.
        count: how many patients.
        seed: the first patient's seed; the others follow it.
        size: voxels along each edge of the cube of 384 mm.
        truth: also write what is where: the tissue of every voxel, thorax-SEED_tissue.nii.gz, with tissues.csv for
            the names, and the findings, thorax-SEED_findings.nii.gz, with findings.csv for the bit of each.
        workers: processes (default: one for each core).
        overwrite: empty the output folder of an earlier run first.
    """
    options = dict(locals())
    from functools import partial

    from ..parallel.executor import on_processes
    from ..phantoms import COLUMNS, PATHOLOGIES, TISSUES
    from ..phantoms.cohort import write_patient

    _at_least(1, count=count, workers=workers)
    _at_least(0, seed=seed)
    _at_least(32, size=size)
    with run_folder(out, overwrite, "phantom", options) as folder:
        made = on_processes(
            partial(write_patient, folder, size, truth), range(seed, seed + count), workers or os.cpu_count() or 1
        )
        rows = [row for _, row in sorted(progress(made, "making patients", count), key=lambda one: one[0])]
        _write_table(folder / "cohort.csv", rows)
        _write_table(folder / "columns.csv", [{"column": name, "meaning": said} for name, said in COLUMNS.items()])
        if truth:
            _write_table(folder / "tissues.csv", [{"value": i, "name": name} for i, name in enumerate(TISSUES)])
            bits = [{"bit": i, "value": 1 << i, "name": name} for i, name in enumerate(PATHOLOGIES)]
            _write_table(folder / "findings.csv", bits)
    say(f"{count} procedural patient{'s' if count > 1 else ''} in {folder}")
    return {"out": str(folder), "studies": [row["study"] for row in rows]}


def render(
    inputs: Inputs = (),
    *,
    out: str | Path,
    procedural: int = 0,
    seed: int = 0,
    geometry: str = "chest",
    size: int = 128,
    yaw_deg: list[float] | None = None,
    series: str | None = None,
    remove_couch: bool = False,
    workers: int | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Render chest CTs, or procedural patients, into a view store.

    A store is a folder with one file a study. A second call with the same folder goes on where the first one stopped
    and passes over the studies that are there. A scan that cannot be read is listed in failed.csv and the rest goes on;
    the exit code is 1 only if no scan could be used.

    Args:
        inputs: chest CTs: NIfTI files, folders or zips of DICOM.
        out: the view store.
        procedural: how many procedural patients to render besides.
        seed: the first procedural patient's seed; the others follow it.
        geometry: how the views are taken: chest, portable_ap, xwin, x2ct or parallel.
        size: pixels along each side of a view.
        yaw_deg: angles in degrees (default: the standard arc, -90 to 90 in steps of 5).
        series: SeriesInstanceUID, where a DICOM folder holds several.
        remove_couch: replace couch, cushions and sheets by air first. The packaged model was trained with couches.
        workers: processes (default: one for each core).
        overwrite: begin anew instead of going on.
    """
    options = dict(locals())
    from ..data.rendering import Job, procedural_study, render_jobs
    from ..data.store import ViewStore
    from ..projection.geometry import STANDARD_ARC, preset
    from ..session.study import study_names

    paths = as_paths(inputs)
    _at_least(0, procedural=procedural, seed=seed)
    _at_least(1, workers=workers)
    _at_least(8, size=size)
    if not paths and not procedural:
        raise UsageError("nothing to render: name chest CTs or ask for --procedural N patients")
    check_inputs(paths, out)
    names = [procedural_study(one) for one in range(seed, seed + procedural)]
    jobs = [
        Job(study, str(path), series=series, remove_couch=remove_couch) for study, path in study_names(paths).items()
    ]
    jobs += [Job(name, name, seed=one, remove_couch=remove_couch) for one, name in enumerate(names, seed)]

    store = ViewStore.create(out, preset(geometry, size), overwrite, resume=not overwrite)
    write_config(store.folder / "config.yaml", "render", {**options, "inputs": paths, "overwrite": False})
    there = sum(job.study in store for job in jobs)
    if there:
        say(f"{there} of {len(jobs)} studies are in {out} already")
    failed = render_jobs(store, jobs, yaw_deg or STANDARD_ARC, workers or os.cpu_count() or 1)
    if len(failed) == len(jobs):
        only, *others = dict.fromkeys(failed.values())
        raise InputError(only if not others else f"none of the {len(jobs)} scans could be used")
    say(f"{len(jobs) - len(failed)} studies in {out}" + (f", {len(failed)} left out (failed.csv)" if failed else ""))
    return {"out": str(out), "studies": len(store), "failed": failed}


def train(
    views: Inputs,
    out: str | Path,
    stage: Literal["all", "vision", "direct", "sampler", "autoregressive"] = "all",
    preset: Literal["tiny", "small", "base", "large"] = "tiny",
    recipe: str | Path | None = None,
    steps: int | None = None,
    limit: int | None = None,
    shares: Sequence[float] | None = None,
    start: str | Path | None = None,
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    resume: bool = False,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Train a world model from a view store: V, both forms of M, a sampler.

    The result is the folder model/ in the output folder, which `--source` of the other verbs takes; beside it every
    stage keeps metrics.jsonl, pictures and a checkpoint. Stages may be trained one by one into the same folder.

    Args:
        views: view stores made by `render`, with the standard arc of every study (of the first, some patients are held
            out and looked at).
        out: the output folder.
        stage: all, vision (V), direct or autoregressive (M), or sampler (what the direct form leaves open).
        preset: the size of the networks and how long they are trained.
        recipe: a YAML file of settings instead, such as configs/tiny-gpu.yaml or an earlier run's recipe.yaml, whose
            seed is not taken (--seed).
        steps: steps of each stage, instead of the preset's.
        limit: use the first studies of every store only.
        shares: of the draws, a number for each store, such as 0.7 0.3; by default every study is drawn alike.
        start: a trained model (tiny, or a folder) whose weights every stage starts from, instead of random ones, where
            it has such a part; its V is used where none was trained here.
        seed: of the weights and of the batches.
        device: auto, cpu or cuda.
        precision: auto (bfloat16 where it is faster here), 32-true or bf16-mixed.
        resume: go on exactly where an interrupted run stopped; finished stages are passed over.
        overwrite: empty the output folder of an earlier run first.
    """
    options = dict(locals())
    from ..data.store import ViewStore
    from ..io.model_folder import folder_of, read_config
    from ..training.presets import read_recipe
    from ..training.train import RECIPE
    from ..training.train import train as train_stages

    if resume and overwrite:
        raise UsageError("--resume goes on and --overwrite begins anew; choose one of them")
    _at_least(1, steps=steps, limit=limit)
    device = pick_device(device)
    out = Path(out)
    stores = [Path(path) for path in ([views] if isinstance(views, str | Path) else views)]
    check_inputs(stores, out)
    if recipe is not None and preset != "tiny":
        raise UsageError(f"--recipe says what --preset {preset} would; name the preset in {recipe}")
    chosen = None if recipe is None else read_recipe(recipe)
    fresh = overwrite or not (out / RECIPE).exists()  # a folder with a recipe takes further stages
    if fresh:
        check_out(out, overwrite)
    for path in stores:
        ViewStore.open(path)
    if start is not None:
        read_config(folder_of(start))
    if fresh:
        prepare_out(out, overwrite)
    write_config(out / CONFIG, "train", {**options, "overwrite": False})
    with gone_if_empty(out):
        model = train_stages(
            stores,
            out,
            stage,
            preset,
            steps,
            resume,
            seed,
            device,
            precision,
            limit,
            shares,
            start,
            chosen,
        )
    say(f"the model is in {model}; use it with --source {model}")
    return {"out": str(out), "model": str(model)}


def rotate(
    inputs: Inputs,
    out: str | Path,
    yaw_deg: Angles = ("all",),
    form: Form = "direct",
    source: str | Path = "tiny",
    view: View = "auto",
    adapter: str | Path | None = None,
    series: str | None = None,
    remove_couch: bool = False,
    device: str = "auto",
    overwrite: bool = False,
) -> dict[str, Any]:
    """Predict the views of a chest from other angles, from one radiograph or from a CT's frontal alone.

    Of a CT the frontal is rendered, all other angles are predicted from that one view, and the truth stands beside.
    Of a radiograph nothing else is known: its grey values are uncalibrated, and a score tells how far it is from what
    the model has seen. Writes views.npz (line integrals), views.png, views.gif, report.html and report.json; a
    subfolder for each of several inputs. An input that cannot be used is named and left out; the exit code is 1 only
    if all fail.

    Args:
        inputs: chest radiographs (PNG, JPEG, DICOM) or chest CTs (NIfTI, folder or zip of DICOM).
        out: the output folder.
        yaw_deg: angles for views.npz and, if given, for a picture each; 0 is PA, 90 left lateral, -90 right lateral.
        form: the form of M that predicts: direct or autoregressive (multiples of 5 degrees only).
        source: the model: tiny, or a folder that `train` made.
        view: how radiographs were taken: pa, ap, or auto (a DICOM says, a picture is taken for PA).
        adapter: bring radiographs into the simulated domain with it: cyclegan, or a folder that `training.adapt` made.
        series: SeriesInstanceUID, where a DICOM folder holds several.
        remove_couch: replace a CT's couch, cushions and sheets by air first: no frontal shows where they are.
        device: auto, cpu or cuda.
        overwrite: empty the output folder of an earlier run first.
    """
    options = dict(locals())
    return _unfold_each("rotate", options, volume_size=None)


def reconstruct(
    inputs: Inputs,
    out: str | Path,
    size: int = 128,
    form: Form = "direct",
    source: str | Path = "tiny",
    view: View = "auto",
    adapter: str | Path | None = None,
    series: str | None = None,
    remove_couch: bool = False,
    device: str = "auto",
    overwrite: bool = False,
) -> dict[str, Any]:
    """Reconstruct a volume in HU from one radiograph, or from a CT's frontal alone.

    All that `rotate` does, and a volume from the predicted views: volume.nii.gz, of a CT in the CT's own coordinates so
    that the two can be laid over each other. Where the truth is known, report.json says how far the volume is from it
    and how far one is that is reconstructed from the true views. A guess at anatomy, never a CT.

    Args:
        inputs: chest radiographs (PNG, JPEG, DICOM) or chest CTs (NIfTI, folder or zip of DICOM).
        out: the output folder.
        size: voxels along each edge of the cube of 384 mm.
        form: the form of M that predicts: direct or autoregressive.
        source: the model: tiny, or a folder that `train` made.
        view: how radiographs were taken: pa, ap, or auto (a DICOM says, a picture is taken for PA).
        adapter: bring radiographs into the simulated domain with it: cyclegan, or a folder that `training.adapt` made.
        series: SeriesInstanceUID, where a DICOM folder holds several.
        remove_couch: replace a CT's couch, cushions and sheets by air first: no frontal shows where they are.
        device: auto, cpu or cuda.
        overwrite: empty the output folder of an earlier run first.
    """
    options = dict(locals())
    _at_least(16, size=size)
    return _unfold_each("reconstruct", options, volume_size=size)


def _unfold_each(verb: str, options: dict[str, Any], volume_size: int | None) -> dict[str, Any]:
    """`rotate` and `reconstruct`: every input through the model, each into its own folder if there are several."""
    from ..session.study import open_input, study_names
    from ..session.unfold import open_tools, summary, unfold, with_volume, write_unfolded

    angles = _angles(options.get("yaw_deg", ("all",)))
    studies = study_names(as_paths(options["inputs"]))
    if not studies:
        raise UsageError("no input file given")
    with run_folder(options["out"], options["overwrite"], verb, options) as folder:
        tools = open_tools(options["source"], options["form"], pick_device(options["device"]), options["adapter"])

        def one(name: str) -> tuple[str, dict[str, Any]]:
            study = open_input(
                studies[name],
                tools.geometry,
                options["series"],
                options["view"],
                name=name,
                frontal_quantiles=tools.frontal_quantiles,
                adapter=tools.adapter,
                remove_couch=options["remove_couch"],
            )
            unfolded = unfold(study, tools)
            if volume_size is not None:
                unfolded = with_volume(unfolded, volume_size)
            into = folder if len(studies) == 1 else folder / name
            numbers = write_unfolded(into, unfolded, tools, {"device": str(tools.model.device)}, angles)
            say("\n".join([f"{name} ({study.rung})", *study.notes, summary(numbers), f"  {into / 'report.html'}\n"]))
            return name, numbers

        done, failed = each(list(studies), one, lambda name: str(studies[name]))
    return {"out": str(folder), "studies": dict(done), "failed": failed}


def cohort(
    folder: str | Path,
    kind: Literal["nlst", "lidc", "nih", "chexpert", "mimic", "csv"],
    out: str | Path = "cohort.csv",
    labels: list[str] | None = None,
    uncertain: Literal["ignore", "zeros", "ones"] = "ignore",
    unmentioned: Literal["ignore", "zeros"] = "zeros",
    views: Literal["frontal", "all"] = "frontal",
    split: Literal["own", "patient"] = "own",
    skip_images: bool = False,
    workers: int | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Turn a public cohort as it was delivered, or a plain CSV, into one checked table of studies.

    The table has a row for each picture or CT: study, patient, path, view, split, labels, and how follow-up ended where
    that is known; `embed` takes it. What cannot be used is listed beside it in a table of its own. Refused are a
    patient, a file or nearly the same picture in two splits. docs/cohorts.md says where each cohort is to be had.

    Args:
        folder: the cohort's folder; of csv the table.
        kind: nlst, lidc, nih (ChestX-ray14), chexpert, mimic (MIMIC-CXR-JPG) or csv.
        out: the table to write, .csv.
        labels: keep these labels only, and refuse one that knows one class only, in all or in a split.
        uncertain: what -1 becomes, the report is not sure: ignore (unknown), zeros or ones.
        unmentioned: what a blank label of chexpert or mimic becomes, the report does not speak of it: zeros or ignore.
        views: frontal leaves laterals and pictures of unknown view out; all keeps them.
        split: own keeps the cohort's; patient deals patients to train, validation, test (70, 10, 20 %) by a hash.
        skip_images: do not read the pictures; then damaged ones, and the same one in two splits, are not found.
        workers: processes that read pictures (default: one for each core).
        overwrite: replace the table.
    """
    options = dict(locals())
    from ..data import cohorts
    from ..parallel.executor import on_processes

    _at_least(1, workers=workers)
    check_inputs([Path(folder)], out)
    out = _file_out(out, overwrite, (".csv",))
    found = cohorts.read_cohort(folder, kind, cohorts.Policy(uncertain, unmentioned))
    found = found.with_labels(labels) if labels is not None and found.samples else found
    found = found.frontals() if views == "frontal" else found
    found = found.split_by_patient() if split == "patient" else found
    cohorts.check_names(found)
    cohorts.check_split(found)
    if not skip_images:
        done = on_processes(cohorts.fingerprint, found.samples, workers or os.cpu_count() or 1)
        read = {sample.study: one for sample, one in progress(done, "reading pictures", len(found.samples))}
        found = found.without({study: one for study, one in read.items() if isinstance(one, str)})
        cohorts.check_names(found)
        cohorts.check_images(found, {study: one for study, one in read.items() if not isinstance(one, str)})
    if labels is not None:
        cohorts.check_classes(found)
    failed_out = out.with_name(f"{out.stem}.failed.csv")
    failed_out.unlink(missing_ok=True)
    if found.failed:
        _write_table(failed_out, [{"what": what, "problem": said} for what, said in found.failed.items()])
    cohorts.write_table(out, found)
    write_config(out.with_name(out.name + ".config.yaml"), "cohort", options)
    said = [cohorts.summary(found), cohorts.paper_sizes(found), f"{len(found.failed):,} left out ({failed_out})"]
    say("\n".join([line for line in said[: 3 if found.failed else 2] if line] + [f"the table is {out}"]))
    return {"out": str(out), "studies": len(found.samples), "failed": dict(found.failed)}


def adapt(
    inputs: Inputs,
    out: str | Path,
    adapter: str | Path,
    view: View = "auto",
    device: str = "auto",
    overwrite: bool = False,
) -> dict[str, Any]:
    """Bring radiographs into the simulated domain, as the views that the model was trained on look.

    The lungs are put where simulated frontals have them, grey values on the scale of line integrals, and a network (the
    generator of a CycleGAN) does the rest. Writes for each radiograph an .npz with `input_p` and `adapted_p` (line
    integrals) and a picture of both. The result is uncalibrated, and a network can erase or invent a finding:
    docs/adaptation.md says how often. An input that cannot be used is named and left out.

    Args:
        inputs: frontal radiographs (PNG, JPEG, DICOM).
        out: the output folder.
        adapter: cyclegan (packaged), or a folder that `python -m xray2xray.experiments.adaptation.train` made.
        view: how radiographs were taken: pa, ap, or auto (a DICOM says, a picture is taken for PA).
        device: auto, cpu or cuda.
        overwrite: empty the output folder of an earlier run first.
    """
    options = dict(locals())
    import numpy as np

    from ..io.files import write_npz
    from ..models.adaptation import Adapter
    from ..radiograph.display import save_png, to_gray
    from ..session.study import adapted, study_names

    studies = study_names(as_paths(inputs))
    if not studies:
        raise UsageError("no input file given")
    with run_folder(out, overwrite, "adapt", options) as folder:
        network = Adapter.from_pretrained(adapter, pick_device(device))

        def one(name: str) -> str:
            made = adapted(studies[name], network, view)
            write_npz(folder / f"{name}.npz", {"input_p": made.input_p, "adapted_p": made.adapted_p})
            save_png(folder / f"{name}.png", np.concatenate([to_gray(made.input_p), to_gray(made.adapted_p)], axis=1))
            say(": ".join([name, "; ".join(made.notes)]))
            return name

        done, failed = each(list(studies), one, lambda name: str(studies[name]))
    say(f"{len(done)} radiographs in {folder}")
    return {"out": str(folder), "studies": done, "failed": failed}


def embed(
    inputs: Inputs,
    out: str | Path,
    kind: Literal["volumetric", "vision", "hidden"] = "volumetric",
    source: str | Path = "tiny",
    view: View = "auto",
    adapter: str | Path | None = None,
    series: str | None = None,
    device: str = "auto",
    form: Form = "direct",
    depth: int | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Turn radiographs or CTs into one feature vector each, for probes and tables.

    The vectors are keyed by study: arrays `study` (n,) and `features` (n, d) in an .npz, or a column for each feature
    in a .csv. An input that cannot be used is named and left out; the exit code is 1 only if all fail.

    Args:
        inputs: radiographs, CTs, view stores, or CSV tables with a column image, path or volume (and study, if wanted).
        out: the file to write, .npz or .csv.
        kind: vision (V's latents of the view itself), hidden (the transition's hidden states) or volumetric (both, the
            latter gathered over imagined angles).
        source: the model: tiny, or a folder that `train` made.
        view: how radiographs were taken: pa, ap, or auto (a DICOM says, a picture is taken for PA).
        adapter: bring radiographs into the simulated domain with it: cyclegan, or a folder that `training.adapt` made.
        series: SeriesInstanceUID, where a DICOM folder holds several.
        device: auto, cpu or cuda.
        form: the form of M whose hidden states are read: direct or autoregressive (both directions, slower).
        depth: after how many blocks of M they are read (default: all).
        overwrite: replace the file.
    """
    options = dict(locals())
    out = _file_out(out, overwrite, (".npz", ".csv"))
    check_inputs(as_paths(inputs))
    from ..session.embedding import frontals, listed, write_features
    from ..session.unfold import open_tools

    items = listed(as_paths(inputs))
    tools = open_tools(source, form, pick_device(device), adapter)
    read, failed = each(items, lambda item: frontals(item, tools, series, view), lambda item: str(item.path))
    views = [pair for pairs in read for pair in pairs]
    if not views:
        raise InputError("the inputs hold no study")
    features = [tools.model.features(view_p[None], kind, depth=depth)[0] for _, view_p in progress(views, "embedding")]
    names = [name for name, _ in views]
    write_features(out, names, features, {"kind": kind, "source": str(source), "form": form, "depth": depth})
    write_config(out.with_name(out.name + ".config.yaml"), "embed", options)
    say(f"{len(names)} studies, {len(features[0])} {kind} features each, in {out}")
    return {"out": str(out), "studies": names, "failed": failed}


def evaluate_views(
    inputs: Inputs = (),
    *,
    out: str | Path,
    procedural: int = 0,
    train: str | Path | None = None,
    source: str | Path = "tiny",
    models: Sequence[str] = ("direct", "autoregressive"),
    input_yaw_deg: float = 0.0,
    seed: int = 0,
    device: str = "auto",
    series: str | None = None,
    remove_couch: bool = False,
    pictures: int = 4,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Compare predicted views with the truth and with every baseline, on real CTs and unseen virtual patients.

    One view of each is the input and all others are predicted from it. Writes views.json, views.md, the error at each
    angle (views.png) and pictures of the first cases.

    Args:
        inputs: chest CTs: NIfTI files, folders or zips of DICOM; a folder of NIfTI files means each of them.
        out: the output folder.
        procedural: how many procedural patients to evaluate besides, from seed 1,000,000.
        train: the view store the model was trained on; ridge_pca needs it.
        source: the model: tiny, or a folder that `train` made.
        models: forms of M to evaluate; direct+mirrored imagines from the mirror image, too, and takes the mean.
        input_yaw_deg: the angle of the input view.
        seed: offset of the procedural patients' seeds, and seed of the bootstrap.
        device: auto, cpu or cuda.
        series: SeriesInstanceUID, where a DICOM folder holds several.
        remove_couch: replace couch, cushions and sheets by air first, of virtual patients, too: a radiograph has none.
        pictures: how many cases of each kind to draw.
        overwrite: empty the output folder of an earlier run first.
    """
    options = dict(locals())
    from ..evaluation.views import evaluate_views as evaluate
    from ..session.unfold import baselines_beside

    _at_least(0, procedural=procedural, seed=seed, pictures=pictures)
    paths = as_paths(inputs)
    if not paths and not procedural:
        raise UsageError("nothing to evaluate: name chest CTs or ask for --procedural N patients")
    with run_folder(out, overwrite, "evaluate views", options) as folder:
        return evaluate(
            paths,
            procedural,
            train,
            folder,
            models=list(models),
            input_yaw_deg=input_yaw_deg,
            source=source,
            baselines=baselines_beside(source),
            seed=seed,
            device=pick_device(device),
            series=series,
            remove_couch=remove_couch,
            pictures=pictures,
        )


def evaluate_controls(
    inputs: Inputs = (),
    *,
    out: str | Path,
    procedural: int = 0,
    candidates: int = 100,
    train: str | Path | None = None,
    source: str | Path = "tiny",
    models: Sequence[str] = ("direct",),
    seed: int = 0,
    device: str = "auto",
    series: str | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Measure what predictions owe to the action and to the patient: controls, retrieval, and drift along the arc.

    The same model is told nothing, shuffled angles or the wrong sign, or shown another patient; its predictions are to
    find the patient's true views among those of others; and it goes from one end of the arc to the other in a jump or
    in steps, each on its own last prediction. Writes controls.json, controls.md, controls.png and alignment.png.

    Args:
        inputs: chest CTs: NIfTI files, folders or zips of DICOM; a folder of NIfTI files means each of them.
        out: the output folder.
        procedural: how many procedural patients to evaluate besides, from seed 1,000,000.
        candidates: how many procedural patients the right one is to be found among, from seed 1,000,000.
        train: the view store the model was trained on; with it ridge_pca retrieves, too.
        source: the model: tiny, or a folder that `train` made.
        models: forms of M to evaluate; autoregressive takes many times as long as direct.
        seed: offset of the procedural patients' seeds, and seed of the shuffling and of the bootstrap.
        device: auto, cpu or cuda.
        series: SeriesInstanceUID, where a DICOM folder holds several.
        overwrite: empty the output folder of an earlier run first.
    """
    options = dict(locals())
    from ..evaluation.controls import evaluate_controls as evaluate
    from ..session.unfold import baselines_beside

    _at_least(0, procedural=procedural, seed=seed)
    _at_least(2, candidates=candidates)
    paths = as_paths(inputs)
    if not paths and not procedural:
        raise UsageError("nothing to evaluate: name chest CTs or ask for --procedural N patients")
    with run_folder(out, overwrite, "evaluate controls", options) as folder:
        return evaluate(
            paths,
            procedural,
            train,
            folder,
            models=list(models),
            candidates=candidates,
            source=source,
            baselines=baselines_beside(source),
            seed=seed,
            device=pick_device(device),
            series=series,
        )


def evaluate_uncertainty(
    inputs: Inputs = (),
    *,
    out: str | Path,
    procedural: int = 0,
    twins: int = 0,
    samples: int = 40,
    calibration: int = 40,
    source: str | Path = "tiny",
    seed: int = 0,
    device: str = "auto",
    series: str | None = None,
    pictures: int = 2,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Measure whether samples from one frontal are honest about what it leaves open.

    Samples of every patient are scored at eight angles: CRPS, PIT, and coverage of their intervals beside width, by
    tissue, and of anatomy measured on the views; energy score and consistency of whole chests; and twins, pairs that
    differ by a lesion which the frontal shows or cannot show. Writes uncertainty.json, uncertainty.md and pictures.

    Args:
        inputs: chest CTs: NIfTI files, folders or zips of DICOM; a folder of NIfTI files means each of them.
        out: the output folder.
        procedural: how many procedural patients to evaluate besides, from seed 1,000,000.
        twins: how many pairs of twins of each kind to make, from seed 1,000,000.
        samples: how many chests to draw of each patient, at least 39.
        calibration: how many procedural patients, from seed 500,000, give the normal baseline its spread.
        source: a model with a sampler: a folder that `train` made.
        seed: offset of the procedural patients' seeds, and seed of samples, noise and bootstrap.
        device: auto, cpu or cuda.
        series: SeriesInstanceUID, where a DICOM folder holds several.
        pictures: how many cases of each kind to draw.
        overwrite: empty the output folder of an earlier run first.
    """
    options = dict(locals())
    from ..evaluation.uncertainty import evaluate_uncertainty as evaluate

    _at_least(0, procedural=procedural, twins=twins, calibration=calibration, seed=seed, pictures=pictures)
    with run_folder(out, overwrite, "evaluate uncertainty", options) as folder:
        return evaluate(
            as_paths(inputs),
            procedural,
            folder,
            samples=samples,
            calibration=calibration,
            twins=twins,
            source=source,
            seed=seed,
            device=pick_device(device),
            series=series,
            pictures=pictures,
        )


def evaluate_probes(
    out: str | Path,
    n_train: int = 500,
    n_test: int = 250,
    source: str | Path = "tiny",
    store: str | Path | None = None,
    seed: int = 0,
    device: str = "auto",
    workers: int | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Measure what a linear probe reads from the features: AUROC against the same probe on V alone and on pixels.

    Virtual patients with planted findings, none of them used to train the model. Writes probes.json, probes.md, and
    probes.npz with the fitted probes; beside a model's config.json (probes.json and probes.npz) they enter the reports
    of virtual patients. This shows whether planted factors can be recovered, never clinical performance.

    Args:
        out: the output folder.
        n_train: virtual patients to fit the probes on (seeds from 500,000).
        n_test: virtual patients to test them on (seeds from 1,000,000).
        source: the model: tiny, or a folder that `train` made.
        store: a view store that keeps the rendered frontals, so that they need not be made again.
        seed: offset of the patients' seeds.
        device: auto, cpu or cuda.
        workers: processes that render (default: one for each core).
        overwrite: empty the output folder of an earlier run first.
    """
    options = dict(locals())
    from ..evaluation.probes import evaluate_probes as evaluate

    with run_folder(out, overwrite, "evaluate probes", options) as folder:
        return evaluate(
            folder,
            n_train,
            n_test,
            source=source,
            seed=seed,
            device=pick_device(device),
            store=store,
            workers=workers,
        )


def evaluate_downstream(
    views: str | Path,
    out: str | Path,
    methods: Sequence[str] | None = None,
    labels: Sequence[int] = (100, 500, 2000),
    seeds: Sequence[int] = (0, 1, 2),
    primary: str | None = None,
    primary_seeds: Sequence[int] | None = None,
    network_seeds: Sequence[int] | None = None,
    ours: str = "volumetric",
    tasks: Sequence[str] | None = None,
    table: str | Path | None = None,
    ceiling: str | Path | None = None,
    encoders: Sequence[str] = (),
    budget: float = 900.0,
    size: Literal["paper", "small", "tiny"] = "paper",
    source: str | Path = "tiny",
    device: str = "auto",
    resume: bool = False,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Compare latents with every baseline on the same labels: cardiovascular risk and five pathologies.

    Patients of the store are split into training, validation and test. Every method is given the labels of the same
    training patients, a few or many, and answers for the test patients. Writes downstream.json, downstream.md and two
    figures; docs/downstream.md says what the methods are.

    Args:
        views: a view store whose studies carry labels, with frontals (and laterals, where a method sees them).
        out: the output folder; scores are kept there, and what is done is not done again.
        methods: names, such as vision, age_sex+measured, hidden@3, attentive:vision, resnet50 (default: all).
        labels: numbers of labelled training patients.
        seeds: of the draw of these patients, of inner splits and of networks.
        primary: the one contrast that is named before the run, as TASK/METHOD/LABELS.
        primary_seeds: further seeds of the primary contrast.
        network_seeds: seeds of what is trained for its budget, where there is no time for all (default: seeds).
        ours: the method that all others are compared with.
        tasks: of the five pathologies, cvd_prevalent and cvd_time (default: all).
        table: a CSV with a row a study (column study); its labels, patient and split go before the store's.
        ceiling: a ceiling.json of benchmarks.ceiling; who sees a frontal only and scores above it is flagged.
        encoders: further encoders as NAME=FOLDER, a world model or one of training.pretrain; name them in methods.
        budget: seconds of training for each network, from scratch or fine-tuned.
        size: of the networks from scratch: paper, small (for a CPU), or tiny to see that they run.
        source: the model: tiny, or a folder that `train` made.
        device: auto, cpu or cuda.
        resume: go on in the output folder of an earlier run.
        overwrite: empty the output folder of an earlier run first.
    """
    options = dict(locals())
    from ..experiments.downstream.cohort import TASKS
    from ..experiments.downstream.methods import METHODS, Budget
    from ..experiments.downstream.run import check_primary
    from ..experiments.downstream.run import evaluate_downstream as evaluate

    _at_least(1, labels=min(labels, default=0), seeds=len(seeds))
    if not budget > 0:
        raise UsageError(f"--budget {budget:g}: a network needs more than 0 seconds")
    folder = Path(out)
    check_inputs([Path(views)], folder)
    named = dict(one.partition("=")[::2] for one in encoders)
    if not all(named.values()):
        raise UsageError("--encoders wants NAME=FOLDER")
    if resume and overwrite:
        raise UsageError("--resume goes on and --overwrite begins anew; choose one of them")
    if resume:
        check_primary(folder, primary)
    else:
        prepare_out(folder, overwrite)
    write_config(folder / CONFIG, "evaluate downstream", {**options, "overwrite": False})
    with gone_if_empty(folder):
        return evaluate(
            views,
            folder,
            methods=methods or (*METHODS, *named),
            labels=labels,
            seeds=seeds,
            primary=primary,
            primary_seeds=primary_seeds,
            network_seeds=network_seeds,
            ours=ours,
            tasks=tasks or TASKS,
            table=table,
            ceiling=ceiling,
            encoders={name: Path(path) for name, path in named.items()},
            budget=Budget(size, budget),
            source=source,
            device=pick_device(device),
        )


def evaluate_baselines(
    views: str | Path,
    out: str | Path = "baselines.npz",
    source: str | Path | None = None,
    device: str = "auto",
    overwrite: bool = False,
) -> dict[str, Any]:
    """Condense a training store into baselines.npz: mean views, small frontals with seeds, grey values, V's errors.

    The file is what the packaged baselines are, and what a radiograph's grey values are matched to.

    Args:
        views: the view store of procedural patients that the model was trained on.
        out: the file to write.
        source: the model whose reconstruction errors tell what is out of distribution; without it that stays unknown.
        device: auto, cpu or cuda.
        overwrite: replace the file.
    """
    import numpy as np

    from ..data.store import ViewStore
    from ..evaluation.baselines import build_baselines, seeds_of
    from ..evaluation.ood import reconstruction_error

    out = _file_out(out, overwrite, (".npz",))
    store = ViewStore.open(views)
    seeds, errors = seeds_of(store), []
    if source is not None:
        from ..models.world_model import WorldModel

        model = WorldModel.from_pretrained(source, device=pick_device(device))
        for study in progress(store.studies(), "reconstructing"):
            stored = store.read(study)
            frontal = stored.views_p[[abs(float(yaw)) < 1e-3 for yaw in stored.yaw_deg]]
            errors.extend(reconstruction_error(frontal, model.reconstruct_views(frontal)).tolist())
    quantiles = np.quantile(errors, np.linspace(0, 1, 101)) if errors else ()
    build_baselines(store, seeds, out, quantiles)
    say(f"baselines of {len(seeds)} patients in {out} ({out.stat().st_size / 2**20:.1f} MiB)")
    return {"out": str(out), "patients": len(seeds)}


def _angles(yaw_deg: Angles | str | float) -> list[float] | None:
    """`all`, one angle or several; None stands for all of the standard arc."""
    if yaw_deg == "all" or yaw_deg is None:
        return None
    angles = [yaw_deg] if isinstance(yaw_deg, int | float) else list(yaw_deg)
    if "all" in angles:
        return None
    return [float(angle) for angle in angles]


def _file_out(out: str | Path, overwrite: bool, endings: tuple[str, ...]) -> Path:
    """A file to write, checked before the work begins."""
    out = Path(out)
    if out.suffix.lower() not in endings:
        raise UsageError(f"--out {out}: the name must end in {' or '.join(endings)}")
    if out.is_dir():
        raise UsageError(f"--out {out} is a folder; give the name of a file")
    if out.exists() and not overwrite:
        raise UsageError(f"{out} exists; choose another --out or pass --overwrite")
    if out.exists() and not out.with_name(out.name + ".config.yaml").exists():
        raise UsageError(f"{out} was not written by xray2xray (no {out.name}.config.yaml); --overwrite keeps it")
    check_place(out)
    return out


def _at_least(least: int, **numbers: int | None) -> None:
    for name, number in numbers.items():
        if number is not None and number < least:
            raise UsageError(f"--{name.replace('_', '-')} is {number}; it must be at least {least}")


def _write_table(path: Path, rows: list[dict[str, Any]]) -> None:
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
