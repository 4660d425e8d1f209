"""The rules that a decision must meet, and the texts and answers that are accepted."""

import pytest

from service.errors import InvalidReview
from service.review.content import LONGEST_SENTENCE, MOST_SENTENCES, ReviewContent
from service.review.decision import Reviewer, Seconds, check_request, check_reviewer
from service.review.draft_sentences import draft_sentences
from service.review.edit_measure import TextEdits
from service.review.words import Acceptability, Rejection, Verdict


def checked(reviewing, request):
    """Check a decision on the draft of `reviewing`."""
    draft = reviewing.draft()
    check_request(request, draft, draft_sentences(draft))


def test_an_answered_draft_can_be_accepted_edited_and_rejected(reviewing):
    """A rejection needs no answers."""
    checked(reviewing, reviewing.request())
    checked(reviewing, reviewing.edit())
    checked(reviewing, reviewing.rejection())


@pytest.mark.parametrize("verdict", [Verdict.ACCEPT, Verdict.EDIT])
def test_an_unanswered_sentence_is_named_with_its_reasons(reviewing, verdict):
    """Each of them; a sentence that needs no answer is not."""
    texts = {"f1": "Normal heart."} if verdict is Verdict.EDIT else {}
    with pytest.raises(InvalidReview) as refused:
        checked(reviewing, reviewing.request(verdict=verdict, answers={}, texts=texts))
    assert "f3 must be answered (contradicted, urgent)" in str(refused.value)
    assert [name for name in ("f1", "f2", "f3", "f4", "i1") if name in str(refused.value)] == [
        "f2",
        "f3",
        "f4",
        "i1",
    ]


def test_a_changed_or_removed_sentence_is_answered(reviewing):
    """The person has handled it."""
    texts = {"f2": "No effusion.", "f3": "", "f4": "The tube ends above the carina.", "i1": ""}
    checked(reviewing, reviewing.request(verdict=Verdict.EDIT, answers={}, texts=texts))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"texts": {"f1": "Other."}}, "the verdict is edit"),
        ({"verdict": Verdict.EDIT}, "the verdict is accept"),
        ({"verdict": Verdict.REJECT}, "a rejection needs a reason"),
        ({"rejection": Rejection.LANGUAGE}, "only a rejection has a reason"),
        ({"verdict": Verdict.REJECT, "rejection": Rejection.OTHER}, "needs a text"),
        ({"acceptability": Acceptability.UNACCEPTABLE}, "cannot be accepted unchanged"),
        ({"findings": [{"verdict": "agree", "id": "fracture"}]}, "no finding 'fracture'"),
        (
            {
                "findings": [
                    {
                        "verdict": "add",
                        "observation": "fracture",
                        "region": [[1, 1], [201, 1], [9, 9], [1, 1]],
                    }
                ]
            },
            "outside the image",
        ),
        ({"reason": "x" * 501, "verdict": Verdict.REJECT}, "longer than 500"),
    ],
)
def test_a_decision_that_contradicts_itself_is_refused(reviewing, changes, message):
    """The message states the fault."""
    with pytest.raises(InvalidReview, match=message):
        checked(reviewing, reviewing.request(**changes))


def test_a_sentence_with_which_the_person_disagrees_may_not_stay(reviewing):
    """It is changed, removed, or the draft is rejected."""
    agreed = dict.fromkeys(("f1", "f2", "f3", "f4", "i1"), "agree")
    answers = {**agreed, "f1": "disagree"}
    with pytest.raises(InvalidReview, match="disagree with sentence f1"):
        checked(reviewing, reviewing.request(answers=answers))
    checked(reviewing, reviewing.edit(answers=answers))


