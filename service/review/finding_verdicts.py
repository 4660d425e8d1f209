"""A person's verdict on each finding of a draft, as far as the decision shows one. Pure."""

from collections.abc import Iterator
from typing import Final

from dicom.content.report import STATED, DraftReport
from service.review.content import FindingReview, ReviewContent
from service.review.draft_sentences import DraftSentence, draft_sentences, identified_findings
from service.review.words import Answer, FindingVerdict

OTHER: Final = "other"  # an added finding that is none of the known observations
_OF_ANSWER: Final = {
    Answer.AGREE: FindingVerdict.AGREE,
    Answer.DISAGREE: FindingVerdict.DISAGREE,
}


def finding_verdicts(
    draft: DraftReport, content: ReviewContent, *, makes_report: bool
) -> dict[str, FindingVerdict]:
    """Return the verdict on each observation that the draft states, or that the person added.

    In this order: the verdict given on the finding; the answer to the sentence that states it; for a
    report, agreement if that sentence stands in it unchanged. A sentence that was changed or removed
    without an answer shows nothing: the wording may have been the reason.

    Args:
        draft: The draft.
        content: The text and the answers of the decision.
        makes_report: Whether the person signed the text.
    """
    given = {each.id: each.verdict for each in content.findings if each.id}
    sentences = draft_sentences(draft)
    found: dict[str, FindingVerdict] = {}
    for each in identified_findings(draft):
        if each.finding.presence not in STATED:
            continue
        stating = [sentence for sentence in sentences if each.id in sentence.findings]
        shown = [given[each.id]] if each.id in given else []
        shown += list(_shown(stating, content, makes_report=makes_report))
        if shown:
            name = each.finding.observation.value
            # Of several findings of one observation, one that is wrong makes it wrong.
            known = found.get(name)
            found[name] = shown[0] if known is not FindingVerdict.DISAGREE else known
    return found | {_name(each): each.verdict for each in content.findings if not each.id}


def _shown(
    stating: list[DraftSentence], content: ReviewContent, *, makes_report: bool
) -> Iterator[FindingVerdict]:
    written = {each.id: each for each in content.sentences}
    now = [(sentence, written[sentence.id]) for sentence in stating if sentence.id in written]
    answers = [_OF_ANSWER[each.answer] for _, each in now if each.answer is not Answer.NONE]
    if FindingVerdict.DISAGREE in answers:
        yield FindingVerdict.DISAGREE
    yield from answers
    kept = [each.text == sentence.text for sentence, each in now]
    if makes_report and kept and all(kept) and len(kept) == len(stating):
        yield FindingVerdict.AGREE


def _name(added: FindingReview) -> str:
    return added.observation.value if added.observation else OTHER
