"""The whole evaluation on small real cases; the model is a real linear one, fitted to the cohort."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from xray2xray.core.errors import InputError, UsageError
from xray2xray.core.evidence import FROM_CT, VIRTUAL
from xray2xray.data.store import ViewStore
from xray2xray.evaluation import scoring
from xray2xray.evaluation import views as views_module
from xray2xray.evaluation.baselines import build_baselines, fit_on_store, training_views
from xray2xray.evaluation.cases import CUT, WHOLE, Case
from xray2xray.evaluation.metrics import unit
from xray2xray.evaluation.results import Estimate, as_json
from xray2xray.evaluation.ridge import RidgePCA
from xray2xray.evaluation.views import evaluate_cases, evaluate_views
from xray2xray.projection.geometry import STANDARD_ARC, preset

FRONTAL = STANDARD_ARC.index(0.0)
Cohort = Callable[..., np.ndarray]


class LinearWorldModel:
    """A world model without a network: ridge regression as M, a blur as V."""

    def __init__(self, train: np.ndarray) -> None:
        self.transition = RidgePCA.fit(train, FRONTAL, components=40)

    def imagine(
        self, view_p: np.ndarray, input_yaw_deg: float = 0.0, yaw_deg: Sequence[float] = STANDARD_ARC
    ) -> np.ndarray:
        return 10 * self.transition.predict(unit(view_p))

    def reconstruct_views(self, views_p: np.ndarray, quantised: bool = False) -> np.ndarray:
        step = 0.5 if quantised else 0.01
        return np.round(views_p / step) * np.float32(step)


@pytest.fixture(scope="module")
def store(ellipsoid_views: Cohort, tmp_path_factory: pytest.TempPathFactory) -> ViewStore:
    store = ViewStore.create(tmp_path_factory.mktemp("store"), preset("chest", size=16))
    for seed, case in enumerate(ellipsoid_views(range(60))):
        store.write(f"thorax-{seed:07d}", case, STANDARD_ARC, {"seed": seed})
    return store


@pytest.fixture(scope="module")
def scored(store: ViewStore, ellipsoid_views: Cohort) -> scoring.Cohort:
    train = training_views(store)
    cases = [
        Case(f"case-{i}", VIRTUAL if i < 6 else FROM_CT, views, body=views > 1, scan=CUT if i % 2 else WHOLE)
        for i, views in enumerate(ellipsoid_views(range(2000, 2009)))
    ]
    cohort, examples = evaluate_cases(
        iter(cases), {"linear": LinearWorldModel(train)}, fit_on_store(train, FRONTAL), pictures=2
    )
    assert [e.name for e in examples] == ["case-0", "case-1", "case-6", "case-7"]
    return cohort


@pytest.fixture(scope="module")
def summary(scored: scoring.Cohort) -> scoring.Summary:
    return scoring.summarise(scored)


def test_every_metric_has_the_promised_fields(summary: scoring.Summary) -> None:
    json.dumps(as_json(summary), allow_nan=False)
    assert set(summary.models) == {"linear", "v_ceiling", "v_ceiling_quantised"}
    assert set(summary.baselines) == {"copy_input", "mean_view", "knn10", "ridge_pca", "kernel_ridge", "best"}
    for block in [*summary.models.values(), *summary.baselines.values()]:
        for metric in (block.psnr, block.ssim, block.r2):
            assert "0" not in metric.per_angle
            assert len(metric.per_angle) == 36
            assert metric.mean == pytest.approx(np.mean(list(metric.per_angle.values())))
            far = [value for angle, value in metric.per_angle.items() if abs(float(angle)) >= 30]
            assert len(far) == 26
            assert metric.mean_beyond_30 == pytest.approx(np.mean(far))


def test_the_numbers_follow_their_definitions(summary: scoring.Summary) -> None:
    assert summary.baselines["mean_view"].r2.mean == pytest.approx(0)
    linear, ridge = summary.models["linear"], summary.baselines["ridge_pca"]
    assert linear.r2.ci95[0] < linear.r2.mean < linear.r2.ci95[1]
    assert linear.psnr.mean == pytest.approx(ridge.psnr.mean, abs=1)  # the same method, fewer components
    assert summary.models["v_ceiling"].psnr.mean > summary.models["v_ceiling_quantised"].psnr.mean
    best = summary.baselines["best"].psnr
    for name, block in summary.baselines.items():
        assert best.mean >= block.psnr.mean - 1e-9
        assert all(best.per_angle[a] >= v - 1e-9 for a, v in block.psnr.per_angle.items()), name
    for angle, chosen in summary.best_choice.items():
        assert best.per_angle[angle] == summary.baselines[chosen].psnr.per_angle[angle]


def test_the_primary_contrast_is_that_of_the_first_model(summary: scoring.Summary) -> None:
    gain = summary.models["linear"].psnr.mean_beyond_30 - summary.baselines["best"].psnr.mean_beyond_30
    assert summary.contrast.mean == pytest.approx(gain)
    assert summary.contrast.name.startswith("linear minus best")
    assert summary.over_best == {"linear": Estimate(summary.contrast.mean, summary.contrast.ci95, p=summary.contrast.p)}
    each = summary.contrast.per_angle
    far = [row.mean for yaw, row in each.items() if abs(float(yaw)) >= 30]
    assert np.mean(far) == pytest.approx(gain)
    assert all(row.ci95[0] <= row.mean <= row.ci95[1] for row in each.values())


def test_groups_and_cases_add_up_to_the_whole(summary: scoring.Summary, scored: scoring.Cohort) -> None:
    assert scored.levels == [VIRTUAL, FROM_CT]
    groups = {level: scoring.summarise(scored.only(level)) for level in scored.levels}
    assert {level: group.n for level, group in groups.items()} == {VIRTUAL: 6, FROM_CT: 3}
    means = [group.models["linear"].psnr.mean * group.n / 9 for group in groups.values()]
    whole = summary.models["linear"].psnr
    assert sum(means) == pytest.approx(whole.mean)
    rows = scoring.case_rows(scored)
    psnr = [row.models["linear"]["psnr"] for row in rows]
    assert np.mean(psnr) == pytest.approx(whole.mean)
    assert np.std(psnr, ddof=1) == pytest.approx(whole.sd)
    assert [row.evidence_level for row in rows] == [VIRTUAL] * 6 + [FROM_CT] * 3


def test_the_body_and_each_kind_of_scan_are_scored_apart(scored: scoring.Cohort, ellipsoid_views: Cohort) -> None:
    rows = scoring.case_rows(scored)
    assert [row.scan for row in rows] == [WHOLE, CUT] * 4 + [WHOLE]
    assert scored.only(FROM_CT, WHOLE).names == ["case-6", "case-8"]
    assert scored.only(FROM_CT, CUT).names == ["case-7"]
    truth = ellipsoid_views(range(2000, 2001))[0]
    found = scored.baselines["copy_input"].body_mse[0]
    body = truth > 1
    square = np.square(unit(truth[FRONTAL]) - unit(truth))
    assert found == pytest.approx([square[a][body[a]].mean() for a in range(len(truth))], rel=1e-4, abs=1e-9)
    assert rows[0].baselines["copy_input"]["psnr_body"] < rows[0].baselines["copy_input"]["psnr"], "air is easy"


def test_no_case_is_an_error() -> None:
    with pytest.raises(InputError, match="no case"):
        evaluate_cases([], {}, {})


@pytest.fixture
def linear_models(store: ViewStore, monkeypatch: pytest.MonkeyPatch) -> None:
    model = LinearWorldModel(training_views(store))
    monkeypatch.setattr(views_module, "load_models", lambda source, names, device: {"linear": model})


def test_a_name_says_whether_the_mirror_image_is_used_too() -> None:
    found = views_module.view_models("tiny", ["direct", "direct+mirrored"])
    assert found["direct+mirrored"] == views_module.Mirrored(found["direct"])
    assert list(views_module.view_models("tiny")) == ["volumetric", "direct", "autoregressive"]
    with pytest.raises(UsageError, match=r"no model 'foo'; choose volumetric or direct or autoregressive"):
        views_module.view_models("tiny", ["direct", "foo+mirrored"])


@pytest.mark.usefixtures("linear_models")
def test_virtual_patients_and_a_bad_scan_in_one_call(
    store: ViewStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bad = tmp_path / "bad.nii.gz"
    bad.write_bytes(b"no nifti")
    result = evaluate_views([bad, tmp_path / "missing.nii"], 2, store.folder, pictures=1)
    assert result.n == 2
    assert result.groups is None
    assert list(result.by_level) == [VIRTUAL]
    assert [row.case for row in result.cases] == ["thorax-1000000", "thorax-1000001"]
    assert [row.case for row in result.failed] == ["bad", "missing"]
    assert not result.skipped_baselines
    assert "left out bad" in caplog.text
    assert [example.name for example in result.examples] == ["thorax-1000000"]


@pytest.mark.usefixtures("linear_models")
def test_only_bad_scans_is_an_input_error(store: ViewStore, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no case"):
        evaluate_views([tmp_path / "missing.nii"], 0, store.folder)


@pytest.mark.usefixtures("linear_models")
def test_shipped_baselines_render_neighbours_from_their_seeds(store: ViewStore, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match="of its own cohort"):
        evaluate_views([], 1, source=tmp_path)
    build_baselines(store).save(tmp_path / "baselines.npz")
    result = evaluate_views([], 1, source=tmp_path)
    assert set(result.baselines) == {"copy_input", "mean_view", "knn10", "best"}
    assert set(result.skipped_baselines) == {"ridge_pca", "kernel_ridge"}
    assert result.models["linear"].r2.ci95 is None  # one patient has no interval


def test_wrong_usage() -> None:
    with pytest.raises(UsageError, match="nothing to evaluate"):
        evaluate_views()
    with pytest.raises(UsageError, match="standard arc"):
        evaluate_views(procedural=1, input_yaw_deg=7)
