"""`wetread support-bundle`: a ZIP file for the maintainers, without patient data."""

import os
from pathlib import Path

import click

from service.audit import AuditAction
from service.commands.audited import note
from service.commands.opened import open_store
from service.settings.config import load_settings
from service.support.bundle import BundleRequest
from service.support.bundle import support_bundle as make_bundle


@click.command("support-bundle")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The new ZIP file.")
@click.option("--job", "job_id", default="", help="Also about this job; a unique prefix is enough.")
@click.option(
    "--log",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A log in JSON (log.format = json): its last known events are added.",
)
def support_bundle(*, out: Path, job_id: str, log: Path | None) -> None:
    """Write versions, allowed settings, checks, states and figures to a ZIP file.

    It holds no patient data: identifiers and sentences are hashed by a key of this site.
    """
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log else None
    with open_store() as store:
        note(store, AuditAction.EXPORTED, detail=f"support bundle {job_id}".rstrip())
        content = make_bundle(store, load_settings(), BundleRequest(job_id=job_id, log=lines))
    _write(out, content)
    click.echo(
        f"{out}: {len(content)} bytes. Read README.txt and check.txt in it before you send it."
    )


def _write(out: Path, content: bytes) -> None:
    """Write a file that only its user can read; an existing file is not replaced."""
    handle = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as stream:
        stream.write(content)
