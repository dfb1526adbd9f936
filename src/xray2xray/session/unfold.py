"""One study through the whole house: its views imagined, compared with the truth where known, and written down."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import InputError
from ..core.evidence import VIRTUAL
from ..evaluation.baselines import Baselines, load_baselines
from ..evaluation.ood import OutOfDistribution, out_of_distribution, reconstruction_error
from ..evaluation.volumes import resample, volume_scores
from ..io.files import atomic_path, write_json
from ..io.model_folder import folder_of
from ..models.adaptation import Adapter
from ..models.world_model import WorldModel
from ..probing.probe import Probe, load_probes
from ..projection.geometry import STANDARD_ARC, Geometry, preset
from ..radiograph.display import save_png, to_gray
from ..reconstruction.reconstruct import reconstruct
from ..reporting.pictures import PICTURE_YAW_DEG, case_picture, unfold_picture, views_gif
from ..reporting.report import Report, write_report
from ..volume.nifti import write_nifti
from ..volume.volume import Volume
from .about import versions
from .study import Study

VOLUME_VOXELS, VOLUME_MM = 128, 384.0


@dataclass(frozen=True)
class Tools:
    """A model, and what is known of the cohort it was trained on."""

    model: WorldModel
    source: str
    geometry: Geometry
    baselines: Baselines | None
    probes: Mapping[str, Probe] = field(default_factory=dict)
    probes_table: Mapping[str, Any] | None = None
    adapter: Adapter | None = None

    @property
    def frontal_quantiles(self) -> np.ndarray | None:
        """What radiographs are matched to; None where no baselines are known at all."""
        return None if self.baselines is None else self.baselines.frontal_quantiles


def open_tools(source: str | Path, form: str, device: str, adapter: str | Path | None = None) -> Tools:
    """Load a model with the baselines beside it (or the packaged ones, if they are of the same geometry and size).

    Raises:
        InputError: as `WorldModel.from_pretrained`, `Baselines.load` and `Adapter.from_pretrained`; or an adapter for
            views of another size.
    """
    model = WorldModel.from_pretrained(source, form=form, device=device)
    path = baselines_beside(source)
    try:
        baselines = load_baselines(path)
    except InputError:
        if path is not None:
            raise
        baselines = None
    usable = baselines is not None and baselines.geometry.size == model.size
    geometry = baselines.geometry if baselines is not None and usable else preset("chest", model.size)
    adapts = None if adapter is None else Adapter.from_pretrained(adapter, device)
    if adapts is not None and adapts.size != model.size:
        raise InputError(
            f"the adapter {adapter} makes views of {adapts.size} px, the model {source} takes {model.size}"
        )
    return Tools(model, str(source), geometry, baselines, *_probes_beside(source, form), adapts)


def baselines_beside(source: str | Path) -> Path | None:
    """The baselines.npz in a model's own folder; None where the packaged one is meant."""
    path = folder_of(source) / "baselines.npz"
    return path if path.is_file() else None


