"""Several studies beside each other: index.html, which links their reports, and summary.csv."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from ..core.version import VERSION
from ..io.files import write_csv, write_text
from .result import Result

COLUMNS = (
    "study",
    "input",
    "evidence_level",
    "refused_or_warned",
    "times_usual_error",
    "psnr_far",
    "r2_far",
    "volume_mae_hu",
)
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ rows|length }} studies · Xray2Xray</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem }
:root { color-scheme: light dark }
li { list-style: none; margin: 0 0 2rem } ul { padding: 0 } img { max-width: 100%; height: auto }
</style>
</head>
<body>
<p><strong>Research use only.</strong> Not a medical device.</p>
<h1>{{ rows|length }} studies</h1>
<p>All numbers: <a href="summary.csv">summary.csv</a>.</p>
<ul>
{% for row in rows %}{% set at = row.study|urlencode %}<li><h2><a href="{{ at }}/report.html">{{ row.study }}</a></h2>
<p>{{ row.evidence_level }}. {{ row.refused_or_warned }}</p>
<a href="{{ at }}/report.html"><img src="{{ at }}/views.png" alt="Predicted views" loading="lazy"></a></li>
{% endfor %}
</ul>
{% if failed %}<h2>Left out</h2>
<ul>{% for path, why in failed.items() %}<li>{{ path }}: {{ why }}</li>{% endfor %}</ul>{% endif %}
<p>Written by xray2xray {{ version }}.</p>
</body>
</html>
"""


def row_of(result: Result) -> dict[str, Any]:
    """A study's row, `COLUMNS`; empty where something is not known."""
    row: dict[str, Any] = dict.fromkeys(COLUMNS, "")
    row |= {"study": result.name, "input": result.source, "evidence_level": result.evidence_level}
    if result.quality is not None:
        row["refused_or_warned"] = " ".join(result.quality.warnings)
    if result.out_of_distribution is not None:
        row["times_usual_error"] = round(result.out_of_distribution.ratio, 2)
    if result.scores is not None:
        block = result.scores.models[result.form]
        far = (("psnr_far", block.psnr.mean_beyond_30), ("r2_far", block.r2.mean_beyond_30))
        row |= {name: "" if value is None else round(value, 3) for name, value in far}
    if result.volume_scores is not None:
        row["volume_mae_hu"] = round(result.volume_scores["mae_hu"], 1)
    return row


def write_index(out: Path, rows: Sequence[Mapping[str, Any]], failed: Mapping[str, str]) -> None:
    """Write index.html and summary.csv into a folder whose subfolders hold the studies."""
    write_csv(out / "summary.csv", rows)
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    write_text(out / "index.html", environment.from_string(_PAGE).render(rows=rows, failed=failed, version=VERSION))
