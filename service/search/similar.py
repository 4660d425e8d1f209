"""Finds studies by the similarity of their images, or by their texts, with what is known of them."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Final

from service.records import JobWithDraft, first_to_read
from service.review.decision import Decision
from service.search.query import TextQuery
from service.search.text_tower import NumpyTextTower, tower_folder
from service.search.vector_file import VectorFiles
from service.search.vector_index import Neighbor, Neighbors, VectorIndex
from service.settings.config import Settings
from service.store import Store
from service.study_identity import StudyIdentity

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from service.records.search import TextHit

MOST: Final = 12
# Each study may be found by its draft and by its final report.
_HITS_PER_STUDY: Final = 3


class NoResult(StrEnum):
    """Why a search by image finds nothing; shown to the person."""

    NO_VECTOR = (
        "The image of this study has no vector: it was read before this version or by a model that "
        "gives none, or its images were removed. `wetread search rebuild` makes missing vectors."
    )
    DAMAGED = "The vector of this study cannot be used: run `wetread search rebuild`."
    ALONE = "No other study has a vector of the same model."


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundStudy:
    """A study that was found.

    Attributes:
        neighbor: How close its image is; None if it was found by its text.
        job: The job whose draft stands; None if there is none.
        decision: The decision that stands on the draft.
        report_text: Text of the final report, if it is kept and the person may see it.
        same_patient: Whether it is of the patient of the study that was asked about.
    """

    study_uid: str
    day: str
    neighbor: Neighbor | None = None
    job: JobWithDraft | None = None
    decision: Decision | None = None
    report_text: str = ""
    same_patient: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """What a search found.

    Attributes:
        studies: The best first.
        compared: Number of images compared; 0 for a search in texts.
        missing: Number of images whose vector cannot be used.
        nothing: Why a search by image found nothing; None if it found something.
        only_by_words: Whether no text states the findings asked for: those found share words only.
    """

    studies: Sequence[FoundStudy] = ()
    compared: int = 0
    missing: int = 0
    nothing: NoResult | None = None
    only_by_words: bool = False


class StudySearch:
    """Searches the studies of a site; keeps the vectors mapped between searches."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self.files = VectorFiles(settings.data_dir)
        self._data_dir = settings.data_dir
        self._indexes: dict[str, VectorIndex] = {}
        self._towers: dict[str, NumpyTextTower] = {}
        self._lock = threading.Lock()

    def similar_to(
        self, study_uid: str, *, limit: int = MOST, shows_reports: bool = True
    ) -> SearchResult:
        """Return the studies whose images are closest to the image of a study.

        Args:
            study_uid: Study Instance UID.
            limit: Most studies to return.
            shows_reports: Whether kept final reports are returned.

        Raises:
            StoreUnavailable: The database does not answer.
            VectorFileDamaged: The file of the vectors cannot be used.
        """
        found = self._store.vectors_of_study(study_uid)
        if not found:
            return SearchResult(nothing=NoResult.NO_VECTOR)
        space, row = found[0]
        index = self._index(space)
        index.refresh()
        query = index.vector(row.row)
        if query is None:
            return SearchResult(nothing=NoResult.DAMAGED, missing=len(index.damaged))
        near = index.nearest(query, limit=limit, without_study=study_uid)
        return self._nearest(index, near, own=study_uid, shows_reports=shows_reports)

    def similar_to_vector(
        self,
        space: str,
        query: "NDArray[np.float32]",
        *,
        limit: int = MOST,
        shows_reports: bool = True,
    ) -> SearchResult:
        """Return the studies whose images are closest to a vector of a space.

        Args:
            space: The vector space.
            query: The vector, float32 [D], length 1.
            limit: Most studies to return.
            shows_reports: Whether kept final reports are returned.

        Raises:
            StoreUnavailable: The database does not answer.
            VectorFileDamaged: The file of the vectors cannot be used.
        """
        index = self._index(space)
        index.refresh()
        near = index.nearest(query, limit=limit)
        return self._nearest(index, near, shows_reports=shows_reports)

    def image_text_tower(self) -> tuple[str, NumpyTextTower] | None:
        """Return the latest vector space with a text tower, and the tower; None if there is none.

        Raises:
            StoreUnavailable: The database does not answer.
            VectorFileDamaged: The files of the tower cannot be used.
        """
        for space in self._store.vector_spaces():
            folder = tower_folder(self._data_dir, space)
            if folder.is_dir():
                with self._lock:
                    if space not in self._towers:
                        self._towers[space] = NumpyTextTower.from_folder(folder)
                    return space, self._towers[space]
        return None

    def with_text(
        self, query: TextQuery, *, limit: int = MOST, shows_reports: bool = True
    ) -> SearchResult:
        """Return the studies whose draft or final report states the findings and words asked for.

        Args:
            query: What is asked for.
            limit: Most studies to return.
            shows_reports: Whether kept final reports are searched and returned, beside drafts.
        """
        search = partial(
            self._store.search_texts, limit=limit * _HITS_PER_STUDY, in_reports=shows_reports
        )
        hits = search(query.findings, query.words)
        by_words = not hits and bool(query.findings)
        if by_words:
            # Texts that were not coded state no finding.
            hits = search((), query.words)
        best: dict[str, TextHit] = {}
        for hit in hits:
            best.setdefault(hit.study_uid, hit)
        chosen = [(uid, None) for uid in best][:limit]
        studies = self._described(chosen, "", shows_reports=shows_reports)
        return SearchResult(studies=studies, only_by_words=by_words)

    def index_of(self, space: str) -> VectorIndex:
        """Return the vectors of a space as they are now."""
        index = self._index(space)
        index.refresh()
        return index

    def _index(self, space: str) -> VectorIndex:
        with self._lock:
            if space not in self._indexes:
                self._indexes[space] = VectorIndex(self._store, self.files, space)
            return self._indexes[space]

    def _nearest(
        self, index: VectorIndex, near: Neighbors, *, own: str = "", shows_reports: bool
    ) -> SearchResult:
        found = [(each.study_uid, each) for each in near.found]
        return SearchResult(
            studies=self._described(found, own, shows_reports=shows_reports),
            compared=near.compared,
            missing=len(index.damaged),
            nothing=None if near.found else NoResult.ALONE,
        )

    def _described(
        self, found: Sequence[tuple[str, Neighbor | None]], own: str, *, shows_reports: bool
    ) -> Sequence[FoundStudy]:
        identities = self._store.identities([own, *(uid for uid, _ in found)])
        patient = identities.get(own)
        return [
            replace(
                self._study(uid, identities.get(uid)),
                neighbor=neighbor,
                report_text=self._store.study_report_text(uid) if shows_reports else "",
                same_patient=_same_patient(identities.get(uid), patient),
            )
            for uid, neighbor in found
        ]

    def _study(self, uid: str, identity: StudyIdentity | None) -> FoundStudy:
        job = self._standing(uid)
        decisions = {} if job is None else self._store.standing_decisions([job.id])
        stated = identity.study_date if identity else ""
        return FoundStudy(
            study_uid=uid,
            day=_day(stated) or (f"{job.created_at.astimezone():%Y-%m-%d}" if job else ""),
            job=job,
            decision=next(iter(decisions.values()), None),
        )

    def _standing(self, study_uid: str) -> JobWithDraft | None:
        """Return the job of a study's latest draft, of those that stand if any; None without."""
        chosen = first_to_read(self._store.jobs(study=study_uid))
        return self._store.job(chosen.id) if chosen else None


def _same_patient(one: StudyIdentity | None, other: StudyIdentity | None) -> bool:
    if one is None or other is None or not one.patient_id:
        return False
    return (one.patient_id, one.issuer) == (other.patient_id, other.issuer)


def _day(value: str) -> str:
    is_date = len(value) == 8 and value.isdigit()
    return f"{value[:4]}-{value[4:6]}-{value[6:]}" if is_date else value
