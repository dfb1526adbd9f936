"""What methods read: sets of numbers for each study. Another joins by a line in `FEATURES` or `ENCODERS`."""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from ...core.errors import InputError, UsageError, reading
from ...io.files import atomic_path
from ...io.model_folder import FORMAT as WORLD_MODEL
from ...io.model_folder import folder_of, sha256
from ...io.npz import read_npz
from ...parallel.progress import progress
from ...probing.probe import block_means
from ..pretraining.encoder_file import FORM as PRETRAINED
from ..supervised.backbones.public_encoders import WEIGHTS, is_public
from .cohort import Cohort

if TYPE_CHECKING:
    from ...models.world_model import WorldModel

Array = NDArray[np.floating]
BATCH = 64
LATERAL_DEG = 90.0
TABLE = ".npz"  # of features, in place of an encoder's folder
PENALTIES = tuple(np.logspace(1, 6, 11))  # of `_read_factors`, beside thousands of standardised latents


class Encoder(Protocol):
    """What turns views p (n, h, w) into features (n, d)."""

    def features(self, views_p: Array, /) -> Array: ...


def _world_model(folder: Path, device: str) -> Encoder:
    from ...models.world_model import WorldModel

    return WorldModel.from_pretrained(folder, "direct", device)


def _pretrained(folder: Path, device: str) -> Encoder:
    from ..pretraining.encoder_file import load_encoder

    return load_encoder(folder).to(device)


# how an encoder's folder is opened, by the `format` of its config.json
ENCODERS: dict[str, Callable[[Path, str], Encoder]] = {WORLD_MODEL: _world_model, PRETRAINED: _pretrained}


@dataclass(eq=False)
class Bench:
    """A cohort, the models that look at it, and a folder that keeps what they saw.

    Args:
        source: the world model, as `WorldModel.from_pretrained` takes it.
        encoders: further encoders' folders by name: controls of the world model, self-supervised baselines; or a
            table of features that `embed` wrote (.npz).
        form: of M.
    """

    cohort: Cohort
    source: str | Path
    folder: Path
    device: str = "cpu"
    encoders: Mapping[str, Path] = field(default_factory=dict)
    form: str = "direct"

    @cached_property
    def model(self) -> "WorldModel":
        from ...models.world_model import WorldModel

        return WorldModel.from_pretrained(self.source, self.form, self.device)

    @cached_property
    def frontals(self) -> Array:
        return self.views(0.0)

    def views(self, yaw_deg: float) -> Array:
        """The views p (n, size, size) of every study from one angle, read once. Raises as `Cohort.views_at`."""
        return self._kept(f"views_{yaw_deg:g}", self.cohort.digest, lambda: self.cohort.views_at(yaw_deg))

    def features(self, name: str) -> Array:
        """The features (n, d) of every study, read once.

        Raises:
            UsageError: there are none of that name.
        """
        return self._kept(name, self.fingerprint(name), lambda: [self._read(name)])

    def joined(self, names: Sequence[str]) -> tuple[NDArray[np.float64], list[int]]:
        """The features (n, d) of several names side by side, float64, and how many each has."""
        sets = [np.asarray(self.features(name), np.float64) for name in names]
        return np.concatenate(sets, axis=1), [one.shape[1] for one in sets]

    def encoded(self, name: str) -> Array:
        """The features and then the tokens (n, 1 + t, width) of an encoder of `training.pretrain`, read once."""

        def read() -> Iterable[Array]:
            from ..pretraining.encoder_file import load_encoder
            from ..pretraining.glori import encode

            encoder = load_encoder(self.encoders[name]).to(self.device)
            return [through(lambda views: encode(encoder, views), self.frontals, f"{name} token")]

        return self._kept(f"{name}_tokens", self.fingerprint(name), read)

    def _kept(self, name: str, digest: str, read: Callable[[], Iterable[Array]]) -> Array:
        """What `read` gives, part after part, as one array on disk: a cohort's frontals may not fit in memory."""
        kept = self.folder / f"{re.sub(r'[^A-Za-z0-9.]', '_', name)}-{digest[:12]}.npy"
        if not kept.is_file():
            with atomic_path(kept) as temporary:
                row, whole = 0, None
                for part in read():
                    if whole is None:
                        shape = (len(self.cohort.studies), *part.shape[1:])
                        whole = np.lib.format.open_memmap(temporary, "w+", part.dtype, shape)
                    whole[row : row + len(part)] = part
                    row += len(part)
        return np.load(kept, mmap_mode="r", allow_pickle=False)

    def fingerprint(self, name: str) -> str:
        """SHA-256 of what the features of a name follow from."""
        models = ""
        if name in self.encoders:
            models = _weights(self.encoders[name])
        elif feature_set(name).model:
            models = f"{self.form} {_weights(folder_of(self.source))}"
        return hashlib.sha256(f"{self.cohort.digest} {name} {models}".encode()).hexdigest()

    def _read(self, name: str) -> Array:
        if name in self.encoders and self.encoders[name].suffix == TABLE:
            return features_in(self.encoders[name], self.cohort.studies)
        if name in self.encoders:
            return through(open_encoder(self.encoders[name], self.device).features, self.frontals, name)
        depth = name.partition("@")[2]
        return feature_set(name).read(self, int(depth) if depth else None)


