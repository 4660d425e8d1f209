"""A reading task on a store, with a scripted reader."""

import dataclasses
import threading

from dicom.content.report import NotRead
from dicom.results.outputs import Output
from service.settings.config import load_settings
from workers.app import worker_app
from workers.reading.drafting import Drafting
from workers.reading.outcomes import Drafted, NotAnalysed, Unchanged
from workers.tasks import register_read

STUDY = "1.2.3"


class ScriptedReader:
    """Reads the first image, or follows the script; records its calls."""

    def __init__(self, drafts):
        self.drafts = drafts
        self.script = []
        self.asked = []
        self.urgent = []

    def read(
        self, study, *, revision, predecessor, produced_at, already_read, urgent, rules, canceled
    ):
        """Return the result of the next line of the script."""
        self.asked.append((study, revision, predecessor, produced_at))
        self.urgent.append(urgent)
        self.rules = rules
        step = self.script.pop(0) if self.script else None
        if isinstance(step, Exception):
            raise step
        if isinstance(step, NotAnalysed):
            return step
        if callable(step):
            step(canceled)
        image = study.instances[step if isinstance(step, int) else 0]
        if image.sop_instance_uid in already_read:
            return Unchanged(code="NO_CHANGE", sentence="The same image.", not_read=())
        others = [each for each in study.instances if each is not image]
        draft = dataclasses.replace(
            self.drafts.draft(image, produced_at, revision, predecessor),
            not_read=tuple(
                NotRead(sop_instance_uid=each.sop_instance_uid, reason="Another is read.")
                for each in others
            ),
        )
        report = self.drafts.report(study.study_instance_uid, revision)
        report.ContentDate = produced_at.strftime("%Y%m%d")
        report.ContentTime = produced_at.strftime("%H%M%S.%f")
        report.PreliminaryFlag, report.VerificationFlag = "PRELIMINARY", "UNVERIFIED"
        made = Output(kind="draft-report", dataset=report)
        return Drafted(draft=draft, outputs=(made,))


class Bench:
    """A store, a reading task, and the operations of a test on them."""

    def __init__(self, store, folder, drafts, **sections):
        self.drafts = drafts
        self.store = store
        self.image = drafts.file(folder / "image.dcm", STUDY)
        self.settings = load_settings(
            data_dir=folder,
            broker={"url": "redis://127.0.0.1:1/0"},
            destinations=[{"kind": "folder", "name": "A", "path": str(folder / "a")}],
            reading={"max_attempts": 2, "lease_seconds": 60} | sections.get("reading", {}),
        )
        self.reader = ScriptedReader(drafts)
        self.published = []
        self.abandon = threading.Event()
        self.replaced = []
        self.task = self.worker("reader")

    def worker(self, owner):
        """Return the reading task of another worker on the same store."""
        return register_read(worker_app(self.settings), self.drafting(owner))

    def drafting(self, owner, publish=None):
        """Return the work of a worker on the same store."""
        return Drafting(
            self.store,
            self.settings,
            self.reader,
            publish or self.published.append,
            owner,
            self.abandon,
            lambda: self.replaced.append(owner),
        )

    def arrive(self, number=1, study=STUDY, destinations=None):
        """Let an image arrive and its study be scheduled; return the new job or None."""
        path = self.image
        if study != STUDY:
            path = self.drafts.file(self.image.with_name(f"{study}.dcm"), study)
        image = self.drafts.image(study, number, path)
        return self.drafts.arrived(self.store, image, destinations)
