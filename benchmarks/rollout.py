"""How fast the paper's form writes views: with its cache, without one, and how far from the floor.

    python -m benchmarks.rollout [--sizes tiny base] [--batches 1 16] [--steps 18] [--threads 1] [--json FILE]

The first table: ms per token, a token for each patient and both directions at once. A view has more tokens than a loop
without a cache can be waited for, so a few places of the view are timed, evenly spaced, and averaged; with the cache
the pass over the prompt is shared out to the tokens. The floor is the time it takes to read once, by summing them up in
the same run, as many bytes as the weights and the keys and values that a token needs.

The second: the roll-out of a virtual patient (the packaged weights), and `imagine` of 36 views with the direct form.

Times are medians over rounds in which all take turns, so that a busy machine slows them alike: of the processor with
one thread, of the clock with more.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.timing import taking_turns
from xray2xray.evaluation.cases import sources
from xray2xray.io.files import write_json
from xray2xray.models.transitions import AutoregressiveTransition
from xray2xray.models.world_model import WorldModel
from xray2xray.projection import STANDARD_ARC, render
from xray2xray.projection import preset as geometry_preset
from xray2xray.training.precision import bfloat16_speedup
from xray2xray.training.presets import preset

WAYS = 2  # -5 and +5 degrees, one batch


def weights_read(model: AutoregressiveTransition) -> int:
    """Bytes of weights that one token needs: blocks, last norm and logits (of the other embeddings a row each)."""
    parts = (model.blocks, model.norm, model.embed)
    return sum(p.numel() * p.element_size() for part in parts for p in part.parameters())


def cache_read(model: AutoregressiveTransition, batch: int) -> int:
    """Bytes of keys and values that one token needs, on average over a view."""
    config = model.config
    positions = config.context_views * config.tokens + 1 + (config.tokens - 1) / 2
    return int(2 * config.layers * batch * positions * config.dim * model.embed.weight.element_size())


@torch.no_grad()
def per_token(model: AutoregressiveTransition, patients: int, places: int, rounds: int) -> dict[str, float]:
    """Median ms per token without a cache, with one, and of the floor; and how far their logits are apart."""
    config, batch = model.config, WAYS * patients
    generator = torch.Generator().manual_seed(0)
    context = torch.randint(config.codebook_size, (batch, config.context_views, config.tokens), generator=generator)
    written = torch.randint(config.codebook_size, (batch, config.tokens - 1), generator=generator)
    direction = torch.arange(WAYS).repeat_interleave(patients)
    whole, cached = model.reader(context, direction), model.reader(context, direction, caches=model.caches())
    cached(written, 0)  # what lies before a place is in the caches from here on
    looked_at = np.linspace(1, config.tokens - 1, places).astype(int).tolist()
    bytes_read = weights_read(model) + cache_read(model, batch)
    buffer = torch.ones(bytes_read // 4)
    runs: dict[str, Callable[[], object]] = {"prompt": lambda: cached(written[:, :0], 0), "floor": buffer.sum}
    for place in looked_at:
        runs[f"cached {place}"] = lambda place=place: cached(written[:, :place], place)  # type: ignore[misc]
        runs[f"uncached {place}"] = lambda place=place: whole(written[:, :place], place)  # type: ignore[misc]
    apart = max(
        float((whole(written[:, :place], place) - cached(written[:, :place], place)).abs().max()) for place in looked_at
    )
    cached(written, 0)
    spent = taking_turns(runs, rounds)

    def mean(kind: str) -> float:
        return 1e3 * float(np.mean([spent[f"{kind} {place}"] for place in looked_at]))

    share = (config.tokens - 1) / config.tokens  # of the tokens that a pass over one position writes
    return {
        "uncached_ms": mean("uncached"),
        "cached_ms": mean("cached") * share + 1e3 * spent["prompt"] / config.tokens,
        "floor_ms": 1e3 * spent["floor"],
        "read_mb": bytes_read / 1e6,
        "gb_per_s": bytes_read / spent["floor"] / 1e9,
        "logits_apart": apart,
    }


def frontals(patients: int, size: int) -> np.ndarray:
    """p (patients, size, size) of virtual patients that no model was trained on."""
    chest = geometry_preset("chest", size)
    return np.concatenate([render(source.volume(), chest, [0.0]) for source in sources(procedural=patients)])


def roll_out_s(patients: int, steps: int, rounds: int) -> float:
    """Seconds for a roll-out of `steps` each way by the packaged model, from tokens to tokens."""
    world = WorldModel.from_pretrained("tiny", form="autoregressive")
    model = world.transition
    assert isinstance(model, AutoregressiveTransition)
    start = world.encode(frontals(patients, world.size))[1]
    both = [step for step in range(-steps, steps + 1) if step]
    return taking_turns({"roll-out": lambda: model.roll_out(start, both)}, rounds)["roll-out"]


def imagine_s(rounds: int) -> float:
    """Seconds of `WorldModel.imagine` with the packaged direct form: 36 views of one patient, from image to images."""
    world = WorldModel.from_pretrained(form="direct")
    view, arc = frontals(1, world.size)[0], [yaw for yaw in STANDARD_ARC if yaw]
    return taking_turns({"imagine": lambda: world.imagine(view, 0.0, arc)}, rounds)["imagine"]


def network(size: str) -> AutoregressiveTransition:
    """The packaged weights of `tiny`; random ones of the other sizes, which cost the same."""
    if size == "tiny":
        packaged = WorldModel.from_pretrained("tiny", form="autoregressive").transition
        assert isinstance(packaged, AutoregressiveTransition)
        return packaged
    torch.manual_seed(0)
    return AutoregressiveTransition(preset(size).stages["autoregressive"].network).eval()


def main(arguments: list[str] | None = None) -> dict:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["tiny", "base"], choices=("tiny", "small", "base", "large"))
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 16], help="patients (of tiny; else the first)")
    parser.add_argument("--places", type=int, default=5, help="of a view that are timed (default 5)")
    parser.add_argument("--steps", type=int, default=18, help="of 5 degrees each way in the second table; 0: none")
    parser.add_argument("--rounds", type=int, default=3, help="turns that each takes (default 3)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    console, rows, views = Console(), [], []

    table = Table(title=f"ms per token, {options.threads} thread(s), float32; both directions in one batch")
    for heading in ("size", "patients", "no cache", "cache", "floor", "no cache / cache", "cache / floor"):
        table.add_column(heading, justify="left" if heading == "size" else "right")
    for size in options.sizes:
        model = network(size)
        for patients in options.batches if size == "tiny" else options.batches[:1]:
            row = per_token(model, patients, options.places, options.rounds)
            rows.append({"size": size, "patients": patients, **row})
            times = (row["uncached_ms"], row["cached_ms"], row["floor_ms"])
            ratios = (times[0] / times[1], times[1] / times[2])
            table.add_row(size, str(patients), *(f"{t:.2f}" for t in times), *(f"{ratio:.1f}" for ratio in ratios))
            console.print(
                f"{size}, {patients}: {row['read_mb']:.0f} MB a token at {row['gb_per_s']:.1f} GB/s;"
                f" logits with and without cache at most {row['logits_apart']:.1e} apart"
            )
    console.print(table)
    if options.steps:
        table = Table(title=f"tiny, {2 * options.steps} views, {options.threads} thread(s)")
        for heading in ("patients", "roll-out, s"):
            table.add_column(heading, justify="right")
        for patients in options.batches:
            seconds = roll_out_s(patients, options.steps, options.rounds)
            views.append({"patients": patients, "views": 2 * options.steps, "roll_out_s": seconds})
            table.add_row(str(patients), f"{seconds:.2f}")
        console.print(table)
    direct = imagine_s(options.rounds)
    console.print(f"imagine, direct form, 36 views of one patient: {direct:.2f} s")
    speedup = bfloat16_speedup()
    console.print(f"a matrix product in bfloat16 is {speedup:.2f} times as fast as in float32 here")
    result = {
        "threads": options.threads,
        "tokens": rows,
        "views": views,
        "imagine_36_views_s": direct,
        "bfloat16_speedup": speedup,
    }
    if options.json:
        write_json(options.json, result)
    return result


if __name__ == "__main__":
    main()
