"""The page of a report: one file that opens offline, and asks for nothing else."""

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from ..core.version import VERSION
from .fragment import fragment, page_data, script_json, template, templates
from .result import Result

_SCRIPTS = ("sheets.js", "turn.js", "planes.js", "orbit.js", "page.js")


def page(result: Result, numbers: Mapping[str, Any]) -> str:
    """The HTML of a result; `numbers` are the content of its report.json."""
    return report(result.name, fragment(result, numbers), script_json(page_data(result, numbers)))


def report(title: str, fragment_html: str, data_json: str) -> str:
    """The page of a fragment and its data, as `fragment` and `script_json` make them."""
    css, js = style(), script()
    return (
        templates()
        .get_template("report.html.j2")
        .render(
            title=title,
            result=Markup(fragment_html),
            data=Markup(data_json),
            css=Markup(css),
            js=Markup(js),
            css_hash=Markup(_hash(css)),
            js_hash=Markup(_hash(js)),
            version=VERSION,
        )
    )


def style() -> str:
    """The style sheet of report and explorer."""
    return template("page.css")


def script() -> str:
    """The scripts of report and explorer, as one."""
    return "\n".join(map(template, _SCRIPTS))


def _hash(text: str) -> str:
    """What a content security policy calls an inline script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