def test_a_report_without_any_sentence_is_refused(reviewing):
    """An empty report is refused."""
    texts = dict.fromkeys(("f1", "f2", "f3", "f4", "i1"), " ")
    with pytest.raises(InvalidReview, match="at least one sentence"):
        checked(reviewing, reviewing.request(verdict=Verdict.EDIT, texts=texts))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "not an object"),
        ({"sentences": [{"id": "f1", "section": "findings"}]}, "text is missing"),
        ({"sentences": [{"id": "f1", "section": "plan", "text": "x"}]}, "not a known value"),
        ({"sentences": [{"id": "", "section": "findings", "text": "x"}]}, "1 to 40 characters"),
        ({"sentences": [{"id": "f1", "section": "findings", "text": 3}]}, "not a string"),
        (
            {"sentences": [{"id": "f1", "section": "findings", "text": "x"}] * 2},
            "an id occurs twice",
        ),
        (
            {
                "sentences": [
                    {"id": "f1", "section": "findings", "text": "x" * (LONGEST_SENTENCE + 1)}
                ]
            },
            "longer than 2000",
        ),
        (
            {
                "sentences": [
                    {"id": f"n{number}", "section": "findings", "text": "x"}
                    for number in range(MOST_SENTENCES + 1)
                ]
            },
            "at most 200",
        ),
        ({"sentences": [], "findings": [{"verdict": "add"}]}, "needs an observation or a text"),
        ({"sentences": [], "findings": [{"verdict": "agree"}]}, "has the id of the draft's"),
        (
            {
                "sentences": [],
                "findings": [
                    {"verdict": "add", "text": "rib", "region": [[0, 0], [1, 1], [2, 2], [3, 3]]}
                ],
            },
            "closed polygon",
        ),
    ],
)
def test_content_that_is_none_is_refused_with_its_place(data, message):
    """Types, values, lengths and counts are checked before anything is stored."""
    with pytest.raises(InvalidReview, match=message):
        ReviewContent.from_json(data)


def test_content_is_stored_as_it_was_with_each_text_on_one_line(reviewing):
    """Control characters become spaces; the JSON gives an equal record."""
    content = reviewing.content(texts={"f1": "Two\nlines\x00here."})
    assert content.sentences[0].text == "Two lines here."
    assert ReviewContent.from_json(content.to_json()) == content


def test_edits_are_counted_in_words_and_aligned_by_sentences():
    """A repeated sentence stays aligned: only the changed word counts."""
    draft = "The heart is enlarged.\nNo effusion.\nNo effusion."
    edits = TextEdits.between(draft, "The heart is normal.\nNo effusion.\nNo effusion.")
    assert (edits.distance, edits.sentences, edits.kept) == (1, 3, 2)
    assert [each["edit"] for each in edits.opcodes] == ["replace", "equal", "equal"]
    assert edits.opcodes[0]["words"][-1] == {
        "edit": "replace",
        "before": "enlarged.",
        "after": "normal.",
    }


@pytest.mark.parametrize("total", [-1.0, float("nan"), 90_000.0])
def test_seconds_that_no_clock_measured_are_refused(total):
    """Negative, not a number, longer than a day."""
    with pytest.raises(InvalidReview, match="seconds"):
        Seconds(total=total)


@pytest.mark.parametrize(
    ("name", "organization", "message"),
    [
        ("", "Klinikum", "states your name"),
        ("^", "Klinikum", "states your name"),
        ("Curie^Marie", " ", "states your name and your organization"),
        ("C" * 65, "Klinikum", "longer than 64"),
    ],
)
def test_a_person_whom_a_report_cannot_name_cannot_decide(name, organization, message):
    """Name and organization are type 1 in a verified report."""
    with pytest.raises(InvalidReview, match=message):
        check_reviewer(Reviewer(id="u", name=name, organization=organization))


def test_a_person_is_named_as_people_do(reviewing):
    """Given name first, of the first component group."""
    assert reviewing.roentgen.display_name == "Wilhelm Röntgen"
    assert (
        Reviewer(id="u", name="山田^太郎=やまだ^たろう", organization="").display_name
        == "太郎 山田"
    )
