"""`wetread demo`."""

import signal
import sys
import time
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import click
from rich.console import Console
from rich.live import Live
from rich.table import Table

from dicom.content.report import STATED, Observation
from dicom.reasons import Reason
from service.accounts import Role
from service.all_in_one import parts, sole_owner
from service.demo import (
    Demo,
    DemoImage,
    clear,
    demo_environment,
    demo_folder,
    demo_settings,
    draw_images,
    own_images,
    settled,
)
from service.log import configure_logging
from service.records import Job, JobWithDraft
from service.settings.config import Settings, load_settings
from service.settings.keys.sections import Log

_POLL_SECONDS = 0.2
_ONLY_SYNTHETIC = (
    "The demo model reads synthetic images only. `wetread demo --demo-reads-patients FILE...` lets it "
    "read these too: its text is meaningless then, and every result says so. docs/models.md says how "
    "to get a model for patients."
)


class _Interrupted(BaseException):
    """Raised at Ctrl-C or SIGTERM; no `except Exception` stops it, and every `finally` runs."""


@click.command()
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--exit", "leave", is_flag=True, help="Stop when the drafts are made.")
@click.option(
    "--demo-reads-patients",
    "patients",
    is_flag=True,
    help="Let the demo model read FILES that are not synthetic. Its text is meaningless then.",
)
def demo(files: tuple[Path, ...], *, leave: bool, patients: bool) -> None:
    """Start the whole service here, send it studies, and show what comes back.

    Of the settings of this site only data_dir is used; the demo has its own folder there.
    Without FILES, synthetic images are drawn and sent. If Orthanc is on the PATH, a private one is
    the PACS, otherwise a folder. Ctrl-C stops everything.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        base = load_settings()
        configure_logging(Log(level="error"), process="demo")
        folder = demo_folder(base)
        with sole_owner(folder / "run"):
            clear(folder)
            images = list(own_images(files))
            _run(base, images, leave=leave, patients=patients)
    except _Interrupted:
        click.echo("stopped; nothing is left running", err=True)


def _interrupt(*_: object) -> None:
    # A second signal must not interrupt the orderly stop.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise _Interrupted


def _run(base: Settings, images: list[DemoImage], *, leave: bool, patients: bool) -> None:
    console, folder = Console(), demo_folder(base)
    settings, overrides, servers, orthanc_url = demo_settings(base, patients=patients)
    environment = demo_environment(folder, overrides)
    running = Demo(settings, [*servers, *parts(settings, environment)], orthanc_url)
    begun = time.monotonic()
    try:
        click.echo(f"starting Wetread in {folder} (log: {running.log_path}) ...")
        running.start()
        click.echo(f"page: {running.web_url}")
        logins = running.add_accounts()
        click.echo(_logins(logins))
        images = images or list(draw_images(folder / "films"))
        _send(running, images)
        _follow(running, images, begun)
        _print_results(console, running, images)
        if leave:
            return
        click.echo(f"\npage: {running.web_url}   Ctrl-C stops everything\n{_logins(logins)}")
        while True:
            running.jobs()  # restarts processes that ended
            time.sleep(_POLL_SECONDS)
    finally:
        running.stop()


def _logins(logins: Sequence[tuple[Role, str, str]]) -> str:
    """Return the lines that say how to log in."""
    lines = [f"  login {login:<12} password {password}" for _, login, password in logins]
    return "\n".join(["log in as one of:", *lines])


def _send(running: Demo, images: Sequence[DemoImage]) -> None:
    def key(image: DemoImage) -> str:
        return image.study_instance_uid

    for _, members in groupby(sorted(images, key=key), key=key):
        running.send(list(members))


def _follow(running: Demo, images: Sequence[DemoImage], begun: float) -> None:
    """Show the state of each study until all are settled."""
    with Live(console=Console(stderr=True), refresh_per_second=5, transient=True) as live:
        while True:
            jobs = running.jobs()
            live.update(_progress(images, jobs, time.monotonic() - begun))
            if all(settled(jobs.get(image.study_instance_uid)) for image in images):
                return
            time.sleep(_POLL_SECONDS)


def _progress(images: Sequence[DemoImage], jobs: dict[str, Job], elapsed: float) -> Table:
    table = Table("image", "state", "", title=f"{elapsed:.0f} s")
    for image in images:
        job = jobs.get(image.study_instance_uid)
        table.add_row(image.shown, job.state if job else "sent", job.reason if job else "")
    return table


def _print_results(console: Console, running: Demo, images: Sequence[DemoImage]) -> None:
    jobs = running.jobs()
    shown = {image.study_instance_uid: image.shown for image in images}
    for study, what in shown.items():
        job = jobs[study]
        console.rule(f"{what}: {job.state}", align="left")
        for line in [*_lines(running.drafted(job)), *running.places(job)]:
            click.echo(f"  {line}")
    if any(jobs[study].reason_code == Reason.NO_MODEL_FOR_PATIENTS for study in shown):
        click.echo(f"\n{_ONLY_SYNTHETIC}")
    sys.stdout.flush()


def _lines(job: JobWithDraft) -> list[str]:
    if job.draft is None:
        return [job.draft_fault or job.reason]
    draft = job.draft
    stated = [
        item
        for item in draft.findings
        if item.presence in STATED
        and item.observation is not Observation.NO_FINDING  # "no finding absent" has no meaning
    ]
    findings = ", ".join(f"{item.observation.value} {item.presence.value}" for item in stated)
    return [
        "UNVERIFIED AI DRAFT - not a diagnosis",
        *([draft.model.caveat] if draft.model.caveat else []),
        f"findings: {findings or 'none coded: read the text'}",
        f"text: {' '.join((*draft.findings_text, *draft.impression_text))}",
        *draft.notes,
    ]
