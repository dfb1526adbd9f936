"""The supervised baselines learn planted squares, resume exactly, and refuse what they should."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from xray2xray.core.errors import InputError, UsageError
from xray2xray.core.evidence import RADIOGRAPH
from xray2xray.experiments.supervised import supervised
from xray2xray.experiments.supervised.backbones import METHODS
from xray2xray.experiments.supervised.network import PATIENCE, MultiTaskNetwork, Training, grey_values, moved
from xray2xray.experiments.supervised.supervised import SupervisedNetwork
from xray2xray.training.objective import follow

SIDE, N = 32, 240


def squares(n: int, seed: int) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Noise with a bright square (`bright`) and a dark one somewhere; who has the dark one has the event sooner.

    Of `bright` a third is unknown; `hidden` is the same label where `bright` is unknown, and unknown elsewhere.
    """
    rng = np.random.default_rng(seed)
    pictures = rng.normal(3, 0.5, (n, SIDE, SIDE)).astype(np.float32)
    there = rng.random((2, n)) < 0.5
    for picture, bright, dark in zip(pictures, *there):
        for found, height in ((bright, 3.0), (dark, -3.0)):
            y, x = rng.integers(2, SIDE - 10, size=2)
            picture[y : y + 8, x : x + 8] += height * found
    bright, unknown = there[0].astype(float), rng.random(n) < 1 / 3
    labels = {"bright": np.where(unknown, np.nan, bright), "hidden": np.where(unknown, bright, np.nan)}
    time = rng.exponential(10 / np.where(there[1], 6.0, 1.0))
    return pictures, labels, np.minimum(time, 8), (time <= 8).astype(float)


PICTURES, LABELS, TIME, EVENT = squares(N, 0)
UNSEEN = squares(120, 1)


def network(method: str = "resnet", **changes: object) -> SupervisedNetwork:
    settings = {"steps": 120, "rate": 3e-3, "precision": "32-true"} | changes
    return SupervisedNetwork(method, "tiny", **settings)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> tuple[SupervisedNetwork, Path]:
    out = tmp_path_factory.mktemp("run")
    return network().fit(PICTURES, LABELS, TIME, EVENT, out=out), out


def test_planted_squares_are_found(fitted: tuple[SupervisedNetwork, Path]) -> None:
    found = fitted[0].score(*UNSEEN)
    assert found["bright"] > 0.9
    assert found["hidden"] > 0.85
    assert found["event"] > 0.6
    pictures, _, time, event = UNSEEN
    assert fitted[0].predict_proba(pictures).shape == (120, 2)
    incidence = fitted[0].predict_incidence(pictures, [2.0, 7.0])
    assert (incidence[:, 1] >= incidence[:, 0]).all()
    assert incidence[:, 1].mean() == pytest.approx(((time <= 7) & (event == 1)).mean(), abs=0.15)


@pytest.mark.parametrize("method", ["vit", "convnext", "bi_mamba", "cnn64"])
def test_every_method_learns(method: str) -> None:
    labels = {"bright": np.where(np.isnan(LABELS["bright"]), LABELS["hidden"], LABELS["bright"])}
    truth = {"bright": np.where(np.isnan(UNSEEN[1]["bright"]), UNSEEN[1]["hidden"], UNSEEN[1]["bright"])}
    assert network(method).fit(PICTURES, labels).score(UNSEEN[0], truth)["bright"] > 0.8


@pytest.mark.parametrize("method", list(METHODS))
def test_every_method_takes_mixed_precision(method: str) -> None:
    """What a GPU is given by default."""
    made = network(method, steps=2, precision="bf16-mixed").fit(PICTURES, LABELS, TIME, EVENT)
    assert np.isfinite(made.predict_risk(UNSEEN[0])).all()
    assert next(made.network_.parameters()).dtype == torch.float32


