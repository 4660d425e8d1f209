"""The account in the end: for every film that a sender saw acknowledged, what lies in the PACS."""

import io
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx
import pydicom

from dicom.spool import content_digest
from service.jobs import FINAL, JobState
from service.records import Job
from torment.load import SentStudy
from torment.site import Site

_BASIC_TEXT_SR: Final = "1.2.840.10008.5.1.4.1.1.88.11"
# A later film that changes nothing ends its job so; a job that a later one made needless, too.
_GOOD_ENDS: Final = (JobState.COMPLETED, JobState.CANCELED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """One draft report as the PACS holds it."""

    study_instance_uid: str
    sop_instance_uid: str
    patient_id: str
    revision: int
    film: str


def open_jobs(site: Site, sent: Sequence[SentStudy]) -> int:
    """Return how many studies and jobs have not reached their end."""
    jobs = site.store.jobs(limit=100_000)
    known = {job.study_instance_uid for job in jobs if job.state in FINAL}
    waiting = len({study.study_instance_uid for study in sent} - known)
    return waiting + sum(job.state not in FINAL for job in jobs) + len(site.store.arriving(100_000))


def violations(site: Site, sent: Sequence[SentStudy]) -> list[str]:
    """Return a sentence for each thing that is not as it was promised; none is what should be."""
    drafts = _in_pacs(site)
    jobs = site.store.jobs(limit=100_000)
    of_study: dict[str, list[Draft]] = defaultdict(list)
    for draft in drafts:
        of_study[draft.study_instance_uid].append(draft)
    known = {study.study_instance_uid for study in sent}
    strangers = [f"a draft of study {uid}, which nobody sent" for uid in set(of_study) - known]
    return [
        *strangers,
        *_not_kept(site, sent),
        *(
            fault
            for study in sent
            for fault in _faults_of(study, of_study[study.study_instance_uid])
        ),
        *_wrong_ends(jobs),
        *_not_one_for_one(site, jobs, drafts),
        *_leftovers(site),
    ]


def _not_kept(site: Site, sent: Sequence[SentStudy]) -> Iterator[str]:
    """Compare each acknowledged film with its file by its hash, unless retention noted its removal.

    On a full disk retention removes early the films whose drafts are confirmed; their rows stay.
    """
    known = {
        film.sop_instance_uid
        for study in sent
        for film in site.store.instances(study.study_instance_uid)
    }
    for film in (film for study in sent for film in study.films if film.acknowledged):
        kept = site.store.films_of(film.sop_instance_uid)
        if not kept and film.sop_instance_uid in known:
            continue
        if [content_digest(each.path) for each in kept] != [content_digest(film.path)]:
            yield f"film {film.sop_instance_uid}: acknowledged, and not kept once as it was sent"


def _faults_of(study: SentStudy, drafts: list[Draft]) -> Iterator[str]:
    name = f"study {study.study_instance_uid}"
    if not drafts:
        yield f"{name}: acknowledged, and no draft in the PACS"
        return
    for revision, count in Counter(draft.revision for draft in drafts).items():
        if count > 1:
            yield f"{name}: {count} drafts of revision {revision}"
    for draft in drafts:
        if draft.patient_id != study.patient_id:
            yield f"{name}: its draft is under another patient"
        if draft.film not in {film.sop_instance_uid for film in study.films}:
            yield f"{name}: its draft is about a film of another study"
    last = max(drafts, key=lambda draft: draft.revision)
    if last.film != study.expected():
        yield f"{name}: its last draft, revision {last.revision}, is not about the film to be read"


def _wrong_ends(jobs: Sequence[Job]) -> Iterator[str]:
    for job in jobs:
        if job.state not in _GOOD_ENDS:
            yield f"job {job.id}: {job.state} after {job.attempts} attempts: {job.reason}"


def _not_one_for_one(site: Site, jobs: Sequence[Job], drafts: Sequence[Draft]) -> Iterator[str]:
    """Compare the PACS with what the service believes: every object there, and no other."""
    made = {
        each.sop_instance_uid: job
        for job in jobs
        for each in site.store.objects(job.id)
        if each.sop_class_uid == _BASIC_TEXT_SR
    }
    there = Counter(draft.sop_instance_uid for draft in drafts)
    for uid, job in made.items():
        if job.state is JobState.COMPLETED and there[uid] != 1:
            yield f"job {job.id}: COMPLETED, and {there[uid]} of its draft in the PACS"
    for uid in set(there) - set(made):
        yield f"draft {uid}: in the PACS, and of no job"


def _leftovers(site: Site) -> Iterator[str]:
    for path in (site.settings.spool_dir / "tmp").iterdir():
        yield f"left over in the spool: {path.name}"
    for process in site.strays():
        yield f"left over: process {process.pid}"


def outbox_leftovers(site: Site) -> int:
    """Return how many files of broken-off writes lie in the outbox until retention."""
    return sum(1 for _ in site.settings.outbox_dir.rglob("*.partial"))


def _in_pacs(site: Site) -> list[Draft]:
    with httpx.Client(base_url=site.orthanc_url, timeout=60) as client:

        def get(path: str) -> Any:  # noqa: ANN401 - Orthanc's JSON
            return client.get(path).raise_for_status().json()

        series = [
            each for each in get("/series?expand") if each["MainDicomTags"]["Modality"] == "SR"
        ]
        files = [
            client.get(f"/instances/{identifier}/file").raise_for_status().content
            for each in series
            for identifier in each["Instances"]
        ]
    datasets = [pydicom.dcmread(io.BytesIO(content)) for content in files]
    return [_draft(each) for each in datasets if each.SOPClassUID == _BASIC_TEXT_SR]


def _draft(dataset: pydicom.Dataset) -> Draft:
    evidence = dataset.CurrentRequestedProcedureEvidenceSequence[0]
    film = evidence.ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    return Draft(
        study_instance_uid=str(dataset.StudyInstanceUID),
        sop_instance_uid=str(dataset.SOPInstanceUID),
        patient_id=str(dataset.PatientID),
        revision=int(dataset.SeriesNumber),
        film=str(film.ReferencedSOPInstanceUID),
    )
