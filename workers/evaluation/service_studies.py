"""The studies of the service itself: what it received since a day and still has in its spool."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Final

from dicom.errors import DicomError
from service.assessment.study_rows import Attribute
from service.records import Job
from service.store import Store
from service.store.operator.repeats import Selection
from workers.evaluation.cases import Case, Received, Unreadable
from workers.evaluation.studies import dicom_case

_MOST: Final = 1_000_000
REMOVED: Final = "its images were removed by retention"


def studies_of_service(
    store: Store, faults: list[str], *, since: datetime, until: datetime | None
) -> Received:
    """Return the studies with a job made in this time; each is read again from the spool.

    Args:
        store: The service's.
        faults: One is added where there is no study.
        since: The first time.
        until: The time at which the run began, so that a run that continues has the same studies.
    """
    jobs: dict[str, Job] = {}
    for job in store.matching(Selection(since=since, until=until), limit=_MOST):
        jobs[job.study_instance_uid] = job
    found = list(_cases(store, jobs.values()))
    if not jobs:
        faults.append(f"the service has no study since {since:%Y-%m-%d %H:%M}")
    return Received(
        source=f"the service, studies since {since:%Y-%m-%d %H:%M %z}",
        cases=tuple(
            sorted((each for each in found if isinstance(each, Case)), key=lambda case: case.id)
        ),
        unreadable=tuple(each for each in found if isinstance(each, Unreadable)),
    )


def _cases(store: Store, jobs: Iterable[Job]) -> Iterator[Case | Unreadable]:
    for job in jobs:
        study = store.study(job.study_instance_uid)
        kept = tuple(each for each in study.instances if each.path.is_file())
        if not kept:
            yield Unreadable(id=job.study_instance_uid, reason=REMOVED)
            continue
        try:
            case = dicom_case(replace(study, instances=kept))
        except (DicomError, OSError) as error:
            yield Unreadable(id=job.study_instance_uid, reason=str(error))
            continue
        urgent = "urgent" if job.urgent else "routine"
        added = {Attribute.AE: job.calling_ae, Attribute.URGENT: urgent}
        yield replace(case, attributes={**case.attributes, **added}, calling_ae=job.calling_ae)
