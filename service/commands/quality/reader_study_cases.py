"""The cases of a new reader study: from a case list, or from the service's drafts and final reports."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from pydicom.uid import UID

from dicom.content.report import DraftReport
from service.accounts import InvalidAccount, Person, Role
from service.jobs import DraftStatus
from service.reader_study.case_list import MOST_CASES, CaseLine
from service.reader_study.errors import InvalidReaderStudy
from service.reader_study.normalizer import Telltale, normalized, telltales
from service.reader_study.study import CaseText, StudyCase
from service.reader_study.words import Arm
from service.records import JobWithDraft
from service.store import Store

_MOST_FAULTS: Final = 50
_UNEQUAL_WORDS: Final = 1.5
_REPORTS_PER_CASE: Final = 10


def cases_of_list(store: Store, lines: Sequence[CaseLine], source: str) -> tuple[StudyCase, ...]:
    """Return the cases of a case list, texts in the common form.

    Args:
        store: Where the images, and drafts without a text in the list, are found.
        lines: The lines of the list.
        source: The name of the list.

    Raises:
        InvalidReaderStudy: Names every case that cannot be used.
    """
    grouped: dict[str, list[CaseLine]] = defaultdict(list)
    for each in lines:
        grouped[each.id].append(each)
    cases, faults = list[StudyCase](), list[str]()
    for label, own in grouped.items():
        try:
            cases.append(_case(store, label, own, source))
        except InvalidReaderStudy as fault:
            faults += fault.faults
    if faults:
        raise InvalidReaderStudy(*faults[:_MOST_FAULTS])
    return tuple(cases)


def cases_of_service(store: Store, since: datetime | None, limit: int) -> tuple[StudyCase, ...]:
    """Return the service's own cases: drafts that stand, with a final report whose text is kept.

    Raises:
        InvalidReaderStudy: There is none.
    """
    cases = list[StudyCase]()
    # More than the limit: some reports have no draft that stands, or no image any more.
    for kept in store.kept_reports(since, limit=_REPORTS_PER_CASE * limit):
        if len(cases) == min(limit, MOST_CASES):
            break
        job = store.job(kept.job_id)
        draft = _usable_draft(job)
        reference = normalized(kept.text)
        if draft is None or not reference or not _has_image(store, job, draft):
            continue
        drafted = _draft_text(job, draft)
        if drafted.text:
            report = CaseText(arm=Arm.REFERENCE, source="final report", text=reference)
            cases.append(
                StudyCase(
                    label=job.id[:12],
                    study_uid=job.study_instance_uid,
                    sop_instance_uid=draft.source.sop_instance_uid,
                    texts=(drafted, report),
                )
            )
    if not cases:
        raise InvalidReaderStudy(
            "The service has no draft with a final report whose text is kept: set "
            "final_reports.keep_text before the reports arrive, or give a case list (--cases)."
        )
    return tuple(cases)


def readers_of(store: Store, logins: Sequence[str]) -> tuple[Person, ...]:
    """Return the persons of these login names.

    Raises:
        InvalidReaderStudy: Names each that is unknown, disabled or no radiologist.
    """
    found, faults = list[Person](), list[str]()
    for login in dict.fromkeys(logins):
        try:
            account = store.account_of(login)
        except InvalidAccount:
            faults.append(f"{login}: there is no such account: add it with `wetread user add`.")
            continue
        if account.disabled_at is not None:
            faults.append(f"{login}: the account is disabled.")
        elif not account.person.has(Role.RADIOLOGIST):
            faults.append(f"{login}: a reader needs the role radiologist.")
        else:
            found.append(account.person)
    if faults:
        raise InvalidReaderStudy(*faults)
    return tuple(found)


def cautions_of(cases: Sequence[StudyCase]) -> list[str]:
    """Return what may show the arm although the layout is the same, and what is missing for pairs."""
    by_arm = {arm: [t.text for c in cases for t in c.texts if t.arm is arm] for arm in Arm}
    found = [_telltale_words(each, by_arm) for each in Telltale]
    words = {arm: _mean_words(texts) for arm, texts in by_arm.items()}
    low, high = sorted(words.values())
    if low and high / low > _UNEQUAL_WORDS:
        found.append(
            "The texts differ in length: "
            + ", ".join(f"{mean:.0f} words in the mean ({arm})" for arm, mean in words.items())
            + ". Readers may recognize the arm."
        )
    single = sum(len(case.texts) < len(Arm) for case in cases)
    if single:
        found.append(f"{single} of {len(cases)} cases have one arm only: they form no pair.")
    return [each for each in found if each]


def _telltale_words(what: Telltale, by_arm: Mapping[Arm, Sequence[str]]) -> str:
    counts = {arm: sum(what in telltales(each) for each in texts) for arm, texts in by_arm.items()}
    if not any(counts.values()):
        return ""
    numbers = ", ".join(f"{counts[arm]} of {len(texts)} {arm}s" for arm, texts in by_arm.items())
    return f"{what.value.capitalize()}: {numbers}. Readers may recognize the arm."


def _mean_words(texts: Sequence[str]) -> float:
    return sum(len(each.split()) for each in texts) / len(texts) if texts else 0.0


def _case(store: Store, label: str, lines: Sequence[CaseLine], source: str) -> StudyCase:
    """Return one case.

    Raises:
        InvalidReaderStudy: Its image or a text is missing.
    """
    study_uid, where = lines[0].study_uid, lines[0].where
    job = store.standing_draft(study_uid)
    draft = _usable_draft(job) if job else None
    texts = []
    for line in lines:
        if line.text.strip():
            text = CaseText(arm=line.arm, source=source, text=normalized(line.text))
        elif job is not None and draft is not None:
            text = _draft_text(job, draft)
        else:
            raise InvalidReaderStudy(f"{line.where}: the service has no draft of this study.")
        if not text.text:
            raise InvalidReaderStudy(f"{line.where}: the text has no statement about the image.")
        texts.append(text)
    image = _image(store, study_uid, draft.source.sop_instance_uid if draft else "")
    if not image:
        raise InvalidReaderStudy(
            f"{where}: no image of this study is stored here: send it to the receiver first."
        )
    return StudyCase(label=label, study_uid=study_uid, sop_instance_uid=image, texts=tuple(texts))


def _usable_draft(job: JobWithDraft) -> DraftReport | None:
    return job.draft if job.draft_status is DraftStatus.STANDS else None


def _draft_text(job: JobWithDraft, draft: DraftReport) -> CaseText:
    """Return the draft's sentences; its notes and caveat are no part of them."""
    lines = "\n".join((*draft.findings_text, *draft.impression_text))
    return CaseText(arm=Arm.DRAFT, source=job.drafted_by, text=normalized(lines))


def _has_image(store: Store, job: JobWithDraft, draft: DraftReport) -> bool:
    wanted = draft.source.sop_instance_uid
    return _image(store, job.study_instance_uid, wanted) == wanted


def _image(store: Store, study_uid: str, drafted: str) -> str:
    """Return the image to be shown: the one of the draft, else the first of the study; "" for none."""
    stored = [
        each.sop_instance_uid
        for each in store.instances(study_uid)
        if not each.conflict and "Image Storage" in UID(each.sop_class_uid).name
    ]
    return drafted if drafted in stored else next(iter(stored), "")
