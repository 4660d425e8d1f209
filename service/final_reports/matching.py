"""Which study a final report is of: accession number, then Study UID, then patient and day. Pure."""

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

    A study whose known patient differs from the report's is never taken: one of the two is wrong.
    """
    steps = (
        (MatchedBy.ACCESSION, found.by_accession),
        (MatchedBy.STUDY_UID, () if found.by_uid is None else (found.by_uid,)),
        (MatchedBy.PATIENT_DAY, found.by_patient_day),
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


def _may_be_same_patient(keys: ReportKeys, study: StudyIdentity) -> bool:
    pairs = ((keys.patient_id, study.patient_id), (keys.issuer, study.issuer))
    return all(not ours or not theirs or ours == theirs.strip() for ours, theirs in pairs)
