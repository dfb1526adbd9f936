"""What `evaluate downstream` writes: downstream.json as it is, as tables, and as two figures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...io.files import atomic_path, write_json, write_text
from ...reporting.tables import interval, table
from ...statistics.contrasts import equivalent
from .ceiling import FRONTAL
from .tasks import main_metric

MARGIN = 0.01  # within which ours is said to be as good
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999999", "#000000")
MARKERS = ("o", "s", "^", "D", "v")
Row = Mapping[str, Any]


def write_downstream(out: Path, result: Mapping[str, Any]) -> None:
    """downstream.json, downstream.md, label_efficiency.png and differences.png; prints the tables."""
    write_json(out / "downstream.json", result)
    text = markdown(result)
    write_text(out / "downstream.md", text)
    _figure(out / "label_efficiency.png", result, _curves)
    _figure(out / "differences.png", result, _forest)
    print(text)


def main_rows(result: Mapping[str, Any]) -> list[Row]:
    numbers = result["settings"]["numbers"]
    return [row for row in result["rows"] if row["metric"] == main_metric(row["task"], numbers)]


# ---------------------------------------------------------------- tables


def markdown(result: Mapping[str, Any]) -> str:
    """The main metric of every task as tables, a row a method; then the primary contrast, and what was noticed."""
    settings, tasks = result["settings"], result["settings"]["tasks"]
    rows = {(row["task"], row["method"], row["n_labels"]): row for row in main_rows(result)}
    lines = [
        f"{result['n_test']} images of {result['test_patients']} test patients ({result['evidence_level']}); means "
        "over the seeds. AUROC of findings, Harrell's C of events in time, of numbers the share of pairs in the right "
        f"order, with 95 % intervals over patients and seeds ({result['compared_by']}). Differences are the method's "
        "minus ours: below zero, ours is ahead.",
        "",
        *(f"- left out: {what}: {why}" for what, why in result["left_out"].items()),
        *([""] if result["left_out"] else []),
    ]
    for n in settings["labels"]:
        everyone = " (all)" if n == result["n_train"] else ""
        lines += [f"### {n} labelled patients{everyone}", ""]
        ranks = _ranks(result, rows, n)
        body = [
            [_said(name, result), rank, *(_cell(rows.get((task, name, n)), "value", "ci", ".3f") for task in tasks)]
            for name, rank in ranks.items()
        ]
        lines += [*table(["", "rank", *(task.replace("_", " ") for task in tasks)], [*body, *_levels(result)]), ""]
        lines += [f"Minus ours (`{settings['ours']}`):", ""]
        others = [name for name in ranks if name != settings["ours"]]
        body = [
            [
                _said(name, result),
                *(_cell(rows.get((task, name, n)), "delta_vs_ours", "delta_ci", "+.3f") for task in tasks),
            ]
            for name in others
        ]
        lines += [*table(["", *(task.replace("_", " ") for task in tasks)], body), ""]
        if result["ceiling"]:
            lines += [_reached(result, rows, n), ""]
    lines += [_primary(result), "", *(f"- {note}" for note in [*_trained(result), *result["notes"]])]
    lines += [f"- **Leakage**: {_leak(leak)}" for leak in result["leaks"]]
    return "\n".join(lines) + "\n"


def _said(name: str, result: Mapping[str, Any]) -> str:
    said = f"`{name}`: {result['methods'][name]['about']}"
    said += " (privileged)" if result["methods"][name]["privileged"] else ""
    return f"**{said}**" if name == result["settings"]["ours"] else said


def _cell(row: Row | None, value: str, ends: str, spec: str) -> str:
    if row is None or row[value] is None:
        return ""
    bounds = None if row[f"{ends}_low"] is None else (row[f"{ends}_low"], row[f"{ends}_high"])
    return f"{row[value]:{spec}}{interval(bounds, spec)}"


def _ranks(result: Mapping[str, Any], rows: Mapping[Any, Row], n: int) -> dict[str, str]:
    """Methods by their mean over the tasks, with their place; who is privileged or did not converge has none."""
    tasks = result["settings"]["tasks"]
    found = {name: [rows[task, name, n] for task in tasks if (task, name, n) in rows] for name in result["methods"]}
    placed = [
        name
        for name, of in found.items()
        if of and all(row["ranked"] for row in of) and not result["methods"][name]["privileged"]
    ]
    asked = [{row["task"] for row in found[name]} for name in placed]
    common = (
        set.intersection(*asked) if asked else set()
    )  # who learns no numbers is not ranked by the other tasks alone
    placed.sort(key=lambda name: -sum(row["value"] for row in found[name] if row["task"] in common))
    ranks = {name: str(place) for place, name in enumerate(placed, 1)}
    for name in found:
        ranks.setdefault(name, "level" if result["methods"][name]["privileged"] else "none")
    return ranks


def _trained(result: Mapping[str, Any]) -> list[str]:
    """What each training took, and whether it reached its plateau."""
    said = []
    for name, n in dict.fromkeys((one["method"], one["n_labels"]) for one in result["trainings"]):
        of = [one for one in result["trainings"] if (one["method"], one["n_labels"]) == (name, n)]
        ended = sum(one["converged"] for one in of)
        seconds, steps, best = (max(one[key] for one in of) for key in ("seconds", "steps", "best_step"))
        said.append(
            f"`{name}`, {n} labels: {ended} of {len(of)} trainings reached their plateau; at most {seconds:.0f} s of a "
            f"budget of {result['settings']['network_seconds']:g} s, {steps} steps, the best at {best}"
            + ("" if ended == len(of) else ". **Not converged: listed, not ranked**")
        )
    return said


def _levels(result: Mapping[str, Any]) -> list[list[str]]:
    """The ceiling's readers as further rows: what a frontal, a lateral, and the truth hold."""
    tasks = result["settings"]["tasks"]
    return [
        [f"*level: {reader}*", "", *(f"*{found[task][0]:.3f}*" for task in tasks)]
        for reader, found in (result["ceiling"] or {}).items()
    ]


