"""The card of a model folder, README.md: written from the folder's own facts, with its author's words after them."""

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open

from ..core.errors import reading
from ..core.version import VERSION
from ..io.model_folder import read_config
from ..io.text import read_json, read_text
from .transitions.registry import PARTS, forms

END = "<!-- end of what xray2xray export wrote; write below -->"
_KNOWN = ("format", "version", "sha256", "files", "onnx", "licence", *PARTS)
Json = Mapping[str, Any]


def model_card(folder: Path, results: Json | None = None) -> str:
    """README.md of a model folder, with the front matter that a Hugging Face hub reads.

    Args:
        folder: what it holds, how it was trained and its licence are read from config.json and the files' headers. What
            stands below the mark `END` of its README.md, or all of one without that mark, is kept.
        results: content of a views.json of `evaluate views`; means only, since its cases may be named after patients.

    Raises:
        InputError: a file of the folder cannot be read.
    """
    config = read_config(folder)
    licence = config.get("licence")
    form = next((name for name in forms() if name in config), "none")
    head = (
        f"---\nlicense: {re.sub(r'[^a-z0-9.-]+', '-', str(licence or 'other').lower())}\nlibrary_name: xray2xray\n"
        "pipeline_tag: image-to-3d\n"
        "tags: [medical-imaging, chest-x-ray, computed-tomography, world-model, novel-view-synthesis]\n---"
    )
    example = (
        "```python\nfrom xray2xray import Session\n\n"
        'result = Session.open("ORGANISATION/NAME@COMMIT").analyse("chest.png", volume_size=128)\n```'
    )
    rows = "\n".join(_parts(folder, config)), "\n".join(f"| {key} | {_cell(value)} |" for key, value in _notes(config))
    parts = [
        head,
        f"# A world model of the chest (Xray2Xray {VERSION})",
        "From one frontal chest radiograph: the views from all other angles, and a volume. Research use only, not a "
        "medical device: what one view leaves open the model fills in plausibly.",
        example,
        "## What it is",
        f"Default form of M: `{form}`. The sha256 of every file stands in config.json and is checked on loading; "
        "weights are safetensors, which hold numbers and no code.",
        f"| part | numbers | MiB | sha256 |\n|---|---:|---:|---|\n{rows[0]}",
        "## Training",
        f"| | |\n|---|---|\n{rows[1]}",
        "## Results",
        _results(results) if results else "None are given here: measure them with `xray2xray evaluate views`.",
        "## Licence",
        f"{_cell(licence)}." if licence else "Not stated: ask its author before you use it.",
        END,
        _authors_words(folder),
    ]
    return "\n\n".join(parts).rstrip() + "\n"


def _parts(folder: Path, config: Json) -> Iterator[str]:
    for name, sha in config.get("sha256", {}).items():
        path = folder / f"{name}.safetensors"
        if path.is_file():
            with reading(path, "is no file of weights", "copy it again"), safe_open(path, "pt") as file:
                shapes = [file.get_slice(key).get_shape() for key in file.keys()]  # noqa: SIM118 (no mapping)
            yield f"| `{name}` | {sum(map(math.prod, shapes)):,} | {path.stat().st_size / 2**20:.1f} | `{sha[:16]}` |"


def _notes(config: Json) -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if key not in _KNOWN and not key.endswith("_of"):
            yield key.replace("_", " "), value


def _cell(value: Any) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{key.replace('_', ' ')}: {_cell(one)}" for key, one in value.items())
    if isinstance(value, list):
        return ", ".join(map(_cell, value))
    return " ".join(str(value).split()).replace("|", "\\|")


def _results(results: Json) -> str:
    """Far from the input, by evidence level; from the layout of views.json."""
    rows = [
        "*Far*: views at least 30 degrees from the given one. R2 is skill over the mean view at that angle. Brackets: "
        "95 % patient-bootstrap intervals.\n",
        "| evidence level | cases | predictor | PSNR far, dB | R2 far | over the best baseline, dB |",
        "|---|---:|---|---:|---:|---:|",
    ]
    with reading("views.json", "is no table of `xray2xray evaluate views`", "give the views.json that it wrote"):
        levels = results.get("groups") or {results["cases"][0]["evidence_level"]: results}
        for level, found in levels.items():
            for name, one in {**found["models"], **found["baselines"]}.items():
                gain = (found.get("over_best") or {}).get(name)
                rows.append(
                    f"| {level} | {found['n']} | `{name}` | {one['psnr']['mean_beyond_30']:.2f} | "
                    f"{one['r2']['mean_beyond_30']:.3f}{_interval(one['r2'].get('ci95_beyond_30'), 3)} | "
                    + (f"{gain['mean']:+.2f}{_interval(gain['ci95'], 2)} |" if gain else "|")
                )
    return "\n".join(rows)


def _interval(interval: list[float] | None, digits: int) -> str:
    return f" [{interval[0]:.{digits}f}, {interval[1]:.{digits}f}]" if interval else ""


def _authors_words(folder: Path) -> str:
    path = folder / "README.md"
    if not path.is_file():
        return ""
    with reading(path, "is no text"):
        return read_text(path).rpartition(END)[2].strip()


def read_results(path: str | Path) -> Json:
    """A views.json.

    Raises:
        InputError: it cannot be read.
    """
    return read_json(path, remedy="give the views.json that `xray2xray evaluate views` wrote")
