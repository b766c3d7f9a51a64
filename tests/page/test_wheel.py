"""The page travels with the package: what is installed has every file of it."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from trunkline.gateway.page.serving import read_files

ROOT = Path(__file__).parents[2]


@pytest.mark.programs
def test_the_wheel_has_the_whole_page(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, capture_output=True, timeout=60, check=True)
    (wheel,) = tmp_path.glob("*.whl")

    with zipfile.ZipFile(wheel) as archive:
        packed = {Path(name).name: archive.read(name) for name in archive.namelist() if "/gateway/page/" in name}

    assert {name: packed.get(name) for name in read_files()} == {name: file.body for name, file in read_files().items()}
