"""An answer becomes report text: stop words, passages before it, headings in any layout."""

import pytest

from workers.labeller.sentences import sections
from workers.model.profiles.profile import AnswerForm
from workers.model.profiles.report_text import report_text

FORM = AnswerForm(
    stop=("</answer>", "USER:"),
    begins_after="<unused95>",
    findings=("findings", "lungs and pleura"),
    impression=("impression", "conclusion"),
    left_out=("recommendation", "technique"),
)


@pytest.mark.parametrize(
    "text",
    [
        "FINDINGS: Clear lungs.\nIMPRESSION: Normal.",
        "**Findings:**\nClear lungs.\n\n**Impression:** Normal.",
        "## Findings\nClear lungs.\n## Conclusion\nNormal.\n",
        "Technique: PA.\nFindings: Clear lungs.\nImpression: Normal.\nRecommendation: Repeat.",
        "Findings: I think so.<unused95>Lungs and pleura: Clear lungs. Conclusion : Normal.",
        "Findings: Clear lungs. Impression: Normal.</answer> And more.",
        "__Findings__\n\nClear lungs.\n\n__Impression__\nNormal. USER: Thanks",
    ],
)
def test_headings_of_any_layout_become_findings_and_impression(text):
    """Markdown, other headings, left-out sections and stop words do not change what is reported."""
    assert sections(report_text(text, FORM)) == (("Clear lungs.",), ("Normal.",))


def test_a_word_of_a_sentence_is_no_heading():
    """A line that ends in the word "findings" stays a sentence."""
    text = "No acute findings\nThe heart is normal."
    assert report_text(text, FORM) == text


def test_text_before_the_first_heading_can_be_left_out():
    """With `only_sections` the introduction goes; an answer without headings stays whole."""
    only = AnswerForm(only_sections=True)
    text = "Here is the report:\nFindings: Clear lungs."
    assert report_text(text, only) == "FINDINGS: Clear lungs."
    assert report_text("Clear lungs.", only) == "Clear lungs."
    assert report_text(text, AnswerForm()).startswith("Here is the report:")


def test_an_answer_of_nothing_stays_nothing():
    """Only a stop word, or only a left-out section, gives an empty report."""
    assert report_text("USER: hello", FORM) == ""
    assert report_text("Recommendation: Repeat.", FORM) == ""
