"""The docs as a site: built strictly, and no page asks another host for anything."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FETCHED = r"<(?:script|img|iframe|source|video|audio|embed)\b[^>]*?\bsrc=[\"']?([^\"'\s>]+)|<link\b([^>]*)>"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("material", reason="mkdocs-material is not installed; it is in the extra [docs]")
    from mkdocs.commands.build import build
    from mkdocs.config import load_config
    from mkdocs.exceptions import Abort

    out = tmp_path_factory.mktemp("site")
    try:
        build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(out), strict=True))
    except Abort as error:
        pytest.fail(f"the site is not built strictly: {error}; run make docs")
    return out


def test_every_page_is_there_and_reachable(site: Path) -> None:
    pages = {path.relative_to(site).with_suffix("").as_posix() for path in site.rglob("*.html")} - {"404"}
    sources = {path.relative_to(ROOT / "docs").with_suffix("").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert {re.sub(r"README$", "index", source) for source in sources} <= pages
    assert {"index", "CHANGELOG", "notebooks/one_radiograph"} <= pages
    front = (site / "index.html").read_text(encoding="utf-8")
    reached = {link.partition("#")[0].removesuffix(".html") for link in re.findall(r'href="([^":]+)"', front)}
    assert pages - {"index"} - reached <= {
        "results/index",
        "decisions/index",
    }  # of a section


def test_no_page_fetches_from_elsewhere(site: Path) -> None:
    fetched = set()
    for path in site.rglob("*.html"):
        for source, link in re.findall(FETCHED, path.read_text(encoding="utf-8")):
            attributes = dict(re.findall(r"(\w+)=[\"']?([^\"'>]+)", link))
            fetched.add(source or (attributes.get("href", "") if attributes.get("rel") not in ("canonical",) else ""))
    for path in site.rglob("*.css"):
        fetched |= set(re.findall(r"url\([\"']?(?!data:)([^)\"']+)", path.read_text(encoding="utf-8")))
    assert len(fetched) > 5
    assert [source for source in fetched if re.match(r"(?:[a-z]+:)?//", source)] == []
