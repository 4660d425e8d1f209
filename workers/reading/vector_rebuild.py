"""Makes the vectors that are missing: of a damaged file, or of images that another model read."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from dicom.errors import DicomError
from dicom.selection.image_selection import Examine, examine
from dicom.study import Study
from service.errors import NotFound, ReadingError, VectorFileDamaged
from service.records import JobWithDraft
from service.search.similar import StudySearch
from service.search.vector_file import dimensions
from service.settings.config import Settings
from service.store import Store
from workers.model.checkpoints.llava import Llava
from workers.model.errors import ModelError
from workers.model.vlm import never
from workers.reading.error_mapping import reading_errors
from workers.reading.image_selection import ImageSelector, SelectedImage, rules_for
from workers.reading.image_vector import image_vector, write_vector


@dataclass(slots=True)
class Rebuilt:
    """What a rebuild did.

    Attributes:
        made: Vectors made.
        kept: Vectors that were there and right.
        unreadable: Images of which no vector could be made.
        removed: Vectors of images that are not here any more, or have no standing draft.
        texts: Texts of final reports that were entered again; those of all drafts are too.
    """

    made: int = 0
    kept: int = 0
    unreadable: int = 0
    removed: int = 0
    texts: int = 0


class VectorRebuild:
    """Rebuilds the vectors of one model; may run beside the service."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        model: Llava,
        progress: Callable[[str], None],
        look: Examine = examine,
    ) -> None:
        """Set up the rebuild.

        Args:
            store: The store.
            settings: The site's, with the model in `reading`.
            model: The loaded model; its checkpoint must have a vector space.
            progress: Called with a line now and then.
            look: Opens and checks an image.
        """
        self._store = store
        self._settings = settings
        self._model = model
        self._progress = progress
        self._search = StudySearch(store, settings)
        self._selector = ImageSelector(
            settings, look, synthetic_only=model.checkpoint.synthetic_only
        )

    def run(self) -> Rebuilt:
        """Make the missing vectors and enter all texts again; return what was done.

        Raises:
            StoreError: The database cannot be used.
            OSError: The file of the vectors cannot be written.
        """
        done, space, files = Rebuilt(), self._model.checkpoint.vector_space, self._search.files
        try:
            dimensions(files.path(space))
        except VectorFileDamaged:
            files.remove(space)
        except FileNotFoundError:
            pass
        for image_uid in self._store.orphaned_vectors():
            done.removed += self._store.drop_vectors(image_uid, files.clear)
        index = self._search.index_of(space)
        damaged = {row.image_uid for row in index.damaged}
        usable = index.images - damaged
        jobs = self._store.standing_drafts()
        for number, job_id in enumerate(jobs, start=1):
            job = self._store.job(job_id)
            damaged.discard(job.drafted_image)
            self._job(job, usable, done)
            if number % 100 == 0:
                self._progress(f"{number} of {len(jobs)} drafts")
        for image_uid in damaged:
            done.removed += self._store.drop_vectors(image_uid, files.clear)
        self._texts(done)
        return done

    def _job(self, job: JobWithDraft, usable: set[str], done: Rebuilt) -> None:
        if job.drafted_image in usable:
            done.kept += 1
            return
        image = self._image(job)
        vector = None
        if image is not None:
            with suppress(ModelError):
                values = self._model.image_vector(image.pixels)
                vector = image_vector(self._model.checkpoint, values)
        if vector is None:
            done.unreadable += 1
            return
        done.made += write_vector(
            self._store,
            self._search.files,
            vector,
            study_uid=job.study_instance_uid,
            image_uid=job.drafted_image,
        )
        usable.add(job.drafted_image)

    def _image(self, job: JobWithDraft) -> SelectedImage | None:
        """Return the image of a draft; None if it cannot be read any more."""
        try:
            study = self._store.study(job.study_instance_uid)
        except NotFound:
            return None
        chosen = [each for each in study.instances if each.sop_instance_uid == job.drafted_image]
        if not chosen:
            return None
        one = Study(study_instance_uid=study.study_instance_uid, instances=tuple(chosen[:1]))
        rules = rules_for(self._settings, self._settings.caller(job.calling_ae))
        try:
            with reading_errors():
                return SelectedImage.of(self._selector.selected(one, rules, never))
        except (ReadingError, DicomError, OSError):
            return None

    def _texts(self, done: Rebuilt) -> None:
        last = self._store.index_texts()
        while last:
            last = self._store.index_texts(last)
        done.texts = self._store.index_report_texts()
