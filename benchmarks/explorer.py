"""How long a user of the explorer waits: python -m benchmarks.explorer --users 20 [--json FILE]

Every user gives a radiograph to one `xray2xray serve` on loopback at the same time, waits for the case, then asks for
views from poses that are not on the arc. That nobody gets another's views is checked: each film is brighter in another
place.
"""

import argparse
import io
import json
import os
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from xray2xray.explorer.examples import EXAMPLES

from .explorer_server import serving

VIEWS = 20
POLL_S = 0.2


def user(address: str, number: int, film: np.ndarray, together: threading.Barrier) -> dict[str, Any]:
    """One user's times: until the case is ready, and of each view."""
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))

    def ask(path: str, content: bytes | None = None) -> bytes:
        request = urllib.request.Request(address + path, content, {"X-Xray2Xray": "page"})
        with opener.open(request, timeout=900) as answer:
            found: bytes = answer.read()
        return found

    ask("")
    marked = film.copy()
    side = len(film) // 8
    row, column = divmod(number % 64, 8)
    marked[row * side : (row + 1) * side, column * side : (column + 1) * side] = 255
    picture = io.BytesIO()
    Image.fromarray(marked).save(picture, format="PNG")
    together.wait()
    start = time.monotonic()
    case = json.loads(ask("api/cases?name=x.png", picture.getvalue()))["number"]
    while (told := json.loads(ask(f"api/cases/{case}")))["state"] != "done":
        assert told["state"] != "failed", told
        time.sleep(POLL_S)
    json.loads(ask(f"api/cases/{case}/result"))
    ready_s = time.monotonic() - start
    frontal = np.frombuffer(ask(f"api/cases/{case}/views?yaw=0&names=volumetric"), np.uint8)
    seen = frontal.reshape(8, len(frontal) // 8 // 128, 8, 16).mean(axis=(1, 3))
    views_s = []
    for view in range(VIEWS):
        begun = time.monotonic()
        ask(f"api/cases/{case}/views?yaw={31 + view}&pitch=7&names=volumetric")
        views_s.append(time.monotonic() - begun)
    return {"ready_s": ready_s, "views_s": views_s, "brightest": int(seen.argmax()), "marked": number % 64}


def measured(users: int) -> dict[str, Any]:
    """Times in seconds, the server's peak memory in MiB and its processor time."""
    film = np.asarray(Image.open(io.BytesIO(EXAMPLES["film-1"].picture)).convert("L"))
    film = np.minimum(film, 160).astype(np.uint8)
    # each user marks another part of the lungs and the mediastinum, where nothing else is as bright
    places = [8 * row + column for row in range(1, 6) for column in range(2, 6)]
    with serving() as (address, process), ThreadPoolExecutor(users) as pool:
        one = user(address, places[0], film, threading.Barrier(1))  # kernels are compiled, pages are loaded
        before = _cpu_s(process)
        together = threading.Barrier(users)
        found = list(pool.map(lambda n: user(address, places[n % len(places)], film, together), range(users)))
        cpu_s, peak = _cpu_s(process) - before, _peak_mib(process)
    views = np.concatenate([each["views_s"] for each in found])
    ready = np.array([each["ready_s"] for each in found])
    return {
        "users": users,
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "first_ready_s": one["ready_s"],
        "first_view_ms": 1000 * float(np.median(one["views_s"])),
        "ready_s": {"p50": float(np.percentile(ready, 50)), "p95": float(np.percentile(ready, 95))},
        "view_ms": {"p50": 1000 * float(np.percentile(views, 50)), "p95": 1000 * float(np.percentile(views, 95))},
        "cpu_s_each": cpu_s / users,
        "peak_mib": peak,
        "mixed_up": sum(each["brightest"] != each["marked"] for each in found),
    }


def _cpu_s(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak_mib(process: int) -> float:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=20)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    text = json.dumps(measured(options.users), indent=1)
    print(text)
    if options.json:
        options.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
