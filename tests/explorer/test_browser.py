"""The explorer in a browser: files in, a chest that turns, samples, planes, downloads; nothing from elsewhere.

Skipped where no Chromium is installed (Debian: apt-get install chromium).
"""

import base64
import gzip
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import DigitalXRayImageStorageForPresentation as Film
from pydicom.uid import ExplicitVRLittleEndian

from benchmarks.browser import Page, browser, program
from benchmarks.explorer_server import serving
from benchmarks.fuzz.formats import ct_series, dicom_image, frontal

if program() is None:
    pytest.skip("no Chromium is installed; on Debian: apt-get install chromium", allow_module_level=True)
pytest.importorskip("websockets", reason="the browser is driven through websockets")
pytest.importorskip("uvicorn", reason="the explorer needs the extra [web]")
pytestmark = pytest.mark.slow

PREDICTED, TRUTH = "[data-part=predicted]", "[data-part=truth]"
AT = "document.body.dataset.at"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with serving() as (found, _):
        yield found


@pytest.fixture(scope="module")
def tab(address: str) -> Iterator[Page]:
    """One tab for all tests; in the end it has asked for nothing but the explorer, and no script has failed."""
    with browser() as page:
        page.size(1440, 900)
        yield page
        page.run("0")  # what was on its way has been noted
        elsewhere = [url for url in page.requests if not url.startswith((address, "data:", "blob:", "file:", "about:"))]
        assert len(page.requests) > 20
        assert elsewhere == []
        # Chromium logs every answer that is no success; those stand on the page in words.
        assert [error for error in page.errors if "Failed to load resource" not in error] == []


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("given")
    gray = (255 * frontal()).astype(np.uint8)
    Image.fromarray(gray).save(folder / "film.png")
    for name, position in (("film.dcm", "PA"), ("lateral.dcm", "LL")):
        image = dicom_image(Film, ExplicitVRLittleEndian, gray, Modality="DX", ViewPosition=position)
        image.StudyInstanceUID, image.SeriesInstanceUID = "1.2.7", "1.2.6"
        pydicom.dcmwrite(folder / name, image)
    ct_series(folder / "series")
    with zipfile.ZipFile(folder / "ct.zip", "w") as archive:
        for file in sorted((folder / "series").iterdir()):
            archive.write(file, file.name)
    (folder / "corrupt.png").write_bytes((folder / "film.png").read_bytes()[:900])
    (folder / "letter.txt").write_text("Dear colleague")
    with (folder / "huge.png").open("wb") as huge:
        huge.truncate(2**29 + 1)  # takes no room
    return folder


def given(tab: Page, address: str, file: Path) -> str:
    """Where a file leads to: case or start."""
    tab.open("about:blank")
    tab.open(address)
    tab.give("#file", file)
    tab.wait(f"{AT} === 'working'")
    place: str = tab.wait(f"{AT} !== 'working' && {AT}", 600)
    if place == "case":
        tab.wait("!!document.querySelector('.whole')", 300)
    return place


def drawn(tab: Page, selector: str) -> np.ndarray:
    """Grey values of a canvas; not blank."""
    uri = tab.run(f"document.querySelector({selector!r}).toDataURL()")
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("L"), float)
    assert pixels.std() > 5, selector
    return pixels


def apart(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a - b).mean())


def fetched(tab: Page, name: str) -> bytes:
    """A file as the link in the page gives it."""
    script = f"""(async () => {{
      const link = [...document.querySelectorAll("#downloads a")].find((a) => a.href.endsWith("{name}"));
      const bytes = new Uint8Array(await (await fetch(link.href)).arrayBuffer());
      let text = "";
      for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
      return btoa(text);
    }})()"""
    return base64.b64decode(tab.run(script))


