"""How large the sizes are, and how fast they train: views and tokens per second, and the share of the matrix peak.

    python -m benchmarks.training --sizes-only
    python -m benchmarks.training [--sizes tiny small base large] [--batch N] [--rounds 3] [--device cpu] [--json FILE]

Real steps of training (draw, forward, backward, clipping, AdamW, moving average) on made-up views, as in the middle of
each stage: V with its codebook and before its critic, `direct` with its pixel loss. The peak is a large matrix product
in the same precision and run; FLOPs are counted by `benchmarks/flops.py`. A view is one that V reconstructs, or one
that M predicts. Batches are smaller than the presets' so that a CPU gets through. One thread is timed by the
processor's clock.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from benchmarks import flops
from benchmarks.timing import taking_turns
from xray2xray.io.files import write_json
from xray2xray.models.transitions import AutoregressiveTransition, DirectTransition
from xray2xray.models.vision import VisionModel
from xray2xray.projection.geometry import STANDARD_ARC
from xray2xray.training.objective import Objective
from xray2xray.training.objectives.autoregressive import AutoregressiveObjective
from xray2xray.training.objectives.direct import DirectObjective
from xray2xray.training.objectives.vision import VisionObjective
from xray2xray.training.precision import resolve_precision
from xray2xray.training.presets import Preset, preset
from xray2xray.training.steps import Machine, Steps

STAGES = ("vision", "direct", "autoregressive")
SIZES = ("tiny", "small", "base", "large")
BATCHES = {"tiny": 12, "small": 4, "base": 1, "large": 1}
PEAK_SIDE = {"cpu": 1024, "cuda": 8192}


def networks(chosen: Preset) -> dict[str, nn.Module]:
    """The three networks of a size, by stage."""
    return {
        "vision": VisionModel(chosen.vision),
        "direct": DirectTransition(chosen.stages["direct"].network),
        "autoregressive": AutoregressiveTransition(chosen.stages["autoregressive"].network),
    }


def size_row(chosen: Preset) -> dict[str, float]:
    """Parameters in millions, memory in GB and GFLOP per view of one size; nothing is allocated.

    `stored_gb`: all that a float16 folder holds. `training_gb`: float32 weights, gradients, both moments and the moving
    average of the largest stage, without activations.
    """
    with torch.device("meta"):
        built = networks(chosen)
    row: dict[str, float] = {}
    state = []
    for stage, network in built.items():
        learned = sum(p.numel() for p in network.parameters())
        row[f"{stage}_millions"] = learned / 1e6
        state.append(4 * learned * (4 if stage == "vision" else 5))
    row["stored_gb"] = 2 * sum(t.numel() for network in built.values() for t in network.state_dict().values()) / 1e9
    row["training_gb"] = max(state) / 1e9
    others = len(STANDARD_ARC) - 1
    return row | {
        "encode_gflop": flops.encoder(chosen.vision) / 1e9,
        "decode_gflop": flops.decoder(chosen.vision) / 1e9,
        "direct_gflop": flops.direct(chosen.stages["direct"].network, others) / others / 1e9,
        "autoregressive_gflop": flops.autoregressive(chosen.stages["autoregressive"].network) / 1e9,
    }


def made_up(stage: str, chosen: Preset, patients: int = 2) -> Objective:
    """The objective of a stage on random views, as in the middle of its training."""
    random, config, training = np.random.default_rng(0), chosen.vision, chosen.stages[stage].training
    views = random.integers(0, 40_000, (patients, len(STANDARD_ARC), config.size, config.size), np.uint16)
    torch.manual_seed(0)
    vision = VisionModel(config)
    vision.codebook.ready.fill_(True)
    if stage == "vision":
        return VisionObjective(vision, views, torch.ones(patients), views[0, :1], training)
    shape = (patients, len(STANDARD_ARC), config.tokens)
    if stage == "direct":
        latents = random.normal(size=(*shape, config.latent_dim)).astype(np.float16)
        return DirectObjective(
            DirectTransition(chosen.stages["direct"].network), vision, latents, views, torch.ones(patients), training
        )
    tokens = random.integers(0, config.codebook_size, shape, np.int32)
    gpt = AutoregressiveTransition(chosen.stages["autoregressive"].network)
    return AutoregressiveObjective(gpt, vision, tokens, views, torch.ones(patients), training)


def matrix_peak(precision: str, device: str) -> float:
    """FLOP/s of a large product in the precision of the training: the fastest of 20, as others use the machine too."""
    side = PEAK_SIDE["cuda" if device.startswith("cuda") else "cpu"]
    dtype = torch.bfloat16 if "bf16" in precision else torch.float32
    left, right = (torch.ones(side, side, dtype=dtype, device=device) for _ in range(2))
    return 2.0 * side**3 / min(taking_turns({"product": lambda: left @ right}, 1, device)["product"] for _ in range(20))


def speed_row(stage: str, chosen: Preset, batch: int, rounds: int, device: str) -> dict[str, float | str]:
    """Views and tokens per second of one stage, its TFLOP/s and that of a large matrix product in the same run."""
    batch = max(2, batch) if stage == "vision" else batch  # V quantises half of each batch
    loop = replace(chosen.stages[stage].loop, batch=batch)
    objective, precision = made_up(stage, chosen), resolve_precision("auto", device)
    steps = Steps(objective, loop, Machine(device=device, precision=precision))
    numbers = iter(range(loop.steps // 2 + 1, loop.steps))  # not a multiple of 100, at which V revives entries
    seconds = taking_turns({"step": lambda: steps(next(numbers))}, rounds, device)["step"]
    views = batch * (chosen.stages["direct"].training.targets if stage == "direct" else 1)
    reached, peak = flops.training_step(stage, chosen, batch) / seconds, matrix_peak(precision, device)
    return {
        "size": chosen.name,
        "stage": stage,
        "precision": precision,
        "batch": batch,
        "s_per_step": seconds,
        "views_per_s": views / seconds,
        "tokens_per_s": views * chosen.vision.tokens / seconds,
        "tflop_per_s": reached / 1e12,
        "peak_tflop_per_s": peak / 1e12,
        "share_of_peak": reached / peak,
    }


def show_sizes(sizes: dict[str, Preset], console: Console) -> dict[str, dict[str, float]]:
    rows = {size: size_row(chosen) for size, chosen in sizes.items()}
    table = Table(title="sizes")
    for heading in ("", *sizes):
        table.add_column(heading, justify="right" if heading else "left")
    for name in next(iter(rows.values())):
        table.add_row(name.replace("_", ", "), *(f"{rows[size][name]:.3g}" for size in sizes))
    console.print(table)
    return rows


def main(arguments: list[str] | None = None) -> dict:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=list(SIZES), choices=SIZES)
    parser.add_argument("--stages", nargs="+", default=list(STAGES), choices=STAGES)
    parser.add_argument("--sizes-only", action="store_true", help="the table of sizes; nothing is trained")
    parser.add_argument("--batch", type=int, help="of every size (default 12, 4, 1, 1)")
    parser.add_argument("--width", type=int, help="of the transformers, V in proportion; less than a size's own to fit")
    parser.add_argument("--rounds", type=int, default=3, help="steps that are timed (default 3)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    console = Console()
    sizes = {size: preset(size, options.width) for size in options.sizes}
    result: dict = {"sizes": show_sizes(sizes, console), "threads": options.threads, "speed": []}
    if not options.sizes_only:
        table = Table(title=f"training, {options.device}, {options.threads} thread(s)")
        for heading in ("size", "stage", "precision", "batch", "views/s", "tokens/s", "TFLOP/s", "share of peak"):
            table.add_column(heading, justify="left" if heading in ("size", "stage", "precision") else "right")
        for size, chosen in sizes.items():
            for stage in options.stages:
                row = speed_row(stage, chosen, options.batch or BATCHES[size], options.rounds, options.device)
                result["speed"].append(row)
                cells = (f"{row['views_per_s']:.3g}", f"{row['tokens_per_s']:.3g}", f"{row['tflop_per_s']:.3g}")
                share = f"{100 * float(row['share_of_peak']):.0f} %"
                table.add_row(chosen.name, stage, str(row["precision"]), str(row["batch"]), *cells, share)
        console.print(table)
    if options.json:
        write_json(options.json, result)
    return result


if __name__ == "__main__":
    main()
