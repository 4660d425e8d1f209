"""A found study in words: the findings of its draft, the decision, the final impression."""

import re
from collections.abc import Sequence
from typing import Final

from dicom.content.report import Presence
from service.jobs import DraftStatus
from service.review.words import Verdict
from service.search.similar import FoundStudy

CAUTION: Final = "AI search, unverified"
_LONGEST: Final = 400  # characters of an impression
_IMPRESSION: Final = re.compile(r"\bimpression\s*:?\s*", re.I)
_DECIDED: Final = {
    Verdict.ACCEPT: "draft accepted",
    Verdict.EDIT: "draft edited and accepted",
    Verdict.REJECT: "draft rejected",
}
_STATUS: Final = {
    DraftStatus.WITHDRAWN: "draft withdrawn",
    DraftStatus.IN_DOUBT: "draft in doubt",
    DraftStatus.SUPERSEDED: "draft superseded",
}
_WITHHELD: Final = "draft withheld"
_NOT_CODED: Final = "findings not coded"
_NORMAL: Final = "no finding stated as present"


def findings_words(found: FoundStudy) -> Sequence[str]:
    """Return the findings that the draft states as present or possible, each in words.

    Of a withdrawn draft none is repeated.
    """
    job = found.job
    if job is None or job.draft is None or job.draft_status is DraftStatus.WITHDRAWN:
        return ()
    if not job.draft.is_coded:
        return (_NOT_CODED,)
    words = []
    for each in job.draft.findings:
        if (
            each.presence in (Presence.PRESENT, Presence.UNCERTAIN)
            and each.observation != "no finding"
        ):
            side = f"{each.side.value} " if each.side else ""
            possible = "possible " if each.presence is Presence.UNCERTAIN else ""
            words.append(f"{possible}{side}{each.observation.value}")
    return words or (_NORMAL,)


def status_words(found: FoundStudy) -> str:
    """Return what a reader must know of the draft: withdrawn, in doubt, superseded, withheld; or ""."""
    if found.job is None:
        return ""
    return _STATUS.get(found.job.draft_status) or (_WITHHELD if found.job.hides_draft else "")


def decision_words(found: FoundStudy) -> str:
    """Return the decision that stands on the draft."""
    if found.decision is None:
        return "no decision"
    return _DECIDED[found.decision.request.verdict]


def impression(found: FoundStudy) -> str:
    """Return the impression of the final report, else of the accepted text; "" if neither is kept."""
    if found.report_text:
        parts = _IMPRESSION.split(found.report_text)
        return _shortened(parts[-1])
    decided = found.decision
    if decided is None or decided.request.verdict is Verdict.REJECT:
        return ""
    return _shortened(" ".join(decided.impression_text or decided.findings_text))


def study_words(found: FoundStudy) -> str:
    """Return all of it on one line."""
    parts = (status_words(found), ", ".join(findings_words(found)), decision_words(found))
    return "; ".join(filter(None, parts))


def _shortened(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= _LONGEST else f"{plain[: _LONGEST - 1].rstrip()}…"
