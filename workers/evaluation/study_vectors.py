"""The vectors of an evaluation: of images from the rows, of reference reports by the text tower."""

from collections.abc import Mapping

from service.assessment.retrieval import StudyVectors
from service.assessment.texts import Part
from service.settings.config import Settings
from workers.evaluation.assembled import Assembled
from workers.evaluation.vector_json import vector_values
from workers.reading.text_tower import text_tower


def study_vectors(found: Assembled, settings: Settings) -> StudyVectors:
    """Return the vectors of the studies; texts are encoded if the model's text tower is there.

    Raises:
        PermanentReadingError: The files of the text tower do not fit together.
    """
    stored = {
        identifier: row["vector"] for identifier, row in found.drafts.items() if row.get("vector")
    }
    images = {identifier: vector_values(each) for identifier, each in stored.items()}
    tower = text_tower(settings) if images else None
    if tower is None or {each["space"] for each in stored.values()} != {tower.space}:
        return StudyVectors(images=images)
    reports = {
        identifier: text
        for identifier in images
        if identifier in found.pairs and (text := _reference(found.pairs[identifier].reference))
    }
    texts = {identifier: tower.vector(text) for identifier, text in sorted(reports.items())}
    return StudyVectors(images=images, texts=texts, reports=reports, has_tower=True)


def _reference(parts: Mapping[Part, str]) -> str:
    """Return the text that LLaVA-Rad's towers were trained with: findings, else the whole report."""
    return parts.get(Part.FINDINGS, "") or parts.get(Part.REPORT, "")