@pytest.mark.parametrize("name", ["film.png", "film.dcm"])
def test_a_radiograph_turns(tab: Page, address: str, files: Path, name: str, tmp_path: Path) -> None:
    assert given(tab, address, files / name) == "case"
    assert "Research use only" in tab.run("document.querySelector('.bar').innerText")
    first = drawn(tab, PREDICTED)
    tab.drag(PREDICTED, -200)
    tab.wait("parseInt(document.querySelector('[data-part=angle]').textContent) > 60")
    turned = drawn(tab, PREDICTED)
    assert apart(first, turned) > 3
    tab.drag(PREDICTED, 0, 120)  # a tilt is the server's to render
    tab.wait("document.querySelector('[data-part=tilt]').textContent.includes('\\u2212')")
    tab.wait("performance.getEntriesByType('resource').some((one) => one.name.includes('pitch=-'))")
    tab.run("new Promise((done) => setTimeout(done, 1500))")
    assert apart(turned, drawn(tab, PREDICTED)) > 1
    tab.run("document.querySelector('[data-part=reset]').click()")
    tab.run('document.querySelector("[data-part=yaw]").focus()')
    for _ in range(3):
        tab.call(
            "Input.dispatchKeyEvent", type="keyDown", key="ArrowRight", code="ArrowRight", windowsVirtualKeyCode=39
        )
    tab.wait("document.querySelector('[data-part=angle]').textContent === '+3°'")

    tab.run("document.querySelector('[data-part=yaw]').value = 60")
    tab.run("document.querySelector('[data-part=yaw]').dispatchEvent(new Event('input'))")
    tab.wait("document.querySelector('[data-part=angle]').textContent === '+60°'")
    shown = [drawn(tab, PREDICTED)]
    for choice in ("sample_1", "sample_2", "sample_3"):
        tab.run(f"document.querySelector('[value={choice}]').click()")
        shown.append(drawn(tab, PREDICTED))
    assert apart(shown[0], shown[1]) > 0.3
    assert max(apart(shown[1], shown[2]), apart(shown[1], shown[3])) > 0.3
    tab.run("document.querySelector('[data-part=spread]').click()")
    assert apart(shown[3], drawn(tab, PREDICTED)) > 0.1

    (tmp_path / "volume.nii").write_bytes(gzip.decompress(fetched(tab, "volume.nii.gz")))
    volume = nib.load(tmp_path / "volume.nii")
    assert volume.shape == (128, 128, 128)
    assert np.ptp(np.asarray(volume.dataobj)) > 500


@pytest.mark.parametrize(("width", "dark"), [(1440, False), (390, True)])
def test_the_volume_and_the_report(
    tab: Page, address: str, files: Path, width: int, dark: bool, tmp_path: Path
) -> None:
    """Planes, the rendering in space and the offline report, at both widths."""
    tab.size(width, 844, dark=dark)
    assert given(tab, address, files / "ct.zip") == "case"
    assert tab.run("document.documentElement.scrollWidth") <= width
    assert apart(drawn(tab, PREDICTED), drawn(tab, TRUTH)) > 1
    truth = drawn(tab, TRUTH)
    tab.run("document.querySelector('[value=error]').click()")
    assert apart(truth, drawn(tab, TRUTH)) > 5
    slider = "document.querySelector('[data-plane=axial] input')"
    for which, further in (("reconstructed", 40), ("truth", 70)):
        plane = f"[data-plane=axial] [data-which={which}]"
        before = drawn(tab, plane)
        tab.run(f"(one => {{ one.value = {further}; one.dispatchEvent(new Event('input')); }})({slider})")
        assert apart(before, drawn(tab, plane)) > 0.5
        space = f"[data-orbit={which}]"
        before = drawn(tab, space)
        tab.drag(space, 60)
        tab.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        tab.wait(f"document.querySelector('{space}').width === 420")  # it is coarse while it moves
        assert apart(before, drawn(tab, space)) > 0.5

    report = tmp_path / "report.html"
    report.write_bytes(fetched(tab, "report.html"))
    assert report.stat().st_size < 6e6
    tab.call("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=0, uploadThroughput=0)
    tab.open(report.as_uri())
    tab.wait("!!document.querySelector('.whole')", 300)
    tab.call("Network.emulateNetworkConditions", offline=False, latency=0, downloadThroughput=-1, uploadThroughput=-1)
    first = drawn(tab, PREDICTED)
    tab.drag(PREDICTED, -80 if width > 400 else -60)
    tab.wait("document.querySelector('[data-part=angle]').textContent !== '+30°'")
    assert apart(first, drawn(tab, PREDICTED)) > 0.5
    assert tab.run("document.documentElement.scrollWidth") <= width
    assert drawn(tab, "[data-orbit=truth]").size
    assert "Research use only" in tab.run("document.querySelector('.bar').innerText")
    tab.size(1440, 900)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("huge.png", "too large"),
        ("corrupt.png", "damaged"),
        ("letter.txt", "Not an image"),
        ("lateral.dcm", "lateral"),
    ],
)
def test_what_cannot_be_used_is_said_in_the_page(tab: Page, address: str, files: Path, name: str, says: str) -> None:
    assert given(tab, address, files / name) == "start"
    message = tab.run("(one => one.checkVisibility() && one.innerText)(document.getElementById('problem'))")
    assert says in message, message
    assert json.dumps(message).count("Traceback") == 0


def test_an_example_and_a_way_back(tab: Page, address: str) -> None:
    tab.open(address)
    tab.run("document.querySelector('[data-example=film-1]').click()")
    tab.wait(f"{AT} === 'case'", 600)
    tab.wait("!!document.querySelector('.whole')", 300)
    drawn(tab, PREDICTED)
    number = tab.run("location.hash")
    tab.open("about:blank")
    tab.open(address + number)  # the case is found again by its address
    tab.wait(f"{AT} === 'case'", 60)
    tab.run("document.querySelector('[data-part=theme]').click()")
    assert tab.run("document.documentElement.dataset.theme") in ("dark", "light")
    tab.run("document.getElementById('another').click()")
    assert tab.run(AT) == "start"
    assert tab.run("location.hash") == ""