def features_in(path: Path, studies: Sequence[str]) -> Array:
    """The features (n, d) of these studies in a table that `embed` wrote, or any with arrays `study` and `features`.

    Raises:
        InputError: it cannot be read, or lacks a study.
    """
    arrays = read_npz(path, "is no table of features", "make it with `xray2xray embed STORE --out FILE.npz`")
    with reading(path, "is no table of features", "make it with `xray2xray embed STORE --out FILE.npz`"):
        row = {str(study): i for i, study in enumerate(arrays["study"])}
        found: Array = arrays["features"]
        if found.ndim != 2 or len(found) != len(arrays["study"]):
            raise ValueError(f"features {found.shape} of {len(row)} studies")
    if lacking := [study for study in studies if study not in row]:
        raise InputError(f"{path}: no features of {len(lacking)} studies, first {lacking[0]}; embed the whole store")
    return found[[row[study] for study in studies]]


def format_of(folder: Path) -> str:
    """Which of `ENCODERS` a folder holds. Raises InputError if its config.json names none of them."""
    if folder.suffix == TABLE and folder.is_file():
        return TABLE
    if is_public(folder):
        return PRETRAINED
    try:
        name: str = json.loads((folder / "config.json").read_text(encoding="utf-8"))["format"]
        ENCODERS[name]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder} holds no encoder that can be read here (config.json: {error})") from None
    return name


def open_encoder(folder: Path, device: str) -> Encoder:
    """Raises InputError as `format_of`, or if the folder's files are damaged."""
    return ENCODERS[format_of(folder)](folder, device)


def through(look: Callable[[Array], Array], views_p: Array, name: str) -> Array:
    starts = progress(range(0, len(views_p), BATCH), f"{name} features")
    return np.concatenate([look(np.array(views_p[i : i + BATCH])) for i in starts])


def _weights(folder: Path) -> str:
    """The hashes of a model's weights; only of its safetensors, where there are any."""
    if folder.is_file():
        return sha256(folder)
    files = [path for path in sorted(folder.glob("*")) if path.suffix in WEIGHTS]
    safe = [path for path in files if path.suffix == ".safetensors"]
    return " ".join(f"{path.name} {sha256(path)}" for path in safe or files)


# ---------------------------------------------------------------- the sets


@dataclass(frozen=True)
class FeatureSet:
    """How features are read, and what that takes.

    Attributes:
        read: bench and depth (None: all blocks) -> (n, d).
        model: whether the world model reads them, and of which kind its tokens are.
        picture: whether a picture is seen at all.
        privileged: whether they know what no frontal view, age and sex can.
    """

    about: str
    read: Callable[[Bench, int | None], Array]
    model: str = ""
    picture: bool = True
    privileged: bool = False


def feature_set(name: str) -> FeatureSet:
    """The set of a name; `hidden@3` is `hidden` at depth 3.

    Raises:
        UsageError: there is none, or it has no depth.
    """
    base, at, depth = name.partition("@")
    if base not in FEATURES or (at and not (base in ("hidden", "volumetric") and depth.isdecimal())):
        known = ", ".join(FEATURES)
        raise UsageError(f"there are no features {name!r}: there are {known}, with a depth hidden@3 or volumetric@3")
    return FEATURES[base]


def _imagined(kind: str) -> Callable[[Bench, int | None], Array]:
    def read(bench: Bench, depth: int | None) -> Array:
        return through(lambda views: bench.model.features(views, kind, depth=depth), bench.frontals, kind)

    return read


def _lateral(bench: Bench, depth: int | None) -> Array:
    views = bench.views(LATERAL_DEG)
    return through(lambda some: bench.model.features(some, "vision", LATERAL_DEG), views, "lateral")


def _clinical(name: str) -> Callable[[Bench, int | None], Array]:
    def read(bench: Bench, depth: int | None) -> Array:
        from . import clinical

        return getattr(clinical, name)(bench.cohort)

    return read


def _pixels(bench: Bench, depth: int | None) -> Array:
    return through(block_means, bench.frontals, "pixels")


def _read_factors(bench: Bench, depth: int | None) -> Array:
    """The true factors as ridge regression reads them from the frontal, learned from all training patients."""
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    seen, factors = (np.asarray(bench.features(name), np.float64) for name in ("vision", "factors"))
    train = bench.cohort.rows("train")
    ridge = make_pipeline(StandardScaler(), RidgeCV(PENALTIES, alpha_per_target=True))
    return ridge.fit(seen[train], factors[train]).predict(seen)


FEATURES: dict[str, FeatureSet] = {
    "age_sex": FeatureSet("age and sex", _clinical("age_sex"), picture=False),
    "measured": FeatureSet(
        "CTR, aortic width and lung area in 3D", _clinical("measured"), picture=False, privileged=True
    ),
    "factors": FeatureSet("true 3D factors", _clinical("factors"), picture=False, privileged=True),
    "read_factors": FeatureSet(
        "true 3D factors, as ridge regression reads them from V's latents",
        _read_factors,
        model="ridge",
        privileged=True,
    ),
    "pixels": FeatureSet("pixels, 32 x 32", _pixels),
    "vision": FeatureSet("V's latents", _imagined("vision"), model="vision"),
    "hidden": FeatureSet("M's hidden states", _imagined("hidden"), model="hidden"),
    "volumetric": FeatureSet("V's latents and M's hidden states", _imagined("volumetric"), model="volumetric"),
    "lateral": FeatureSet("V's latents of the true lateral", _lateral, model="vision", privileged=True),
}
