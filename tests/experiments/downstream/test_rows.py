"""From scores to rows: the numbers are those of the oracles, and differences are paired."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from xray2xray.core.errors import UsageError
from xray2xray.experiments.downstream.rows import Primary, Test, table_rows
from xray2xray.probing.endpoints import Endpoints
from xray2xray.statistics.compare_auroc import delong_test
from xray2xray.statistics.concordance import harrell_c
from xray2xray.statistics.contrasts import holm

N = 150
RNG = np.random.default_rng(0)
LABEL = (RNG.random(N) < 0.4).astype(float)
LABEL[:10] = np.nan
TIME, EVENT = RNG.exponential(6, N).clip(0, 10), RNG.integers(0, 3, N).astype(float)
TEST = Test(["edema", "cvd_time"], Endpoints.of({"edema": LABEL}, TIME, EVENT, N))


def scores(signal: float, seed: int) -> dict[str, np.ndarray]:
    noise = np.random.default_rng(seed).normal(size=(2, N))
    shown = np.nan_to_num(LABEL)
    return {"edema": 1 / (1 + np.exp(1 - signal * shown - noise[0])), "cvd_time": noise[1] - signal * TIME / 5}


KNOWN = {
    (m, 100, s): scores(signal, 10 * s + i)
    for i, (m, signal) in enumerate([("ours", 2), ("a", 1), ("b", 0)])
    for s in (0, 1)
}
PRIMARY = Primary("edema", "a", 100)


def test_values_differences_and_p() -> None:
    rows = {(r["task"], r["method"], r["metric"]): r for r in table_rows(KNOWN, TEST, "ours", PRIMARY, draws=300)}
    known = ~np.isnan(LABEL)
    for metric, oracle in (("auroc", roc_auc_score), ("auprc", average_precision_score), ("brier", brier_score_loss)):
        each = {m: [oracle(LABEL[known], KNOWN[m, 100, s]["edema"][known]) for s in (0, 1)] for m in ("ours", "a")}
        row = rows["edema", "a", metric]
        assert row["value"] == pytest.approx(np.mean(each["a"]))
        assert row["delta_vs_ours"] == pytest.approx(np.mean(each["a"]) - np.mean(each["ours"]))
        assert row["ci_low"] < row["value"] < row["ci_high"]
        assert row["delta_ci_low"] < row["delta_vs_ours"] < row["delta_ci_high"]
    row = rows["cvd_time", "b", "harrell_c"]
    assert row["value"] == pytest.approx(
        np.mean([harrell_c(TIME, EVENT, KNOWN["b", 100, s]["cvd_time"]) for s in (0, 1)])
    )
    assert row["delta_ci_high"] < 0
    assert [key for key, r in rows.items() if r["primary"]] == [("edema", "a", "auroc")]
    assert rows["edema", "ours", "auroc"]["p"] is rows["edema", "ours", "auroc"]["delta_vs_ours"] is None
    assert {metric for _, _, metric in rows} == {
        "auroc", "auprc", "brier", "calibration_slope", "ici", "expected_observed", "harrell_c", "uno_c", "auroc_5y"
    }  # fmt: skip


def test_the_primary_p_is_as_it_is_and_the_others_are_adjusted_together() -> None:
    one_seed = {key: found for key, found in KNOWN.items() if key[2] == 0}
    plain = {
        (r["task"], r["method"]): r["p"]
        for r in table_rows(one_seed, TEST, "ours", PRIMARY, draws=300)
        if r["p"] is not None
    }
    known = ~np.isnan(LABEL)
    mine, a, b = (one_seed[m, 100, 0]["edema"][known] for m in ("ours", "a", "b"))
    assert plain["edema", "a"] == pytest.approx(delong_test(LABEL[known], a, mine).p_value)
    others = [delong_test(LABEL[known], b, mine).p_value, 2 / 301, 2 / 301]
    assert plain["edema", "b"] == pytest.approx(holm(others)[0])


def test_further_seeds_of_a_method_are_paired_with_those_that_ours_has() -> None:
    more = {**KNOWN, ("a", 100, 2): scores(1, 99)}
    fewer, whole = (
        next(r for r in table_rows(k, TEST, "ours", None, (), 50) if r["method"] == "a") for k in (KNOWN, more)
    )
    assert whole["delta_vs_ours"] == pytest.approx(fewer["delta_vs_ours"])
    assert whole["value"] != fewer["value"]


def test_who_did_not_converge_is_tested_against_nobody() -> None:
    rows = [r for r in table_rows(KNOWN, TEST, "ours", PRIMARY, {("a", 100)}, 50) if r["metric"] == "auroc"]
    assert {r["method"]: (r["ranked"], r["p"] is None) for r in rows} == {
        "ours": (True, True), "a": (False, True), "b": (True, False)
    }  # fmt: skip
    ours = table_rows(KNOWN, TEST, "ours", PRIMARY, {("ours", 100)}, 50)
    assert all(r["p"] is None for r in ours)
    assert {r["method"] for r in ours if r["ranked"]} == {"a", "b"}


def test_a_primary_contrast_is_part_of_the_run() -> None:
    assert Primary.parse("edema/age_sex+x/100", ["edema"], ["age_sex+x"], [100], "ours") == Primary(
        "edema", "age_sex+x", 100
    )
    for wrong in ("edema", "edema/a", "edema/a/50", "edema/ours/100", "flu/a/100"):
        with pytest.raises(UsageError, match="TASK/METHOD/LABELS"):
            Primary.parse(wrong, ["edema"], ["a", "ours"], [100], "ours")


def test_patients_with_several_images_are_drawn_whole() -> None:
    """Twice the same images say nothing more: the intervals are those of the patients."""
    once = {key: {"edema": found["edema"]} for key, found in KNOWN.items() if key[2] == 0}
    twice = {key: {"edema": np.tile(found["edema"], 2)} for key, found in once.items()}
    whole = Endpoints.of({"edema": np.tile(LABEL, 2)}, None, None, 2 * N)
    names = np.array([f"p{i:03d}" for i in range(N)])
    owned = Test(["edema"], whole, patients=np.tile(names, 2))
    clustered, alone = (
        {r["metric"]: r for r in table_rows(known, test, "ours", None, (), 400) if r["method"] == "a"}
        for known, test in ((twice, owned), (twice, Test(["edema"], whole)))
    )
    delong = {r["metric"]: r for r in table_rows(once, Test(["edema"], TEST.truth), "ours", None) if r["method"] == "a"}
    assert clustered["auroc"]["value"] == pytest.approx(delong["auroc"]["value"])
    width = {key: r["auroc"]["delta_ci_high"] - r["auroc"]["delta_ci_low"] for key, r in
             (("clustered", clustered), ("alone", alone), ("delong", delong))}  # fmt: skip
    assert width["clustered"] == pytest.approx(width["delong"], rel=0.35)
    assert width["alone"] < 0.85 * width["clustered"]


def test_numbers_are_ranked_and_their_error_is_measured() -> None:
    y = RNG.normal(size=N)
    y[:5] = np.nan
    test = Test(["ml"], Endpoints((), np.zeros((N, 0))), {"ml": y})
    known = {("ours", 9, 0): {"ml": np.nan_to_num(y)}, ("mean", 9, 0): {"ml": np.full(N, np.nanmean(y))}}
    rows = {(r["method"], r["metric"]): r["value"] for r in table_rows(known, test, "ours", None, (), 50)}
    assert rows["ours", "concordance"] == rows["ours", "r2"] == pytest.approx(1)
    assert rows["ours", "mae"] == 0
    assert rows["mean", "concordance"] == 0.5
    assert rows["mean", "r2"] == pytest.approx(0)
