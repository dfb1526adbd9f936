"""The verbs. Each is a function here and a command of the same name with the same keywords (see `cli`).

Nothing heavy is imported before a verb needs it, so that `xray2xray --help` answers at once. Every verb writes into
`out`, keeps its settings there in `config.yaml`, and refuses a folder that is not empty unless `overwrite` is given.

Raises:
    InputError: an input cannot be used; the message says which, why, and what to do (exit code 1).
    UsageError: the request is wrong or refused (exit code 2).
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from ..core.errors import InputError, UsageError
from ..core.seeds import FIRST_TEST_SEED
from ..io.files import check_place, progress
from ..io.runs import as_paths, check_inputs, each, pick_device, run_folder, say, write_config

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
