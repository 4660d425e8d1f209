"""`./wetread test`: installs what the tests need, then runs every check and every test.

Arguments are handed to pytest, so `./wetread test tests/dicom -k spool` runs a part; the checks run
when no argument names a part.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# A program that shows that the package is there, and the Debian package that brings it.
PROGRAMS = {
    "redis-server": "redis-server",
    "Orthanc": "orthanc",
    "storescu": "dcmtk",
    "dciodvfy": "dicom3tools",
    "chromium": "chromium",
    "chromedriver": "chromium-driver",
    "javac": "default-jdk-headless",
    "ip": "iproute2",
    "curl": "curl",
}
FILES = {
    "/usr/share/orthanc/plugins/libOrthancDicomWeb.so": "orthanc-dicomweb",
    "/usr/lib/postgresql": "postgresql",
    "/usr/sbin/pgbouncer": "pgbouncer",
    "/usr/sbin/nft": "nftables",
    "/usr/share/java/pixelmed.jar": "pixelmed-apps",
}
CHECKS = (
    ("ruff", "ruff", "check", "."),
    ("ruff format", "ruff", "format", "--check", "."),
    ("mypy", "mypy"),
    ("import-linter", "lint-imports"),
)


def missing_packages() -> list[str]:
    """Return the Debian packages that the tests need and this machine lacks."""
    programs = [package for program, package in PROGRAMS.items() if shutil.which(program) is None]
    return programs + [package for path, package in FILES.items() if not Path(path).exists()]


def install(packages: list[str]) -> None:
    """Install `packages` when this is root on Debian; otherwise say the exact command and stop."""
    command = "apt-get update && apt-get install -y --no-install-recommends " + " ".join(packages)
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        sys.exit(
            "wetread test: the tests need these Debian packages:\n"
            f"  sudo sh -c '{command}'\n"
            "Install them and start again; `./wetread test -m 'not orthanc and ...'` runs less."
        )
    say(f"installing {', '.join(packages)}")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    result = subprocess.run(
        ["sh", "-c", command], env=quiet, check=False, capture_output=True, text=True
    )
    if result.returncode:
        sys.exit(f"wetread test: {command}\n{result.stdout[-3000:]}{result.stderr[-3000:]}")


def run(name: str, *command: str) -> bool:
    """Run one check; return whether it passed."""
    say(name)
    begun = time.monotonic()
    program = Path(sys.executable).with_name(command[0])
    passed = subprocess.run([program, *command[1:]], cwd=ROOT, check=False).returncode == 0
    say(f"{name}: {'passed' if passed else 'FAILED'} ({time.monotonic() - begun:.0f} s)")
    return passed


def say(text: str) -> None:
    """Write one line of progress."""
    sys.stdout.write(f"--- {text}\n")
    sys.stdout.flush()


def main(arguments: list[str]) -> int:
    """Run everything; return 0 when every check and every test passed."""
    if packages := missing_packages():
        install(packages)
    if left := missing_packages():
        sys.exit(f"wetread test: still missing after the installation: {', '.join(left)}")
    failed = [] if arguments else [name for name, *command in CHECKS if not run(name, *command)]
    # pytest last: its closing line tells how many tests ran.
    if not run("pytest", Path(sys.executable).name, "-m", "pytest", *arguments):
        failed.append("pytest")
    if failed:
        say(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
