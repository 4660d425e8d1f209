"""BLEU and ROUGE-L against sacrebleu 2.6.0 and rouge_score 0.1.2 (stored figures), and the rules."""

import json
import random
import tarfile
from pathlib import Path
from xml.etree import ElementTree

import pytest

from service.evaluation.text import (
    bleu,
    bleu_counts,
    constant_baseline,
    lexical_scores,
    longest_common_subsequence,
    rouge_l,
    rouge_tokens,
    tokens_13a,
)
from service.evaluation.values import EvaluationInputError, Reason, Undefined

GOLDEN = Path(__file__).resolve().parents[3].parent / (
    "shared/reference/goldens/metrics/metrics_golden.json"
)


def test_the_pair_of_the_acceptance_list():
    """ROUGE-L .625, BLEU-1 50.0, BLEU-4 10.600."""
    scores = lexical_scores(
        ["Heart size is normal. No pneumothorax."],
        ["The heart is normal in size. There is no pneumothorax."],
    )
    assert f"{scores.rouge_l:.3f}" == "0.625"
    assert (f"{scores.bleu1:.1f}", f"{scores.bleu4:.3f}") == ("50.0", "10.600")


def test_the_stored_figures_of_the_published_evaluation():
    """Four pairs of the golden metrics, an empty draft among them."""
    if not GOLDEN.is_file():
        pytest.skip("the golden metrics (../shared/reference/goldens) are not on this machine")
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))["text_overlap"]
    references, drafts = golden["references"], golden["predictions"]
    assert [rouge_l(r, d) for r, d in zip(references, drafts, strict=True)] == pytest.approx(
        golden["rougeL_fmeasure_each"]
    )
    scores = lexical_scores(references, drafts)
    assert scores.bleu4 == pytest.approx(golden["sacrebleu_bleu4"])
    assert scores.bleu1 == pytest.approx(golden["sacrebleu_bleu1"])
    assert (scores.scored, scores.empty_drafts) == (4, 1)


# Computed with sacrebleu 2.6.0 (corpus_bleu with the default signature) and rouge_score 0.1.2.
STORED = (
    (
        ["Heart size is normal. No pneumothorax.", "Small left effusion, 1.5 cm."],
        ["Heart size normal. No effusion.", "Small left-sided effusion (1.5 cm)."],
        73.33333333333334,
        18.373344524824237,
        [0.7272727272727272, 0.923076923076923],
    ),
    (["The lungs are clear."], ["Clear"], 0.0, 0.0, [0.4]),
    (
        ['T1-weighted &amp; T2 signs; 1,000 ml/24 h -- "stable".'],
        ["T1-weighted & T2 signs; 1,000 ml / 24 h - stable."],
        81.68284311067512,
        70.58280335930073,
        [0.9523809523809523],
    ),
    (
        ["Ältere Rippenfraktur rechts.", "心影不大。"],
        ["Alte Rippenfraktur rechts.", "心影 不大。"],
        49.99999999999999,
        49.99999999999999,
        [0.6666666666666666, 0],
    ),
    (["a b c d e f"], ["a x c y e z"], 49.99999999999999, 10.682175159905853, [0.5]),
    (
        ["No focal consolidation, pleural effusion or pneumothorax. Stable cardiomegaly."],
        [
            (
                "Stable cardiomegaly with mild edema. No focal consolidation, pleural effusion or "
                "pneumothorax. Old healed rib fracture."
            )
        ],
        59.999999999999986,
        44.44183736091338,
        [0.56],
    ),
)


@pytest.mark.parametrize(("references", "drafts", "bleu1", "bleu4", "rouge"), STORED)
def test_stored_figures_of_both_libraries(references, drafts, bleu1, bleu4, rouge):
    """Numbers, signs, entities, other scripts, short drafts, orders without a match."""
    counts = bleu_counts(references, drafts)
    assert bleu(counts, order=1) == pytest.approx(bleu1, abs=1e-9)
    assert bleu(counts, order=4) == pytest.approx(bleu4, abs=1e-9)
    assert [rouge_l(r, d) for r, d in zip(references, drafts, strict=True)] == pytest.approx(rouge)


