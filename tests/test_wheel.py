"""The installed package alone, without the checkout, runs the demo."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_wheel_runs_the_demo(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    build = [*pip, "wheel", "--no-build-isolation", "--no-deps", "--no-index", "--wheel-dir", str(wheels), str(ROOT)]
    subprocess.run(build, check=True, cwd=tmp_path)
    (wheel,) = wheels.glob("*.whl")

    # a new environment: the wheel, and the dependencies of this one without its own xray2xray
    venv.create(tmp_path / "env", with_pip=False)
    scripts = tmp_path / "env" / ("Scripts" if os.name == "nt" else "bin")
    python = scripts / ("python.exe" if os.name == "nt" else "python")
    command = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    site = Path(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--target", str(site), str(wheel)], check=True)
    # a .pth in a .pth is not followed, so the checkout that an editable install names stays out
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")

    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment |= {"NUMBA_CACHE_DIR": str(tmp_path / "numba")}
    where = "import xray2xray; print(xray2xray.__file__)"
    command = [str(python), "-c", where]
    found = subprocess.run(command, check=True, cwd=tmp_path, env=environment, capture_output=True, text=True).stdout
    assert Path(found.strip()).is_relative_to(site)
    command = [str(python), "-m", "xray2xray", "demo", "--out", str(tmp_path / "demo")]
    subprocess.run(command, check=True, cwd=tmp_path, env=environment)
    report = json.loads((tmp_path / "demo" / "report.json").read_text(encoding="utf-8"))
    assert report["views"]["models"]["volumetric"]["psnr"]["mean"] > 25
    assert (tmp_path / "demo" / "report.html").stat().st_size > 100_000
