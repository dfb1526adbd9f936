"""Takes the pictures of docs/howto/explorer.md: python -m docs.picture_explorer (needs Chromium and [web])."""

from pathlib import Path

from PIL import Image

from benchmarks.browser import Page, browser
from benchmarks.explorer_server import serving

OUT = Path(__file__).parent / "pictures"
WHOLE = "!!document.querySelector('.whole')"
COLOURS = 256  # of a picture: greys mostly


def example(page: Page, address: str, name: str) -> None:
    """Open an example and wait until all of it is drawn."""
    page.open("about:blank")
    page.open(address)
    page.run(f"document.querySelector('[data-example={name}]').click()")
    page.wait(WHOLE, 900)
    page.run("document.querySelector('.result').classList.add('turned')")


def show(page: Page, script: str) -> None:
    page.run(script)
    page.run("new Promise((done) => setTimeout(done, 800))")


def keep(page: Page, name: str, height: int | None = None) -> None:
    """The top of the page as a picture with few colours."""
    path = OUT / f"explorer-{name}.png"
    page.run("scrollTo(0, 0)")
    page.picture(path, whole=height is not None)
    picture = Image.open(path).convert("RGB")
    picture.crop((0, 0, picture.width, min(height or picture.height, picture.height))).quantize(COLOURS).save(
        path, optimize=True
    )


def main() -> None:
    with serving() as (address, _), browser() as page:
        page.size(1440, 900)
        page.open(address)
        page.wait("[...document.images].every((one) => one.complete)")
        keep(page, "start")
        example(page, address, "film-1")
        show(page, "document.querySelector('[value=sample_1]').click()")
        keep(page, "case", 1500)
        page.size(390, 844, 1.5)
        example(page, address, "virtual-1")
        keep(page, "phone", 2400)
        page.size(390, 844, 1.5, dark=True)
        show(page, "document.querySelector('[data-part=spread]').click()")
        keep(page, "phone-dark", 2400)


if __name__ == "__main__":
    main()
