"""The whole evaluation on small real cases; the model is a real linear one, fitted to the cohort."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from xray2xray.core.errors import InputError, UsageError
from xray2xray.core.evidence import FROM_CT, VIRTUAL
from xray2xray.data.store import ViewStore
from xray2xray.evaluation import views as views_module
from xray2xray.evaluation.baselines import RidgePCA, build_baselines, fit_on_store, training_views
from xray2xray.evaluation.metrics import unit
from xray2xray.evaluation.scoring import case_rows, summarise
from xray2xray.evaluation.views import Case, evaluate_cases, evaluate_views, markdown
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
def summary(store: ViewStore, ellipsoid_views: Cohort) -> dict:
    train = training_views(store)
    cases = [
        Case(f"case-{i}", VIRTUAL if i < 6 else FROM_CT, views)
        for i, views in enumerate(ellipsoid_views(range(2000, 2009)))
    ]
    cohort, examples = evaluate_cases(
        iter(cases), {"direct": LinearWorldModel(train)}, fit_on_store(train, FRONTAL), pictures=2
    )
    assert [e.name for e in examples] == ["case-0", "case-1", "case-6", "case-7"]
    result = {**summarise(cohort), "cases": case_rows(cohort)}
    result["groups"] = {rung: summarise(cohort.only(rung)) for rung in (VIRTUAL, FROM_CT)}
    return result


def test_every_metric_has_the_promised_fields(summary: dict) -> None:
    json.dumps(summary, allow_nan=False)
    assert set(summary["models"]) == {"direct", "v_ceiling", "v_ceiling_quantised"}
    assert set(summary["baselines"]) == {"copy_input", "mean_view", "knn10", "ridge_pca", "best"}
    for block in [*summary["models"].values(), *summary["baselines"].values()]:
        assert set(block) == {"psnr", "ssim", "r2"}
        for name, metric in block.items():
            extra = {"ci95", "ci95_beyond_30"} if name == "r2" else set()
            assert set(metric) == {"mean", "sd", "mean_beyond_30", "per_angle"} | extra
            assert "0" not in metric["per_angle"]
            assert len(metric["per_angle"]) == 36
            assert metric["mean"] == pytest.approx(np.mean(list(metric["per_angle"].values())))
            far = [value for angle, value in metric["per_angle"].items() if abs(float(angle)) >= 30]
            assert len(far) == 26
            assert metric["mean_beyond_30"] == pytest.approx(np.mean(far))


def test_the_numbers_mean_what_they_say(summary: dict) -> None:
    assert summary["baselines"]["mean_view"]["r2"]["mean"] == pytest.approx(0)
    direct, ridge = summary["models"]["direct"], summary["baselines"]["ridge_pca"]
    assert direct["r2"]["ci95"][0] < direct["r2"]["mean"] < direct["r2"]["ci95"][1]
    assert direct["psnr"]["mean"] == pytest.approx(ridge["psnr"]["mean"], abs=1)  # the same method, fewer components
    assert summary["models"]["v_ceiling"]["psnr"]["mean"] > summary["models"]["v_ceiling_quantised"]["psnr"]["mean"]
    best = summary["baselines"]["best"]["psnr"]
    for name, block in summary["baselines"].items():
        assert best["mean"] >= block["psnr"]["mean"] - 1e-9
        assert all(best["per_angle"][a] >= v - 1e-9 for a, v in block["psnr"]["per_angle"].items()), name
    for angle, chosen in summary["best_choice"].items():
        assert best["per_angle"][angle] == summary["baselines"][chosen]["psnr"]["per_angle"][angle]
    gain = direct["psnr"]["mean_beyond_30"] - best["mean_beyond_30"]
    assert summary["contrast"]["mean"] == pytest.approx(gain)
    assert list(summary["over_best"]) == ["direct"]
    assert summary["over_best"]["direct"] == {name: summary["contrast"][name] for name in ("mean", "ci95")}
    each = summary["contrast"]["per_angle"]
    far = [row["mean"] for yaw, row in each.items() if abs(float(yaw)) >= 30]
    assert np.mean(far) == pytest.approx(gain)
    assert all(row["ci95"] is None or row["ci95"][0] <= row["mean"] <= row["ci95"][1] for row in each.values())


def test_groups_and_cases_add_up_to_the_whole(summary: dict) -> None:
    groups = summary["groups"]
    assert {rung: group["n"] for rung, group in groups.items()} == {VIRTUAL: 6, FROM_CT: 3}
    means = [groups[rung]["models"]["direct"]["psnr"]["mean"] * n / 9 for rung, n in ((VIRTUAL, 6), (FROM_CT, 3))]
    assert sum(means) == pytest.approx(summary["models"]["direct"]["psnr"]["mean"])
    rows = [row["models"]["direct"]["psnr"] for row in summary["cases"]]
    assert np.mean(rows) == pytest.approx(summary["models"]["direct"]["psnr"]["mean"])
    assert np.std(rows, ddof=1) == pytest.approx(summary["models"]["direct"]["psnr"]["sd"])
    assert [row["rung"] for row in summary["cases"]] == [VIRTUAL] * 6 + [FROM_CT] * 3


def test_no_case_is_an_error() -> None:
    with pytest.raises(InputError, match="no case"):
        evaluate_cases([], {}, {})


@pytest.fixture
def linear_models(store: ViewStore, monkeypatch: pytest.MonkeyPatch) -> None:
    model = LinearWorldModel(training_views(store))
    monkeypatch.setattr(views_module, "load_models", lambda source, forms, device: dict.fromkeys(forms, model))


def test_a_name_says_whether_the_mirror_image_is_imagined_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views_module, "load_models", lambda source, forms, device: {form: form for form in forms})
    found = views_module.view_models("tiny", ["direct", "direct+mirrored", "autoregressive+mirrored"])
    assert found["direct"] == "direct"
    assert found["direct+mirrored"] == views_module.Mirrored("direct")
    assert found["autoregressive+mirrored"] == views_module.Mirrored("autoregressive")
    with pytest.raises(UsageError, match=r"no model 'foo.mirrored'; choose direct or autoregressive, or either and"):
        views_module.view_models("tiny", ["direct", "foo+mirrored"])


@pytest.mark.usefixtures("linear_models")
def test_virtual_patients_and_a_bad_scan_in_one_call(
    store: ViewStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.nii.gz"
    bad.write_bytes(b"no nifti")
    result = evaluate_views([bad, tmp_path / "missing.nii"], 2, store.folder, tmp_path / "out", pictures=1)
    assert result["n"] == 2
    assert "groups" not in result
    assert [row["case"] for row in result["cases"]] == ["thorax-1000000", "thorax-1000001"]
    assert [row["case"] for row in result["failed"]] == ["bad", "missing"]
    written = json.loads((tmp_path / "out" / "views.json").read_text())
    assert written == result
    assert not result["skipped_baselines"]
    printed = capsys.readouterr()
    assert markdown(result) in printed.out
    assert "left out bad" in printed.err
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files == {"views.json", "views.md", "views.png", "case-thorax-1000000.png"}


@pytest.mark.usefixtures("linear_models")
def test_only_bad_scans_is_an_input_error(store: ViewStore, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no case"):
        evaluate_views([tmp_path / "missing.nii"], 0, store.folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("linear_models")
def test_shipped_baselines_render_neighbours_from_their_seeds(store: ViewStore, tmp_path: Path) -> None:
    build_baselines(store, None, tmp_path / "baselines.npz")
    result = evaluate_views([], 1, None, tmp_path / "out", baselines=tmp_path / "baselines.npz", models=["direct"])
    assert set(result["baselines"]) == {"copy_input", "mean_view", "knn10", "best"}
    assert set(result["skipped_baselines"]) == {"ridge_pca"}
    assert result["models"]["direct"]["r2"]["ci95"] is None  # one patient has no interval


def test_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing to evaluate"):
        evaluate_views(out=tmp_path)
    with pytest.raises(UsageError, match="standard arc"):
        evaluate_views(procedural=1, out=tmp_path, input_yaw_deg=7)