def test_pictures_of_which_nothing_is_known_teach_nothing() -> None:
    pictures, label, validation = PICTURES[:60], LABELS["bright"][:60], np.arange(60) >= 40

    def answers(turned: np.ndarray, unknown: float = np.nan) -> np.ndarray:
        """Of a network (without batch norm) to whose training some pictures, with the same grey values, came turned."""
        seen = np.where((turned & ~validation)[:, None, None], pictures[:, ::-1], pictures)
        column = np.where(np.isnan(label), unknown, label)
        fitted = network("vit", steps=8).fit(seen, {"bright": column}, validation=validation)
        return fitted.predict_proba(UNSEEN[0][:9])

    untouched = answers(np.zeros(60, bool))
    assert answers(np.isnan(label)) == pytest.approx(untouched, abs=1e-6)
    assert np.array_equal(answers(np.zeros(60, bool), unknown=-1), untouched)
    assert np.abs(answers(~np.isnan(label)) - untouched).max() > 1e-4


def test_the_checkpoint_is_the_one_that_validates_best(fitted: tuple[SupervisedNetwork, Path]) -> None:
    lines = [json.loads(line) for line in (fitted[1] / "metrics.jsonl").read_text().splitlines()]
    checked = {line["step"]: line["validation_loss"] for line in lines if "validation_loss" in line}
    assert list(checked) == [25, 50, 75, 100, 120]
    state = torch.load(fitted[1] / "checkpoint.pt", weights_only=True)["objective"]
    assert Training(**state["_extra_state"]) == fitted[0].training_
    assert fitted[0].training_.best_loss == pytest.approx(min(checked.values()), rel=1e-6)
    assert checked[fitted[0].training_.best_step] == min(checked.values())
    kept = fitted[0].network_.state_dict()
    assert all(torch.equal(kept[name], state[f"best.{name}"]) for name in kept)


def test_killed_and_resumed_is_uninterrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = PICTURES[:60], {"bright": LABELS["bright"][:60]}, TIME[:60], EVENT[:60]
    whole = network(steps=10).fit(*arguments, out=tmp_path / "whole")

    class Killed(Exception):
        pass

    def killed(*given: object) -> None:
        fit(*given, stop_at=6)  # type: ignore[arg-type]
        raise Killed

    fit = supervised.fit
    with monkeypatch.context() as patch:
        patch.setattr(supervised, "fit", killed)
        with pytest.raises(Killed):
            network(steps=10).fit(*arguments, out=tmp_path / "cut")
    resumed = network(steps=10).fit(*arguments, out=tmp_path / "cut", resume=True)
    for name, tensor in whole.network_.state_dict().items():
        assert torch.equal(tensor, resumed.network_.state_dict()[name]), name
    assert np.array_equal(whole.predict_incidence(PICTURES, [3.0]), resumed.predict_incidence(PICTURES, [3.0]))
    with pytest.raises(InputError, match=r"another recipe \(data differ\)"):
        network(steps=10).fit(arguments[0], {"bright": 1 - arguments[1]["bright"]}, TIME[:60], EVENT[:60],
                              out=tmp_path / "cut", resume=True)  # fmt: skip


def test_a_plateau_is_a_number_of_looks_without_an_improvement_that_counts() -> None:
    training = Training()
    for steps, loss in enumerate([1.0, 0.5, 0.4999, *[0.4998] * (PATIENCE - 2)], 1):
        training.steps = steps
        training.look(loss)
    assert not training.converged
    assert (training.best_step, training.best_loss, training.counted_loss) == (4, 0.4998, 0.5)
    assert not training.look(0.6)
    assert training.converged
    assert training.look(0.4)
    assert not training.converged


def test_a_training_ends_at_its_plateau(tmp_path: Path) -> None:
    """Labels that say nothing of the pictures are soon learned as far as they can be; a resume adds nothing."""
    pictures = np.random.default_rng(3).normal(3, 0.5, (60, 8, 8)).astype(np.float32)
    label = {"chance": np.arange(60) % 2}
    ended = network("cnn64", steps=20_000).fit(pictures, label, out=tmp_path).training_
    assert ended.converged
    assert ended.best_step < ended.steps < 20_000
    again = network("cnn64", steps=20_000).fit(pictures, label, out=tmp_path, resume=True).training_
    assert again == ended


def test_seconds_end_a_training_before_its_plateau(tmp_path: Path) -> None:
    arguments = PICTURES[:40], {"bright": LABELS["bright"][:40]}
    cut = network(steps=None, seconds=1e-3).fit(*arguments, out=tmp_path)
    assert not cut.training_.converged
    assert cut.training_.steps == cut.training_.best_step == 1  # looked at once, though there was no time for a look
    assert np.isfinite(cut.predict_proba(UNSEEN[0])).all()
    again = network(steps=None, seconds=1e-3).fit(*arguments, out=tmp_path, resume=True)
    assert again.training_.steps == 1, "the seconds of the interrupted run count"


