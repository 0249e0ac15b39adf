"""The environment of the libraries we compare with: torch and matplotlib, nothing of ours."""

import os
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("retrieval-peers.txt")
ENVIRONMENT = Path(os.environ.get("PEERS_VENV", ".venv-peers"))
ROOT = Path(__file__).parents[1]


def peers_python() -> Path:
    """Return the environment's Python, making or updating the environment where necessary."""
    python = ENVIRONMENT.absolute() / "bin" / "python"
    stamp = ENVIRONMENT / "installed.txt"
    if not stamp.exists() or stamp.read_text() != REQUIREMENTS.read_text():
        print(f"installing {REQUIREMENTS.name} into {ENVIRONMENT}", file=sys.stderr)
        run(sys.executable, "-m", "venv", ENVIRONMENT)
        run(python, "-m", "pip", "install", "--quiet", "-r", REQUIREMENTS)
        stamp.write_text(REQUIREMENTS.read_text())
    return python


def run(*command: str | Path) -> None:
    """Run a program from the root of the repository; raises when it fails."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([str(part) for part in command], check=True, cwd=ROOT, env=environment)  # noqa: S603