def _probes_beside(source: str | Path, form: str) -> tuple[dict[str, Probe], dict[str, Any] | None]:
    """Probes and their table in a model's own folder, as `evaluate probes` wrote them; they read the direct form."""
    probes, table = folder_of(source) / "probes.npz", folder_of(source) / "probes.json"
    if form != "direct" or not (probes.is_file() and table.is_file()):
        return {}, None
    try:
        return load_probes(probes), json.loads(table.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{table} cannot be read ({error}); write it again with evaluate probes") from None


@dataclass(frozen=True, eq=False)
class Unfolded:
    """Views of the standard arc, float32 (37, size, size) line integrals, and volumes with the isocentre as RAS origin.

    Attributes:
        predicted_p: what the model imagines; at the input's angle V's reconstruction of the input.
        truth_p: rendered from the scan, where there is one.
        ceiling_p: V's reconstruction of the truth, which the model cannot be expected to beat.
        ood: how unlike the training frontals the input is, where their distribution is known.
        volume: reconstructed from the predicted views.
        ceiling_volume: reconstructed from the true ones by the same method: what the method itself can reach.
    """

    study: Study
    predicted_p: np.ndarray
    truth_p: np.ndarray | None = None
    ceiling_p: np.ndarray | None = None
    ood: OutOfDistribution | None = None
    volume: Volume | None = None
    ceiling_volume: Volume | None = None


def unfold(study: Study, tools: Tools) -> Unfolded:
    """Imagine all views of the standard arc from the study's one view."""
    model = tools.model
    predicted_p = model.imagine(study.view_p, study.input_yaw_deg, STANDARD_ARC)
    truth_p = study.truth_p(STANDARD_ARC)
    ceiling_p = None if truth_p is None else model.reconstruct_views(truth_p)
    return Unfolded(study, predicted_p, truth_p, ceiling_p, _unlike_training(study, tools))


def _unlike_training(study: Study, tools: Tools) -> OutOfDistribution | None:
    if tools.baselines is None or len(tools.baselines.error_quantiles) < 2:
        return None
    seen = tools.model.reconstruct_views(study.view_p[None], quantised=False)[0]
    return out_of_distribution(float(reconstruction_error(study.view_p, seen)), tools.baselines.error_quantiles)


def with_volume(unfolded: Unfolded, size: int = VOLUME_VOXELS) -> Unfolded:
    """Reconstruct a volume from the predicted views, and one from the true views where they are known."""
    geometry = unfolded.study.geometry

    def volume(views_p: np.ndarray) -> Volume:
        return reconstruct(views_p, geometry, STANDARD_ARC, size, VOLUME_MM, show_progress=False).volume

    truth_p = unfolded.truth_p
    return replace(
        unfolded, volume=volume(unfolded.predicted_p), ceiling_volume=None if truth_p is None else volume(truth_p)
    )


def in_patient(volume: Volume, isocentre_mm: np.ndarray) -> Volume:
    """A reconstruction, whose isocentre is its origin, moved to where the patient's isocentre is in the scan."""
    affine = volume.affine.copy()
    affine[:3, 3] += isocentre_mm
    return Volume(volume.hu, affine, volume.source)


def write_unfolded(
    out: Path, unfolded: Unfolded, tools: Tools, settings: dict[str, Any], yaw_deg: Sequence[float] | None = None
) -> dict[str, Any]:
    """Write everything that is known of a study into a folder, and return the content of its report.json.

    views.npz (line integrals), views.png, views.gif, report.html, report.json; volume.nii.gz where there is a volume;
    and for every angle asked for by name a picture yawANGLE.png.

    Raises:
        InputError: the truth is known, but the model has no mean views to measure skill against.
    """
    study, form = unfolded.study, tools.model.config.form
    known = {"input": study.source, "model": tools.source, "form": form, "geometry": study.geometry.name}
    report = Report(
        title=study.name,
        rung=study.rung,
        input_p=study.view_p,
        predicted_p={form: unfolded.predicted_p},
        input_yaw_deg=study.input_yaw_deg,
        truth_p=unfolded.truth_p,
        baselines_p={} if unfolded.truth_p is None else _simple_baselines(study, tools),
        ceiling_p=unfolded.ceiling_p,
        volume=unfolded.volume,
        true_volume=study.volume,
        ood=unfolded.ood,
        findings=_findings(study, tools),
        probes=tools.probes_table if study.rung == VIRTUAL else None,
        settings=known | settings,
        versions=versions(),
        notes=study.notes,
    )
    out.mkdir(parents=True, exist_ok=True)
    numbers = write_report(out, report)
    if unfolded.ceiling_volume is not None and study.volume is not None:
        truth = resample(study.volume, unfolded.ceiling_volume, study.isocentre_mm)
        numbers["volume"]["scores_from_true_views"] = volume_scores(unfolded.ceiling_volume, truth)
        write_json(out / "report.json", numbers)
    if unfolded.volume is not None:
        write_nifti(out / "volume.nii.gz", in_patient(unfolded.volume, study.isocentre_mm))
    _write_views(out, unfolded, tools, yaw_deg)
    return numbers


def summary(report: Mapping[str, Any]) -> str:
    """The few numbers of a report.json that a person wants to see at the end of a run."""
    lines = []
    views = report["views"]
    if views is not None:
        lines.append(f"{'':<24}{'PSNR':>8}{'far':>8}{'R2 far':>8}   (dB; far: at least 30 degrees from the input)")
        for name, block in [*views["models"].items(), *views["baselines"].items()]:
            numbers = (block["psnr"]["mean"], block["psnr"]["mean_beyond_30"], block["r2"]["mean_beyond_30"])
            lines.append(f"{_LABELS.get(name, name):<24}" + "".join(f"{number:8.2f}" for number in numbers))
    volume = report["volume"] or {}
    for key, label in (("scores", "volume"), ("scores_from_true_views", "volume from true views")):
        if key in volume:
            scores = volume[key]
            lines.append(
                f"{label:<24}{scores['psnr']:8.2f}   (dB over 2,500 HU, inside the body), "
                f"mean error {scores['mae_hu']:.0f} HU, lung Dice {scores['lung_dice']:.2f}"
            )
    if report["out_of_distribution"] is not None:
        lines.append(report["out_of_distribution"]["words"])
    return "\n".join(lines)


_LABELS = {
    "v_ceiling": "V on the truth",
    "mean_view": "mean view",
    "copy_input": "copy of the input",
    "best": "best of these",
}


def _findings(study: Study, tools: Tools) -> list[dict[str, Any]]:
    """What probes read from a virtual patient's input, beside what was planted; of real people they say nothing."""
    if study.rung != VIRTUAL or not tools.probes:
        return []
    vectors = tools.model.features(study.view_p[None], "volumetric")
    return [
        {
            "label": label,
            "probability": float(probe.probability(vectors, study.rung)[0]),
            "planted": bool(study.labels[label]) if label in study.labels else None,
        }
        for label, probe in tools.probes.items()
    ]


def _simple_baselines(study: Study, tools: Tools) -> dict[str, np.ndarray]:
    """What needs no network and no training cohort: the mean patient, and the input itself at every angle."""
    baselines = tools.baselines
    if baselines is None or baselines.geometry != study.geometry:
        raise InputError(
            f"the model {tools.source} has no mean views of {study.geometry.size} pixels to be compared with; "
            "make them with `xray2xray evaluate baselines --views STORE --source MODEL --out MODEL/baselines.npz`"
        )
    mean_p = baselines.mean_views.astype(np.float32) / 4096
    return {"mean_view": mean_p, "copy_input": np.broadcast_to(study.view_p, mean_p.shape)}


def _write_views(out: Path, unfolded: Unfolded, tools: Tools, yaw_deg: Sequence[float] | None) -> None:
    study, predicted_p, truth_p = unfolded.study, unfolded.predicted_p, unfolded.truth_p
    asked = STANDARD_ARC if yaw_deg is None else tuple(float(yaw) for yaw in yaw_deg)
    if all(yaw in STANDARD_ARC for yaw in asked):
        index = [STANDARD_ARC.index(yaw) for yaw in asked]
        asked_p, asked_truth_p = predicted_p[index], None if truth_p is None else truth_p[index]
    else:
        asked_p = tools.model.imagine(study.view_p, study.input_yaw_deg, asked)
        asked_truth_p = study.truth_p(asked)
    arrays: dict[str, Any] = {"yaw_deg": np.array(asked, np.float32), "predicted_p": asked_p, "input_p": study.view_p}
    if asked_truth_p is not None:
        arrays["truth_p"] = asked_truth_p
    with atomic_path(out / "views.npz") as temporary:
        np.savez_compressed(temporary, **arrays)
    if yaw_deg is not None:
        for yaw, view_p in zip(asked, asked_p, strict=True):
            save_png(out / f"yaw{yaw:+g}.png", to_gray(view_p))

    shown = [STANDARD_ARC.index(yaw) for yaw in PICTURE_YAW_DEG]
    if truth_p is None:
        picture = unfold_picture(study.view_p, predicted_p[shown], None, PICTURE_YAW_DEG)
    else:
        named: dict[str, np.ndarray] = {tools.model.config.form: predicted_p[shown]}
        picture = case_picture(truth_p[shown], named, PICTURE_YAW_DEG, study.input_yaw_deg)
    with atomic_path(out / "views.png") as temporary:
        picture.save(temporary)
    views_gif(out / "views.gif", predicted_p, truth_p, STANDARD_ARC)
