"""Tables, figures and pictures of an evaluation of samples."""

from pathlib import Path

import numpy as np
from PIL import Image

from xray2xray.core.evidence import FROM_CT, VIRTUAL
from xray2xray.evaluation.counterfactual import Pair, PairSummary
from xray2xray.evaluation.results import Estimate, Failure
from xray2xray.evaluation.spread import LEVELS, of_normal, summarise_endpoint, summarise_marginals
from xray2xray.evaluation.uncertainty import (
    REGIONS,
    SCORED_DEG,
    EndpointScores,
    Example,
    Group,
    UncertaintyResult,
    VarianceRatio,
)
from xray2xray.reporting.uncertainty import uncertainty_markdown, write_uncertainty

N, SIZE = len(SCORED_DEG), 16


def group(cases: int, known: bool) -> Group:
    random = np.random.default_rng(cases)
    regions = np.ones((len(REGIONS), N, SIZE, SIZE), bool)
    mean = np.zeros((N, SIZE, SIZE))
    marginals = [of_normal(mean, mean + 1, random.normal(size=mean.shape), regions) for _ in range(cases)]
    truth = random.normal(100, 10, cases)
    samples = truth + random.normal(0, 5, (40, cases))
    agreement = vars(summarise_endpoint(truth, truth + 3, samples, 5.0))
    endpoint = EndpointScores(words="heart width", unit="mm", yaw_deg=30.0, **agreement)
    return Group(
        n=cases,
        cases=[f"case-{i}" for i in range(cases)],
        pixels={name: summarise_marginals(marginals, REGIONS, SCORED_DEG) for name in ("sampler", "gaussian")},
        energy={"sampler": Estimate(0.1, None)},
        endpoints={"heart_width": endpoint},
        consistency={"truth": {"row_sums": 0.01, "mirror": 0.02, "range": 0.03}},
        voxels={"80": Estimate(0.75, None), "80_bone": Estimate(0.5, (0.4, 0.6))} if known else None,
        variance_ratio={name: VarianceRatio(0.5, {"90": 0.5}) for name in REGIONS} if known else None,
        variance_ratio_map=random.uniform(size=mean.shape) if known else None,
    )


def test_files_and_tables(tmp_path: Path) -> None:
    views = np.random.default_rng(0).uniform(0, 8, (N, SIZE, SIZE)).astype(np.float32)
    kept = Estimate(0.5, None)
    pair = Pair("thorax-1", "hidden", views[:3], views[3:6])
    result = UncertaintyResult(
        input_yaw_deg=0.0,
        yaw_deg=SCORED_DEG,
        levels=LEVELS,
        samples=40,
        groups={VIRTUAL: group(10, True), FROM_CT: group(1, False)},
        counterfactual_pairs={"hidden": PairSummary(1, 0, (), identified=kept, kept=kept, example=pair)},
        failed=[Failure("bad", FROM_CT, "no NIfTI")],
        settings={"seed": 0},
        examples=[Example("case-0", VIRTUAL, views[0], views, views, views[None].repeat(3, 0), views)],
    )
    text = write_uncertainty(tmp_path, result)
    assert text == uncertainty_markdown(result)
    assert "### 10 unseen virtual patients" in text
    assert "| heart width, mm, at 30: **sampler** |" in text
    assert "| hidden | 1 |" in text
    assert "| `volume`, body | 75.0 |" in text
    assert "| `volume`, bone | 50.0 [40.0, 60.0] |" in text
    assert text.count("Posterior/prior variance ratio") == 1, "one patient has no variance between patients"
    assert "- bad: no NIfTI" in text
    pictures = {"calibration.png", "endpoints.png", "variance-ratio.png", "counterfactual-pairs.png", "case-case-0.png"}
    assert {path.name for path in tmp_path.iterdir()} == {"uncertainty.json", "uncertainty.md", *pictures}
    for name in pictures:
        assert np.asarray(Image.open(tmp_path / name).convert("L")).std() > 5, name
