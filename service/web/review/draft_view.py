"""The content of the page on which a person reads one study and decides on its draft."""

from dataclasses import dataclass
from typing import Any, Final

from dicom.content import phrases
from dicom.content.report import Observation, Side
from service.accounts import Person, Role
from service.records import JobWithDraft, ReceivedInstance
from service.review.words import (
    ACCEPTABILITY_TEXT,
    Obstacle,
    Rejection,
    ReportState,
    Section,
    Verdict,
)
from service.study_identity import StudyIdentity
from service.web.app_context import AppContext
from service.web.identity import copies
from service.web.review.answers import review_json
from service.web.review.patients import dashed, patient_of
from service.web.review.questions_view import abilities, questions_part
from service.web.review.site_viewers import viewer_links

_REPORT_WORDS: Final = {
    ReportState.NONE: "No report is made of a rejected draft.",
    ReportState.UNDONE: "The decision was undone.",
    ReportState.WAITING: "The verified report is sent when the time to undo has passed.",
    ReportState.MADE: "The verified report is made and being sent.",
    ReportState.DELIVERED: "Every destination has acknowledged the verified report.",
    ReportState.READ_BACK: "The verified report is at every destination, and was read back there.",
    ReportState.FAILED: "The verified report has not reached every destination.",
    ReportState.NO_DESTINATION: "This study has no destination: no verified report is sent.",
}
_VERDICT_WORDS: Final = {
    Verdict.ACCEPT: "Accepted",
    Verdict.EDIT: "Edited and accepted",
    Verdict.REJECT: "Rejected",
}
_REGIONS: Final = "regions"  # in `ModelIdentity.cannot`
_MOST_PRIORS: Final = 3
_MOST_OF_A_PRIOR: Final = 2
# A draft with one of these is not shown as text that could be taken over.
_NOT_TO_BE_READ: Final = frozenset({Obstacle.WITHDRAWN.value})


@dataclass(frozen=True, slots=True, kw_only=True)
class EditorSentence:
    """A sentence as the editor shows it.

    Attributes:
        drafted: Its text in the draft; "" for one that a person added.
        must_answer: Why it must be answered, in words; "" if it need not be.
    """

    id: str
    section: str
    text: str
    answer: str
    drafted: str
    findings: tuple[str, ...]
    must_answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageOption:
    """An image that the page can show.

    Attributes:
        base: The address below which the viewer finds it.
        label: What it is, in a few words.
        reason: Why it was not read, or the date of an earlier study.
    """

    base: str
    label: str
    reason: str


def draft_values(here: AppContext, job_id: str, person: Person, *, amends: bool) -> dict[str, Any]:
    """Return what the template of the page shows.

    Args:
        here: The application's objects.
        job_id: The job of the draft.
        person: Who looks.
        amends: Whether the person amends the standing decision.

    Raises:
        NotFound: There is no such job, or it has no draft.
    """
    review, job = review_json(here.store, job_id), here.store.job(job_id)
    decision = review["decision"]
    can_amend = bool(decision) and decision["verdict"] != Verdict.REJECT.value
    may_edit = person.has(Role.RADIOLOGIST) and (decision is None or (amends and can_amend))
    patient = patient_of(here.store, job.study_instance_uid)
    hides_text = bool(review["obstacle"]) and review["obstacle"]["code"] in _NOT_TO_BE_READ
    return {
        "job": job,
        "review": review,
        "person": person,
        "patient": patient,
        "viewers": viewer_links(here.settings.web.viewers, job.study_instance_uid, patient),
        "copies": copies(here.store, job),
        "sentences": _sentences(review),
        "sections": list(Section),
        "findings": review["findings"],
        "verdicts": {
            each["id"]: each["verdict"] for each in review["review"]["content"]["findings"]
        },
        "regions": _regions(review["findings"]),
        "no_heat": "" if hides_text else _no_heat(job, review["findings"]),
        "images": _image_options(here, job, review),
        "no_silence": phrases.NOT_MENTIONED_NOTE,
        "edits": may_edit,
        "amends": decision["id"] if may_edit and decision else "",
        "can_amend": can_amend,
        "hides_text": hides_text,
        "asked": questions_part(here, job),
        "question_limits": abilities(job.draft.model) if job.draft else (),
        "asks": person.has(Role.RADIOLOGIST),
        "longest_question": here.settings.questions.longest,
        "folded": here.settings.web.fold_draft,
        "acceptability": [(step.value, text) for step, text in ACCEPTABILITY_TEXT.items()],
        "rejections": list(Rejection),
        "observations": [each for each in Observation if each is not Observation.NO_FINDING],
        "sides": list(Side),
        "decision_text": _VERDICT_WORDS[Verdict(decision["verdict"])] if decision else "",
        "report_text": _REPORT_WORDS[ReportState(decision["report"]["state"])] if decision else "",
        "is_own": bool(decision) and decision["by"]["id"] == person.id,
    }