def test_what_is_kept_is_an_average() -> None:
    """Of the weights, and of what batch norms have counted."""
    average, model = torch.nn.BatchNorm1d(2), torch.nn.BatchNorm1d(2)
    model.weight.data.fill_(3.0)
    model.running_mean.fill_(1.0)
    model.num_batches_tracked.fill_(7)
    with torch.no_grad():
        follow(average, model, step=1000, decay=0.75)
    assert average.weight.tolist() == [1.5, 1.5]
    assert average.running_mean.tolist() == [0.25, 0.25]
    assert average.num_batches_tracked == 7


def test_both_predictions_at_once(fitted: tuple[SupervisedNetwork, Path]) -> None:
    probability, risk = fitted[0].predict(PICTURES[:9])
    assert np.array_equal(probability, fitted[0].predict_proba(PICTURES[:9]))
    assert np.array_equal(risk, fitted[0].predict_risk(PICTURES[:9]))


def test_networks_on_disk(fitted: tuple[SupervisedNetwork, Path], tmp_path: Path) -> None:
    one = fitted[0]
    one.save(tmp_path / "saved")
    assert sorted(p.name for p in (tmp_path / "saved").iterdir()) == ["config.json", "curve.npz", "network.safetensors"]
    read = SupervisedNetwork.load(tmp_path / "saved")
    assert (read.labels_, read.evidence_level, read.training_) == (one.labels_, one.evidence_level, one.training_)
    assert np.array_equal(read.predict_proba(PICTURES[:9]), one.predict_proba(PICTURES[:9]))
    assert np.array_equal(read.predict_incidence(PICTURES[:9], [1.0]), one.predict_incidence(PICTURES[:9], [1.0]))
    path = tmp_path / "saved" / "network.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(InputError, match="sha256"):
        SupervisedNetwork.load(tmp_path / "saved")
    with pytest.raises(InputError, match="gone is no usable supervised network"):
        SupervisedNetwork.load(tmp_path / "gone")


def test_a_network_of_virtual_patients_refuses_a_real_radiograph(
    fitted: tuple[SupervisedNetwork, Path], tmp_path: Path
) -> None:
    fitted[0].save(tmp_path / "virtual")
    for one in (fitted[0], SupervisedNetwork.load(tmp_path / "virtual")):
        for ask in (
            one.predict_proba,
            one.predict_risk,
            lambda x, evidence_level, one=one: one.predict_incidence(x, [1], evidence_level),
        ):
            with pytest.raises(UsageError, match="refuses a real radiograph"):
                ask(PICTURES[:2], evidence_level=RADIOGRAPH)
    real = network(steps=1, evidence_level=RADIOGRAPH).fit(PICTURES[:40], {"bright": LABELS["bright"][:40]})
    real.save(tmp_path / "real")
    assert SupervisedNetwork.load(tmp_path / "real").predict_proba(PICTURES[:2], evidence_level=RADIOGRAPH).shape == (
        2,
        1,
    )


def test_public_weights_are_the_beginning(tmp_path: Path) -> None:
    torch.manual_seed(5)
    vit = METHODS["vit"]
    public = vit(vit.SIZES["tiny"])
    save_file(public.state_dict(), tmp_path / "public.safetensors")
    begun = network("vit", steps=1, rate=1e-12, weights=tmp_path / "public.safetensors")
    begun.fit(PICTURES[:40], {"bright": LABELS["bright"][:40]})
    own = begun.network_.backbone.state_dict()
    for name, tensor in public.state_dict().items():
        torch.testing.assert_close(own[name], tensor, msg=name)