def _reached(result: Mapping[str, Any], rows: Mapping[Any, Row], n: int) -> str:
    """The share of the frontal-only ceiling, above chance, that ours reaches."""
    ours, said = result["settings"]["ours"], []
    for task in result["settings"]["tasks"]:
        ceiling, row = result["ceiling"][FRONTAL][task][0], rows.get((task, ours, n))
        if row is not None and ceiling > 0.5:
            said.append(f"{task.replace('_', ' ')} {(row['value'] - 0.5) / (ceiling - 0.5):.0%}")
    return "Of the frontal-only ceiling, above chance, ours reaches: " + ", ".join(said) + "."


def _primary(result: Mapping[str, Any]) -> str:
    named = [row for row in result["rows"] if row["primary"]]
    if not named:
        return "No primary contrast was named before the run: every difference is secondary (p adjusted after Holm)."
    (row,) = named
    if row["p"] is None:
        return (
            f"**Primary contrast**, {row['task']} at {row['n_labels']} labels: not read, a training did not converge."
        )
    bounds = (row["delta_ci_low"], row["delta_ci_high"])
    verdict = "ours is ahead" if bounds[1] < 0 else "ours is behind" if bounds[0] > 0 else "no difference is shown"
    alike = f"; equivalent within {MARGIN}" if equivalent(bounds, MARGIN) else ""
    return (
        f"**Primary contrast**, {row['task']} at {row['n_labels']} labels, `{row['method']}` minus ours: "
        f"{row['delta_vs_ours']:+.3f}{interval(bounds, '+.3f')}, p = {row['p']:.2g}: {verdict}{alike}. All others are "
        "secondary (p adjusted after Holm)."
    )


def _leak(leak: Mapping[str, Any]) -> str:
    return (
        f"`{leak['method']}` scores {leak['value']:.3f} for {leak['task']} at {leak['n_labels']} labels, above the "
        f"frontal-only ceiling {leak['ceiling']:.3f} (to {leak['ceiling_high']:.3f}): it knows what a frontal cannot "
        "show, or the ceiling was too low"
    )


# ---------------------------------------------------------------- figures


def _figure(path: Path, result: Mapping[str, Any], draw: Any) -> None:
    """One panel a task, of matplotlib, without a window."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    tasks = result["settings"]["tasks"]
    columns = min(4, len(tasks))
    height = 1.2 + 0.22 * len(result["methods"])
    figure = Figure(figsize=(3.6 * columns, height * -(-len(tasks) // columns)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(-(-len(tasks) // columns), columns, squeeze=False).ravel()
    for axis, task in zip(axes, tasks):
        draw(axis, task, result)
        axis.set_title(task.replace("_", " "), fontsize=9, loc="left")
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=7)
    for axis in axes[len(tasks) :]:
        axis.set_axis_off()
    if draw is _curves:
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=130)


def _curves(axis: Any, task: str, result: Mapping[str, Any]) -> None:
    """The main metric over the number of labels; the frontal-only ceiling as a line."""
    rows = [row for row in main_rows(result) if row["task"] == task]
    for i, name in enumerate(result["methods"]):
        points = [(row["n_labels"], row["value"]) for row in rows if row["method"] == name]
        if not points:
            continue
        width = 2.4 if name == result["settings"]["ours"] else 1.1
        style = {"color": COLOURS[i % len(COLOURS)], "marker": MARKERS[i // len(COLOURS) % len(MARKERS)], "ms": 4}
        axis.plot(*zip(*points, strict=True), label=name, lw=width, **style)
    if result["ceiling"]:
        axis.axhline(result["ceiling"][FRONTAL][task][0], color="#666666", lw=1, ls=(0, (5, 2)))
    axis.set_xscale("log")
    labels: Sequence[int] = result["settings"]["labels"]
    axis.set_xticks(labels, [f"{n:,}" for n in labels])
    axis.minorticks_off()
    axis.set_xlabel("labelled patients", fontsize=8)


def _forest(axis: Any, task: str, result: Mapping[str, Any]) -> None:
    """Differences from ours at the most labels; the primary contrast is filled."""
    most = max(result["settings"]["labels"])
    rows = [
        r for r in main_rows(result) if (r["task"], r["n_labels"]) == (task, most) and r["delta_ci_low"] is not None
    ]
    for y, row in enumerate(reversed(rows)):
        colour = "#D55E00" if row["primary"] else "#0072B2"
        axis.plot([row["delta_ci_low"], row["delta_ci_high"]], [y, y], color=colour, lw=1.4)
        axis.plot(row["delta_vs_ours"], y, "o", color=colour, ms=5, mfc=colour if row["primary"] else "white")
    axis.set_yticks(range(len(rows)), [row["method"] for row in reversed(rows)])
    axis.axvline(0, color="#999999", lw=0.8)
    axis.set_xlabel(f"minus ours, {most:,} labels", fontsize=8)
