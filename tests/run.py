"""`./wetread test`: installs what the tests need, then runs every check and every test.

Arguments are passed to pytest, so `./wetread test tests/dicom -k spool` runs a part in one process.
Without arguments the checks run, then the tests in two runs of pytest: all but those marked `serial` in
several processes, each file of tests in one of them; then the `serial` ones alone.
"""

import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent

# A program that shows that the package is installed, and the Debian package that brings it.
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
# The report of each run of pytest, by its name.
REPORTS = {name: ROOT / "build" / "tests" / f"{name}.xml" for name in ("parallel", "serial")}
COUNTED = ("tests", "failures", "errors", "skipped")
# More processes than this start more servers than a small machine holds.
MOST_PROCESSES = 8


def missing_packages() -> list[str]:
    """Return the Debian packages that the tests need and this machine lacks."""
    programs = [package for program, package in PROGRAMS.items() if shutil.which(program) is None]
    return programs + [package for path, package in FILES.items() if not Path(path).exists()]


def install(packages: list[str]) -> None:
    """Install `packages` when this is root on Debian; otherwise print the exact command and stop."""
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


def run(name: str, *command: str, threads: int | None = None) -> bool:
    """Run one check; return whether it passed.

    Args:
        name: Its name in the lines of progress.
        command: A program of this environment and its arguments.
        threads: How many threads a numeric library may start; its own default if None.
    """
    say(name)
    begun = time.monotonic()
    program = Path(sys.executable).with_name(command[0])
    limits = {} if threads is None else {"OMP_NUM_THREADS": str(threads)}
    environment = {**os.environ, **limits}
    # The tests start hundreds of processes: each would compile our modules again.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    result = subprocess.run([program, *command[1:]], cwd=ROOT, check=False, env=environment)
    passed = result.returncode == 0
    say(f"{name}: {'passed' if passed else 'FAILED'} ({time.monotonic() - begun:.0f} s)")
    return passed


def run_pytest(*arguments: str, name: str = "pytest", threads: int | None = None) -> bool:
    """Run pytest in this environment; return whether every test passed."""
    python = Path(sys.executable).name
    return run(name, python, "-m", "pytest", *arguments, threads=threads)


def run_all_tests() -> list[str]:
    """Run every test; return the names of the runs of pytest that failed."""
    cores = len(os.sched_getaffinity(0))
    processes = min(cores, MOST_PROCESSES)
    several = ("-n", str(processes), "--dist", "loadfile", "--no-loadscope-reorder")
    failed = []
    for name, selection in (
        ("parallel", ("-m", "not serial", *several)),
        ("serial", ("-m", "serial")),
    ):
        REPORTS[name].unlink(missing_ok=True)
        threads = max(1, cores // processes) if name == "parallel" else None
        report = f"--junitxml={REPORTS[name]}"
        if not run_pytest(*selection, report, name=f"pytest, {name}", threads=threads):
            failed.append(f"pytest, {name}")
    say(tally())
    return failed


def tally() -> str:
    """Return how many tests ran in all, by the reports of the runs of pytest."""
    counts: Counter[str] = Counter()
    for report in REPORTS.values():
        if not report.exists():
            return f"pytest ended before it wrote {report.relative_to(ROOT)}"
        (suite,) = ElementTree.parse(report).getroot()  # noqa: S314 - pytest wrote it just now
        counts.update(
            {kind: int(suite.get(kind, "0")) for kind in ("tests", "failures", "errors", "skipped")}
        )
    bad = counts["failures"] + counts["errors"]
    return f"{counts['tests']} tests in all: {bad} failed, {counts['skipped']} skipped"


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
    if arguments:
        failed = [] if run_pytest(*arguments) else ["pytest"]
    else:
        failed = [name for name, *command in CHECKS if not run(name, *command)]
        failed += run_all_tests()
    if failed:
        say(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