def test_refusals(fitted: tuple[SupervisedNetwork, Path]) -> None:
    pictures, label = PICTURES[:40], np.arange(40) % 2
    with pytest.raises(InputError, match="a: 32 of the 32 training pictures"):
        network().fit(pictures, {"a": np.ones(40)})
    with pytest.raises(InputError, match="of the 20 validation pictures"):
        network().fit(pictures, {"a": np.where(np.arange(40) < 20, label, 0)}, validation=np.arange(40) >= 20)
    with pytest.raises(InputError, match="fewer than 4 validation"):
        network().fit(pictures, {}, np.arange(40.0), (np.arange(40) < 3).astype(float))
    with pytest.raises(InputError, match="20 patients have pictures on both sides"):
        network().fit(pictures, {"a": label}, patients=np.arange(40) // 2, validation=label == 1)
    with pytest.raises(InputError, match="40 pictures want as many patients"):
        network().fit(pictures, {"a": label}, validation=np.arange(40))
    with pytest.raises(InputError, match="NaN"):
        network().fit(np.full((40, 8, 8), np.nan), {"a": label})
    with pytest.raises(InputError, match=r"pictures \(n, h, w\)"):
        network().fit(pictures[0], {"a": label})
    with pytest.raises(UsageError, match="budget"):
        network(seconds=3).fit(pictures, {"a": label})
    with pytest.raises(UsageError, match=r"batch 0 and rate 0\.0005"):
        SupervisedNetwork(size="tiny", steps=1, batch=0).fit(pictures, {"a": label})
    with pytest.raises(UsageError, match="--device tpu is not available"):
        SupervisedNetwork(size="tiny", steps=1, device="tpu").fit(pictures, {"a": label})
    with pytest.raises(InputError, match=r"pictures \(n, h, w\), got list"):
        network().fit(pictures.tolist(), {"a": label})
    with pytest.raises(UsageError, match="name the folder"):
        network().fit(pictures, {"a": label}, resume=True)
    with pytest.raises(UsageError, match="holds a run"):
        network().fit(pictures, {"a": label}, out=fitted[1])
    with pytest.raises(UsageError, match="not fitted"):
        network().predict_proba(pictures)
    with pytest.raises(UsageError, match="no times and events"):
        network(steps=1).fit(pictures, {"a": label}).predict_risk(pictures)
    with pytest.raises(InputError, match="NaN"):
        fitted[0].predict_proba(np.full((2, SIDE, SIDE), np.nan))
    with pytest.raises(InputError, match="taught bright, hidden, not edema"):
        fitted[0].score(pictures, {"edema": label})
    with pytest.raises(InputError, match="two classes"):
        fitted[0].score(pictures, {"bright": np.ones(40)})


def test_patients_are_held_out_whole() -> None:
    owner = np.repeat(np.arange(10), 4)
    train, held = supervised._split(40, owner, None, 0)
    assert len(held) == 8
    assert set(owner[train]).isdisjoint(owner[held])
    assert sorted([*train, *held]) == list(range(40))


def test_training_pictures_move_a_little_and_are_not_mirrored() -> None:
    picture = torch.zeros(64, 40, 60)
    picture[:, 10:14, 10:14] = 1.0
    shown = moved(picture, torch.Generator().manual_seed(0))
    assert (shown[:, :20, :30].sum(dim=(1, 2)) > 10).all()
    assert shown[:, 20:].sum() == shown[:, :, 30:].sum() == 0
    rows = (shown.sum(dim=2) * torch.arange(40)).sum(dim=1) / shown.sum(dim=(1, 2))
    columns = (shown.sum(dim=1) * torch.arange(60)).sum(dim=1) / shown.sum(dim=(1, 2))
    assert rows.mean().item() == pytest.approx(11.5, abs=0.5)
    assert columns.mean().item() == pytest.approx(11.5, abs=0.7)
    assert 0.5 < rows.std() < 2.5
    assert 0.5 < columns.std() < 3.5


def test_grey_values_and_the_networks_scale() -> None:
    mean, sd = grey_values(PICTURES, np.arange(200))
    assert (mean, sd) == pytest.approx((PICTURES[:200].mean(), PICTURES[:200].std()), rel=1e-4)
    backbone = METHODS["resnet"](METHODS["resnet"].SIZES["tiny"])
    ours, stretched = MultiTaskNetwork(backbone, 1, mean, sd), MultiTaskNetwork(backbone, 1, 7 * mean, 7 * sd)
    stretched.heads = ours.heads
    torch.testing.assert_close(stretched.answers(7 * PICTURES[:4]), ours.answers(PICTURES[:4]), atol=1e-4, rtol=1e-4)
