"""An environment of its own for each peer, pinned with hashes: nothing of theirs comes into the project's."""

import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
REQUIREMENTS = ("pipecat", "livekit")  # NAME.txt; `uv pip compile --universal --generate-hashes NAME.in` made it
INSTALL = (
    "-m",
    "pip",
    "install",
    "--disable-pip-version-check",
    "--no-cache-dir",
    "--require-hashes",
    "--no-deps",
    "-r",
)


def ready(directory: Path, name: str) -> Path:
    """Its Python. Made anew when its requirements have changed; that it can't be made ends the program."""
    wanted = HERE / f"{name}.txt"
    home, made_from = directory / name, directory / name / wanted.name
    python = home / "bin" / "python"
    if made_from.is_file() and made_from.read_bytes() == wanted.read_bytes():
        return python
    print(f"making an environment for {name} ({wanted.read_text().count('==')} packages) …", flush=True)
    shutil.rmtree(home, ignore_errors=True)
    directory.mkdir(parents=True, exist_ok=True)
    log = directory / f"{name}.log"
    with log.open("wb") as said:
        for command in ([sys.executable, "-m", "venv", str(home)], [str(python), *INSTALL, str(wanted)]):
            if subprocess.run(command, stdout=said, stderr=said).returncode:
                raise SystemExit(f"no environment for {name}; see {log}")
    shutil.copyfile(wanted, made_from)
    return python