def test_words_of_the_13a_tokenizer():
    """Signs apart, points within numbers kept, a hyphen apart only after a digit, case kept."""
    assert tokens_13a("No 3.5 cm mass, right-sided (T1-weighted).\nHeart: &lt;50&gt;") == [
        "No", "3.5", "cm", "mass", ",", "right-sided", "(", "T1", "-", "weighted", ")", ".",
        "Heart", ":", "<", "50", ">",
    ]  # fmt: skip


def test_words_of_rouge():
    """Lower case, only a-z and 0-9."""
    assert rouge_tokens("The T1-weighted Ünit isn't 3.5.") == [
        "the", "t1", "weighted", "nit", "isn", "t", "3", "5",
    ]  # fmt: skip


def test_the_common_subsequence_is_that_of_the_table():
    """500 random pairs, against the quadratic table."""
    chance = random.Random(2)
    for _ in range(500):
        first = chance.choices("abcd", k=chance.randint(0, 80))
        second = chance.choices("abcde", k=chance.randint(0, 80))
        table = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
        for i, a in enumerate(first):
            for j, b in enumerate(second):
                table[i + 1][j + 1] = (
                    table[i][j] + 1 if a == b else max(table[i][j + 1], table[i + 1][j])
                )
        assert longest_common_subsequence(first, second) == table[-1][-1]


def test_an_empty_reference_leaves_and_an_empty_draft_stays_with_zero():
    """Both are counted; white space alone is empty."""
    scores = lexical_scores(["clear lungs", " \n", "clear lungs"], ["clear  lungs", "clear", ""])
    assert (scores.scored, scores.empty_references, scores.empty_drafts) == (2, 1, 1)
    assert scores.rouge_l == 0.5


def test_without_a_reference_there_is_no_score():
    """N = 0 is no score of 0."""
    scores = lexical_scores([""], ["text"])
    assert scores.bleu1 == scores.bleu4 == scores.rouge_l == Undefined(Reason.NO_CASES)
    assert bleu(bleu_counts([], [])) == Undefined(Reason.NO_CASES)


def test_equal_texts_reach_the_top_and_unrelated_ones_zero():
    """100 and 1; 0 and 0, without smoothing."""
    text = "The lungs are clear and well expanded."
    same = lexical_scores([text], [text])
    assert (same.bleu4, same.rouge_l) == (pytest.approx(100), 1.0)
    other = lexical_scores([text], ["Fracture!"])
    assert (other.bleu1, other.bleu4, other.rouge_l) == (0.0, 0.0, 0.0)


def test_a_constant_text_scores_on_normal_reports():
    """The baseline is not 0: a model's score must be compared with it."""
    normal = "Heart size normal. Lungs are clear. No pneumothorax or pleural effusion."
    assert constant_baseline([normal, normal]).rouge_l > 0.4


def test_unequal_numbers_and_orders_are_refused():
    """One draft for each reference; n-grams of 1 to 4."""
    with pytest.raises(EvaluationInputError, match="equal"):
        lexical_scores(["a"], [])
    with pytest.raises(EvaluationInputError, match="order"):
        bleu(bleu_counts(["a"], ["a"]), order=5)


def test_texts_of_other_patients_score_on_real_reports(shared_data):
    """2,687 Indiana findings: another patient's report reaches .224 and 8.2, the constant text more."""
    archive = shared_data / "reports" / "openi_reports_dev.tgz"
    if not archive.is_file():
        pytest.skip("the Indiana reports (../shared/data/reports) are not on this machine")
    findings = [text for text in findings_of(archive) if text.strip()]
    assert len(findings) == 2687
    others = random.Random(0).sample(findings, len(findings))
    scores = lexical_scores(findings, others)
    assert scores.rouge_l == pytest.approx(0.224, abs=0.005)
    assert scores.bleu4 == pytest.approx(8.2, abs=0.3)
    assert constant_baseline(findings).rouge_l > scores.rouge_l + 0.05


def findings_of(archive):
    """The findings sections of the reports in the archive."""
    with tarfile.open(archive) as tar:
        for file in filter(None, map(tar.extractfile, tar)):
            root = ElementTree.fromstring(file.read())  # noqa: S314 - published files of our own
            parts = root.iter("AbstractText")
            yield next((part.text or "" for part in parts if part.get("Label") == "FINDINGS"), "")
