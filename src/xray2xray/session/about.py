"""What `xray2xray info` says: versions, the machine, and whether the packaged weights are whole."""

import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import Any

from ..core.errors import InputError
from ..core.version import VERSION

_PACKAGES = ("torch", "numpy", "numba", "nibabel", "pydicom", "lightning-fabric", "safetensors")


def about() -> dict[str, Any]:
    """Everything as plain values, ready for JSON."""
    return {
        "xray2xray": VERSION,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": versions(),
        "machine": _machine(),
        "weights": _weights(Path(str(files("xray2xray"))) / "weights"),
    }


def versions() -> dict[str, str]:
    """Of the packages whose version may change a number."""
    return {name: _version(name) for name in _PACKAGES}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def _machine() -> dict[str, Any]:
    import torch

    from ..core.device import pick_device
    from ..training.precision import bfloat16_speedup, resolve_precision

    device = pick_device("auto")
    facts: dict[str, Any] = {"device": device, "cores": os.cpu_count(), "threads": torch.get_num_threads()}
    if device.startswith("cuda"):
        facts["device_name"] = torch.cuda.get_device_name(0)
    facts["precision"] = resolve_precision("auto", device)
    if device == "cpu":
        facts["bfloat16_speedup"] = round(bfloat16_speedup(), 2)
    return facts


def _weights(folder: Path) -> dict[str, Any]:
    """The packaged models by name, and the file of baselines."""
    found: dict[str, Any] = {path.parent.name: _model(path.parent) for path in sorted(folder.glob("*/config.json"))}
    if (folder / "baselines.npz").is_file():
        found["baselines"] = _baselines(folder / "baselines.npz")
    return found


def _model(folder: Path) -> dict[str, Any]:
    from ..io.model_folder import read_config, sha256
    from ..models.input_statistics import FILE, PART
    from ..models.transitions.registry import PARTS

    try:
        config = read_config(folder)
    except InputError as error:
        return {"ok": False, "problem": str(error)}
    parts, known = {}, dict.fromkeys([*PARTS, *config.get("sha256", {})])
    for part in known:
        path = folder / (FILE if part == PART else f"{part}.safetensors")
        if part in config or path.exists():
            found = sha256(path) if path.is_file() else None
            wanted = config.get("sha256", {}).get(part)
            size = round(path.stat().st_size / 2**20, 1) if found else None
            parts[part] = {"sha256": found, "ok": found is not None and found == wanted, "mib": size}
    card = {key: value for key, value in config.items() if key not in ("format", "version", "sha256", *known)}
    text = next((path for path in sorted(folder.glob("*.md"))), None)
    if text is not None:
        card |= {"file": str(text), "title": _title(text)}
    return {"ok": all(part["ok"] for part in parts.values()), "parts": parts, "card": card}


def _title(card: Path) -> str:
    """The first line of a model card."""
    return card.read_text(encoding="utf-8").lstrip().split("\n", 1)[0].lstrip("# ")


def _baselines(path: Path) -> dict[str, Any]:
    from ..evaluation.baselines import Baselines

    try:
        baselines = Baselines.load(path)
    except InputError as error:
        return {"ok": False, "problem": str(error)}
    geometry = baselines.geometry
    return {"ok": True, "patients": len(baselines.seeds), "geometry": geometry.name, "size": geometry.size}


def as_text(facts: Mapping[str, Any]) -> str:
    """The same for people."""
    machine = facts["machine"]
    device = machine.get("device_name", machine["device"])
    speedup = machine.get("bfloat16_speedup")
    measured = f" (bfloat16 is {speedup:g} times as fast as float32)" if speedup else ""
    lines = [
        f"xray2xray {facts['xray2xray']}, Python {facts['python']}, {facts['platform']}",
        "  " + ", ".join(f"{name} {number}" for name, number in facts["packages"].items()),
        f"  device {device}, {machine['cores']} cores, {machine['threads']} threads, "
        f"precision {machine['precision']}{measured}",
        "weights" if facts["weights"] else "weights: none packaged; train some with `xray2xray train`",
    ]
    for name, model in facts["weights"].items():
        lines.append(f"  {name}: {'whole' if model['ok'] else 'NOT USABLE'}" + _model_text(model))
    return "\n".join(lines)


def _model_text(model: Mapping[str, Any]) -> str:
    if "problem" in model:
        return f" ({model['problem']})"
    if "parts" not in model:
        return f" ({model['patients']} patients, {model['geometry']} geometry, {model['size']} pixels)"
    lines = [""]
    for part, facts in model["parts"].items():
        state = f"sha256 {facts['sha256'][:12]} ok" if facts["ok"] else "sha256 WRONG" if facts["sha256"] else "MISSING"
        lines.append(f"    {part:<15} {facts['mib'] or 0:5.1f} MiB  {state}")
    lines += [f"    {key}: {value}" for key, value in model["card"].items() if isinstance(value, str | int | float)]
    return "\n".join(lines)
