"""Random rows of studies."""

import numpy as np

from service.assessment.study_rows import Attribute, Detail, Outcome, StudyRow
from service.evaluation.labels import SIX, Label


def make_rows(seed, n=60, *, wrong=0.2, findings=SIX):
    """Return scored rows whose drafts differ from the truth with the probability `wrong`."""
    generator = np.random.default_rng(seed)
    rows = []
    for number in range(n):
        truth = {name: Label(int(generator.random() < 0.4)) for name in findings}
        predicted = {
            name: Label(int(label) ^ int(generator.random() < wrong))
            for name, label in truth.items()
        }
        rows.append(
            StudyRow(
                id=f"s{number:03d}",
                patient=f"p{number // 2:03d}",
                outcome=Outcome.SCORED,
                attributes={
                    Attribute.SEX: "FM"[number % 2],
                    Attribute.AGE: "40-59",
                    Attribute.DEVICE: f"MAKER {'ABC'[number % 3]}",
                },
                truth=truth,
                predicted=predicted,
                scores={name: round(float(generator.random()), 4) for name in findings},
                details={
                    "pneumothorax": Detail(truth_side="left", draft_side="left", size=0.5),
                },
                word_count=20,
            )
        )
    return rows
