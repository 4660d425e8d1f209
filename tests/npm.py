"""Packages of npm for tests: checked against the digests of a lock file, installed into build/ once."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.servers import find_program

_BUILD = Path(__file__).parents[1] / "build"


def installed_packages(folder: Path, name: str) -> Path:
    """Return `node_modules` with the packages that the package-lock.json of a folder names.

    No script of a package runs. Without npm or its registry the test is skipped.

    Args:
        folder: Has package.json and package-lock.json.
        name: Of the folder below build/.
    """
    npm, cache = find_program("npm"), _BUILD / name
    wanted, stamp = (folder / "package-lock.json").read_text(), cache / "installed"
    if not (stamp.exists() and stamp.read_text() == wanted):
        cache.mkdir(parents=True, exist_ok=True)
        for file in ("package.json", "package-lock.json"):
            shutil.copy(folder / file, cache / file)
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=cache, capture_output=True, text=True, timeout=240)
        if done.returncode:
            pytest.skip(f"{name} cannot be installed here: {done.stderr.strip()[-200:]}")
        stamp.write_text(wanted)
    return cache / "node_modules"
