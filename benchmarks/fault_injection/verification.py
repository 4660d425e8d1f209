"""The verification at the end: the objects in the PACS for every acknowledged image."""

import contextlib
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fault_injection.load import Sender, SentImage, SentStudy
from fault_injection.pacs import stored_in
from fault_injection.second_verification import differences, flooded
from fault_injection.site import Site
from fault_injection.stored import Draft, Stored, content_digest
from service.errors import StoreError
from service.jobs import FINAL, JobState
from service.records import Job
from workers.delivery.delivering import MOST_SENDS

# CANCELED: the later image of the job changes nothing, or a later job made this one needless.
_GOOD_ENDS: Final = (JobState.COMPLETED, JobState.CANCELED)
_ALL: Final = 100_000
_POLL_SECONDS: Final = 2.0  # seconds


@dataclass(slots=True, kw_only=True)
class Account:
    """The result of the verification.

    Attributes:
        broken: A sentence for each broken guarantee; empty if all hold.
        objects: How many objects are in the PACS.
        drafts: How many of them are draft reports.
        removed: How many images retention has removed early.
        unseen: How many of these `Watch` had not seen before.
        texts: How many different texts were drafted, and of how many different pictures.
        copies: How many objects the second PACS stored under a new UID.
    """

    broken: list[str] = field(default_factory=list)
    objects: int = 0
    drafts: int = 0
    removed: int = 0
    unseen: int = 0
    texts: tuple[int, int] = (0, 0)
    copies: int = 0


def open_jobs(site: Site, sent: Sequence[SentStudy]) -> int:
    """Return how many studies and jobs have not reached their end."""
    jobs = site.store.jobs(limit=_ALL)
    known = {job.study_instance_uid for job in jobs if job.state in FINAL}
    waiting = len({study.study_instance_uid for study in sent} - known)
    return waiting + sum(job.state not in FINAL for job in jobs) + len(site.store.arriving(_ALL))


def void_results(site: Site) -> list[Path]:
    """Return the files in the outbox that belong to no result of any job."""
    jobs = site.store.jobs(limit=_ALL)
    made = {each.path for job in jobs for each in site.store.objects(job.id)}
    return [
        path for path in site.settings.outbox_dir.rglob("*") if path.is_file() and path not in made
    ]


def account(site: Site, sent: Sequence[SentStudy]) -> Account:
    """Return the result: the objects that exist, and every broken guarantee."""
    stored = list(stored_in(site))
    drafts = [each for each in stored if isinstance(each, Draft)]
    jobs = site.store.jobs(limit=_ALL)
    found = Account(objects=len(stored), drafts=len(drafts), texts=_texts(sent, drafts))
    found.broken += _not_kept(site, sent, found)
    found.broken += misjudged(sent, stored)
    found.broken += _wrong_ends(jobs)
    found.broken += _not_one_for_one(site, jobs, stored)
    kept = dict(site.second.kept)
    found.broken += [f"second PACS: {fault}" for fault in misjudged(sent, list(kept.values()))]
    found.broken += differences(site, jobs, stored, kept)
    found.broken += flooded(site.second.copies, MOST_SENDS)
    found.copies = site.second.renamed
    found.broken += _leftovers(site)
    return found


def misjudged(sent: Sequence[SentStudy], stored: Sequence[Stored]) -> Iterator[str]:
    """Yield each difference between the objects in the PACS and the acknowledged images."""
    drafts = [each for each in stored if isinstance(each, Draft)]
    of_study: dict[str, list[Draft]] = defaultdict(list)
    for draft in drafts:
        of_study[draft.study_instance_uid].append(draft)
    yield from _of_others(sent, stored)
    for study in sent:
        yield from _faults_of(study, of_study[study.study_instance_uid])
    yield from _mixed_up(sent, drafts)


def _not_kept(site: Site, sent: Sequence[SentStudy], found: Account) -> Iterator[str]:
    """Compare each acknowledged image with its file by its hash, unless retention noted its removal.

    On a full disk retention removes early the images whose drafts are confirmed; their rows stay.
    """
    for image in (image for study in sent for image in study.images if image.acknowledged):
        if is_kept(site, image):
            continue
        rows = site.store.instances_named([(image.sop_instance_uid, _digest(image.path))])
        if any(row.is_removed for row in rows.values()):
            found.removed += 1
            found.unseen += not image.was_seen
            continue
        yield f"image {image.sop_instance_uid}: acknowledged, and not kept once as it was sent"


def is_kept(site: Site, image: SentImage) -> bool:
    """Return whether an image lies in the spool once, as it was sent.

    Raises:
        StoreError: The database does not answer.
    """
    kept = site.store.instances_with_uid(image.sop_instance_uid)
    return [_digest(each.path) for each in kept] == [_digest(image.path)]


