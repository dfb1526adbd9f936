"""What the site takes from outside of docs/, and notebooks as pages; mkdocs calls these functions (see mkdocs.yml)."""

import json
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
BESIDE = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "CITATION.cff", "LICENSE")


def on_files(files: Files, config: Any) -> Files:
    """The files of the repository's root join the site's root; every notebook is a page, too."""
    for name in BESIDE:
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    for path in sorted((ROOT / "docs" / "notebooks").glob("*.ipynb")):
        files.append(File.generated(config, f"notebooks/{path.stem}.md", content=_page(path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links between docs/ and the root, which GitHub needs as they are, as the site has them; sources are not in it."""
    if page.file.src_uri in BESIDE:
        return re.sub(r"\[([^\]]+)\]\(src/[^)]*\)", r"\1", markdown.replace("](docs/", "]("))
    markdown = re.sub(r"\[([^\]]+)\]\((?:\.\./)+configs/[^)]*\)", r"\1", markdown)
    up = page.file.src_uri.count("/")
    return re.sub(rf"\]\((?:\.\./){{{up + 1}}}({'|'.join(map(re.escape, BESIDE))})", rf"]({'../' * up}\1", markdown)


def _page(path: Path) -> str:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    parts = ["".join(cell["source"]) for cell in cells]
    shown = [text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```" for cell, text in zip(cells, parts)]
    return "\n\n".join([*shown, f"[This page as a notebook]({path.name})"]) + "\n"