def _sentences(review: dict[str, Any]) -> list[EditorSentence]:
    """Return the sentences of the stored text, and those of the draft that it leaves out."""
    drafted = {each["id"]: each for each in review["sentences"]}
    stored = {each["id"]: each for each in review["review"]["content"]["sentences"]}
    rows = [_sentence(each, drafted.get(each["id"])) for each in stored.values()]
    gone = [each for each in review["sentences"] if each["id"] not in stored]
    rows += [_sentence({**each, "text": "", "answer": ""}, each) for each in gone]
    return rows


def _sentence(stored: dict[str, Any], drafted: dict[str, Any] | None) -> EditorSentence:
    return EditorSentence(
        id=stored["id"],
        section=stored["section"],
        text=stored["text"],
        answer=stored["answer"],
        drafted=drafted["text"] if drafted else "",
        findings=tuple(drafted["findings"]) if drafted else (),
        must_answer=drafted["must_answer_why"] if drafted else "",
    )


def _image_options(
    here: AppContext, job: JobWithDraft, review: dict[str, Any]
) -> list[ImageOption]:
    """Return the images to be shown: the one that was read, others of the study, earlier studies."""
    read = review["image"]["sop_instance_uid"]
    reasons = {each["sop_instance_uid"]: each["reason"] for each in review["not_read"]}
    study = job.study_instance_uid
    own = [
        ImageOption(
            base=_base(study, each.sop_instance_uid),
            label="Read by the AI" if each.sop_instance_uid == read else "Not read by the AI",
            reason=reasons.get(each.sop_instance_uid, ""),
        )
        for each in _images(here, study, first=read)
    ]
    earlier = [
        ImageOption(
            base=_base(prior.study_uid, each.sop_instance_uid), label="Earlier", reason=reason
        )
        for prior, reason in _priors(here, study)
        for each in _images(here, prior.study_uid)[:_MOST_OF_A_PRIOR]
    ]
    return [*own, *earlier]


def _priors(here: AppContext, study_uid: str) -> list[tuple[StudyIdentity, str]]:
    """Return the latest earlier studies of the patient that are still stored, each with its date."""
    own = here.store.identity_of(study_uid)
    if own is None or not own.patient_id:
        return []
    found = [
        each
        for each in here.store.search_identities(own.patient_id)
        if (each.patient_id, each.issuer) == (own.patient_id, own.issuer)
        and each.study_uid != study_uid
        and each.birth_date == own.birth_date
        and each.study_date <= own.study_date
    ]
    latest = sorted(found, key=lambda each: each.study_date, reverse=True)[:_MOST_PRIORS]
    return [(each, dashed(each.study_date)) for each in latest]


def _images(here: AppContext, study_uid: str, first: str = "") -> list[ReceivedInstance]:
    found = [each for each in here.store.instances(study_uid) if not each.conflict]
    return sorted(found, key=lambda each: each.sop_instance_uid != first)


def _base(study_uid: str, sop_uid: str) -> str:
    return f"../studies/{study_uid}/films/{sop_uid}/"


def _no_heat(job: JobWithDraft, findings: list[dict[str, Any]]) -> str:
    """Return why no finding has a heat map, or ""."""
    if any(each["heat"] for each in findings):
        return ""
    if job.draft is not None and _REGIONS in job.draft.model.cannot:
        return f"{job.draft.model.name} cannot show where in the image a finding comes from."
    return "No heat map is stored with this draft: the model was not asked for places, or saw none."


def _regions(findings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the regions of findings as the viewer takes them."""
    return [
        {
            "finding": each["id"],
            "label": " ".join(filter(None, (each["side"], each["observation"]))),
            "points": each["region"]["points"],
        }
        for each in findings
        if each["region"]
    ]
