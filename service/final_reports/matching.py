"""Which study a final report is of: accession number, then Study UID, then patient and day. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from service.final_reports.report import FinalState, MatchedBy, ReportKeys, StudyMatch
from service.study_identity import StudyIdentity


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """Studies that are here.

    Attributes:
        by_accession: Those with the report's accession number.
        by_uid: The one with its Study Instance UID, with an empty identity where none is kept.
        by_patient_day: Those of its patient on its day.
    """

    by_accession: Sequence[StudyIdentity] = ()
    by_uid: StudyIdentity | None = None
    by_patient_day: Sequence[StudyIdentity] = ()


def matched_study(keys: ReportKeys, found: Candidates) -> StudyMatch:
    """Return the study of a report as NO_DRAFT, or that there is none or more than one.

    A study whose known patient differs from the report's is never taken, nor one of two studies that
    accession number and Study UID name: one of the two is wrong. By patient and day no study is taken
    whose accession number or Study UID is not the report's: a patient has other examinations on that
    day, whose images may not come here.
    """
    by_uid = () if found.by_uid is None else (found.by_uid,)
    if found.by_accession and by_uid and not _has(found.by_accession, by_uid[0].study_uid):
        return StudyMatch(state=FinalState.AMBIGUOUS)
    same_day = [each for each in found.by_patient_day if _may_be_same_examination(keys, each)]
    steps = (
        (MatchedBy.ACCESSION, found.by_accession),
        (MatchedBy.STUDY_UID, by_uid),
        (MatchedBy.PATIENT_DAY, same_day),
    )
    for matched_by, studies in steps:
        if studies:
            return _one_of(keys, matched_by, studies)
    return StudyMatch(state=FinalState.UNMATCHED)


def _one_of(
    keys: ReportKeys, matched_by: MatchedBy, studies: Sequence[StudyIdentity]
) -> StudyMatch:
    same = [each for each in studies if _may_be_same_patient(keys, each)]
    if len(same) > 1 and keys.study_uid:
        same = [each for each in same if each.study_uid == keys.study_uid]
    if len(same) != 1:
        return StudyMatch(state=FinalState.AMBIGUOUS)
    return StudyMatch(state=FinalState.NO_DRAFT, matched_by=matched_by, study_uid=same[0].study_uid)


def _has(studies: Sequence[StudyIdentity], uid: str) -> bool:
    return any(each.study_uid == uid for each in studies)


def _may_be_same_examination(keys: ReportKeys, study: StudyIdentity) -> bool:
    if keys.study_uid and keys.study_uid != study.study_uid:
        return False
    ours, theirs = _written(keys.accession_number), _written(study.accession_number)
    return not ours or not theirs or ours == theirs


def _written(number: str) -> str:
    """Return a number without case, leading zeros and separators, in which systems differ."""
    return re.sub(r"\W+", "", number).casefold().lstrip("0")


def _may_be_same_patient(keys: ReportKeys, study: StudyIdentity) -> bool:
    pairs = ((keys.patient_id, study.patient_id), (keys.issuer, study.issuer))
    return all(not ours or not theirs or ours == theirs.strip() for ours, theirs in pairs)