class Watch(threading.Thread):
    """Checks during the faults that images are kept, before retention may remove them."""

    def __init__(self, site: Site, senders: Sequence[Sender]) -> None:
        """Take the senders of the images."""
        super().__init__(name="watch", daemon=True)
        self._site = site
        self._senders = senders
        self._ended = threading.Event()

    def run(self) -> None:
        """Record each acknowledged image that exists."""
        while not self._ended.wait(_POLL_SECONDS):
            studies = [study for sender in self._senders for study in list(sender.studies)]
            for image in (image for study in studies for image in study.images):
                if image.acknowledged and not image.was_seen:
                    with contextlib.suppress(StoreError):
                        image.was_seen = is_kept(self._site, image)

    def stop(self) -> None:
        """Stop checking."""
        self._ended.set()
        self.join()


def _digest(path: Path) -> str:
    """Return the digest of a file's data set; "" if it is not there."""
    try:
        return content_digest(path.read_bytes())
    except OSError:
        return ""


def _of_others(sent: Sequence[SentStudy], stored: Sequence[Stored]) -> Iterator[str]:
    """Compare the patient of every object with that of the study that was sent."""
    patients = {study.study_instance_uid: study.patient for study in sent}
    for each in stored:
        patient = patients.get(each.study_instance_uid)
        if patient is None:
            yield f"object {each.sop_instance_uid}: of a study that was not sent"
        elif each.patient != patient:
            yield f"object {each.sop_instance_uid}: under another patient than its study"


def _faults_of(study: SentStudy, drafts: list[Draft]) -> Iterator[str]:
    name = f"study {study.study_instance_uid}"
    if not drafts:
        yield f"{name}: acknowledged, and no draft in the PACS"
        return
    for revision, count in Counter(draft.revision for draft in drafts).items():
        if count > 1:
            yield f"{name}: {count} drafts of revision {revision}"
    for draft in drafts:
        if draft.image not in {image.sop_instance_uid for image in study.images}:
            yield f"{name}: its draft is about an image of another study"
    last = max(drafts, key=lambda draft: draft.revision)
    if last.image != study.expected():
        yield f"{name}: its last draft, revision {last.revision}, is not about the image to be read"


def _mixed_up(sent: Sequence[SentStudy], drafts: Sequence[Draft]) -> Iterator[str]:
    """Compare the texts of drafts: images of the same picture have the same report.

    The model is the same throughout, so a different text was read from another image.
    """
    for (picture, view), texts in _texts_by_image(sent, drafts).items():
        if len(texts) > 1:
            yield f"picture {picture} {view}: {len(texts)} different texts about it: {texts}"


def _texts(sent: Sequence[SentStudy], drafts: Sequence[Draft]) -> tuple[int, int]:
    texts = _texts_by_image(sent, drafts)
    return len(set().union(*texts.values())), len(texts)


def _texts_by_image(
    sent: Sequence[SentStudy], drafts: Sequence[Draft]
) -> dict[tuple[int, str], set[tuple[str, ...]]]:
    """Return all texts about each picture and view."""
    images = {image.sop_instance_uid: image for study in sent for image in study.images}
    texts: dict[tuple[int, str], set[tuple[str, ...]]] = defaultdict(set)
    for draft in drafts:
        if image := images.get(draft.image):
            texts[image.picture, image.view].add(draft.findings)
    return texts


def _wrong_ends(jobs: Sequence[Job]) -> Iterator[str]:
    for job in jobs:
        if job.state not in _GOOD_ENDS:
            yield f"job {job.id}: {job.state} after {job.attempts} attempts: {job.reason}"


def _not_one_for_one(site: Site, jobs: Sequence[Job], stored: Sequence[Stored]) -> Iterator[str]:
    """Compare the PACS with the service's database: every object as it was made, and no other."""
    made = {
        each.sop_instance_uid: (job, each) for job in jobs for each in site.store.objects(job.id)
    }
    there = Counter(each.sop_instance_uid for each in stored)
    for uid, (job, _) in made.items():
        if job.state is JobState.COMPLETED and there[uid] != 1:
            yield f"job {job.id}: COMPLETED, and {there[uid]} of its object {uid} in the PACS"
    for each in stored:
        if each.sop_instance_uid not in made:
            yield f"object {each.sop_instance_uid}: in the PACS, and of no job"
        elif each.sha256 != made[each.sop_instance_uid][1].sha256:
            yield f"object {each.sop_instance_uid}: not in the PACS as it was made"


def _leftovers(site: Site) -> Iterator[str]:
    """Yield the remains of interrupted work, on the disk and among the processes."""
    for path in (site.settings.spool_dir / "tmp").iterdir():
        yield f"left over in the spool: {path.name}"
    for process in site.strays():
        yield f"left over: process {process.pid}"
    look = site.run("spool", "verify", "--hash", "--json", "--young-minutes", "0")
    if look.returncode:
        yield f"`wetread spool verify` has findings: {look.stdout} {look.stderr[-2000:]}"
