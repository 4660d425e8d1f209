"""The model card: identity, license, gates, evaluation of this version only, limits, use."""

from dataclasses import replace

from service.quality.evaluation_folder import read_evaluation
from service.quality.model_card import model_cards
from tests.service.quality.conftest import LICENSE, WEIGHTS


def section(document, title):
    """Return the section whose title begins so."""
    return next(each for each in document.sections if each.title.startswith(title))


def test_the_card_of_a_version_in_use(inputs):
    """Digests and license as its drafts state them; the license's restriction is pointed out."""
    (card,) = model_cards(inputs)
    assert (card.name, card.title) == ("model-card-demo-1", "Model card: CXR-LLaVA v2, version 1")
    facts = dict(section(card, "Identity").facts)
    assert facts["Weights, SHA-256"] == WEIGHTS
    assert facts["License of the weights"] == LICENSE
    assert facts["Runs on"] == "cuda, bfloat16"
    assert "excludes commercial use" in section(card, "Identity").warnings[0]
    gates = dict(section(card, "Validation").facts)
    assert gates["Profile tried with the real weights"] == "Tried with real weights: 2026-02-01"
    assert gates["Reference period of the drift charts"] == (
        "2026-01-01 to 2026-02-28, by lee (web page)"
    )
    use = dict(section(card, "Intended use").facts)
    assert use["Stated by the authors of the model"] == "research only"
    assert use["Intended purpose at this site"].startswith("not recorded")
    assert "no probabilities" in section(card, "Limits").sentences[-1]
    assert dict(section(card, "Use at").facts)["Drafts made in the period"] == "3"


def test_only_an_evaluation_of_the_same_weights_is_on_the_card(inputs, evaluations):
    """Figures with intervals and numbers; without one the card says so."""
    (card,) = model_cards(inputs)
    assert "an evaluation of this model version" in " ".join(card.not_recorded)
    folders = tuple(map(read_evaluation, evaluations))
    (card,) = model_cards(replace(inputs, evaluations=folders))
    assert [each.title for each in card.sections if "Evaluation" in each.title] == [
        "Evaluation “before”"
    ]
    flow, together, findings = section(card, "Evaluation").tables
    assert flow.rows[2] == ("eligible", "40", "The image is blank. (1)")
    value, expected = together.rows[0][1], folders[0].metrics["figures"]["together"]["micro"]
    assert value.startswith(f"{expected['value']:.2f} ({expected['interval']['low']:.2f}")
    assert {row[0] for row in findings.rows} >= {"edema", "pneumothorax"}
    assert section(card, "Subgroups").tables[0].rows
