"""A text that is no language is distinguished from a report, in any style of report."""

from pathlib import Path

import pytest

from service.errors import TextNotLanguage
from workers.labeller.report_language import check_language, fault_of
from workers.model.checkpoints import cxr_llava, tiny
from workers.model.prompts import Task

SENTENCES = Path(__file__).parents[1] / "goldens" / "report_sentences.txt"
REPORT = (
    "The heart is enlarged. There is mild pulmonary edema. There is a small right pleural effusion. "
    "There is no pneumothorax."
)


def hands():
    """Texts in the style of many hospitals, as a report is long: five sentences each."""
    lines = SENTENCES.read_text(encoding="utf-8").splitlines()
    texts = [line.split("|", 1)[1].strip() for line in lines if "|" in line and line[0] != "#"]
    return [" ".join(texts[at : at + 5]) for at in range(0, len(texts), 5)]


OTHERS = """\
No acute cardiopulmonary abnormality.
Normal chest radiograph.
Cardiomegaly.
FINDINGS: AP upright view of the chest provided. Midline sternotomy wires are again noted. No effusion.
As compared to the previous radiograph, the patient has received a nasogastric tube. No complications.
Findings: ___ in comparison with the study of ___, there is little change. ___ catheter remains in place.
1. Right IJ line tip in the lower SVC. 2. 8 mm nodule, RUL. 3. No PTX.
Lungs clear. Lungs clear. Heart normal. Heart normal.
""".splitlines()
SALAD = """\
heart left pneumothorax enlarged normal consolidation pulmonary silhouette small right chest small
consolidation acute left heart atelectasis no the the is normal with edema there lobe acute"""


@pytest.mark.parametrize("text", [REPORT, REPORT.upper(), "", *OTHERS])
def test_a_report_is_language(text):
    """Telegraphic, in capitals, with blanks, numbers or abbreviations: a report."""
    assert fault_of(text) == ""


def test_reports_of_many_hands_are_language():
    """None of some seven hundred sentences with abbreviations and misspelled words is refused."""
    assert [text for text in hands() if fault_of(text)] == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (">werSRcsstial atele ab ab abJ lyJffu", "occur in no chest X-ray report"),
        ("atelectasis" + "effusion" * 100 + ".", "letters"),
        ("[/\ufffd0\x153;}&\ufffdi =b= ]]~~ {k\x15: 4/4/4 / lobe", "not letters"),
        ("There is no pneumothorax. " * 20, "repeats"),
        (REPORT + " effusion" * 9, "repeats"),
        (SALAD, "form no sentences"),
        ("as", "form no sentences"),
        ("Der Patient hat gestern Abend nichts gegessen und keine Schmerzen.", "occur in no chest"),
    ],
)
def test_what_is_no_language_is_named(text, message):
    """Unknown words, one endless word, symbols, loops, words without order: each has its clause."""
    assert message in fault_of(text)
    with pytest.raises(
        TextNotLanguage, match=r"not English report language .* Do this\."
    ) as caught:
        check_language(text, "Do this.")
    assert not caught.value.retry
    assert "atele" not in str(caught.value)


@pytest.mark.parametrize("seed", range(3))
def test_random_weights_write_no_language(tmp_path, image, seed):
    """A checkpoint that was never trained is noticed, even if it writes whole words only."""
    tiny.write_checkpoint(tmp_path, seed)
    assert fault_of(cxr_llava.load(tmp_path).answer(image, Task.REPORT).text)
