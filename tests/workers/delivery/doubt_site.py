"""A store, two destinations, and images of which a second copy arrives."""

import threading
from pathlib import Path

import numpy as np
from pydicom import dcmread

from dicom.content.report import DraftReport, ModelIdentity, SourceImage
from dicom.phantom import as_dataset, draw, write
from dicom.results.outputs import Equipment, build
from dicom.selection.local_files import describe
from service.jobs import JobState
from service.settings.config import load_settings
from service.settings.destination_factory import destinations
from service.sweeper.doubts import Doubts
from workers.delivery.delivering import Delivering
from workers.outbox import write_outputs

EQUIPMENT = Equipment(device_uid="2.25.9", software_version="0.1.0")


class Site:
    """A store, two folders as destinations, images and drafts."""

    def __init__(self, store, folder):
        self.store, self.folder = store, folder
        self.settings = load_settings(
            data_dir=folder / "data",
            destinations=[
                {"kind": "folder", "name": name, "path": str(folder / name)} for name in ("a", "b")
            ],
        )
        self.doubts = Doubts(store, self.settings)

    def arrive(self, image, name):
        """Let an image arrive; return the result of the store."""
        path = image if isinstance(image, Path) else write(image, self.folder / name)
        return self.store.add_instance(
            describe(path), calling_ae="CR1", association_id=name, eligible=True
        )

    def claimed(self, image):
        """Return the job of the image's study, held by a worker."""
        job = self.store.schedule(
            image.StudyInstanceUID, model="m", version="1", actor="t", reason="Released."
        )
        return self.store.claim_reading(job.id, "reader", 60)

    def drafted(self, image, job):
        """Return the held job with a draft about the image."""
        source = SourceImage(
            sop_instance_uid=image.SOPInstanceUID,
            sop_class_uid=image.SOPClassUID,
            series_instance_uid=image.SeriesInstanceUID,
            rows=image.Rows,
            columns=image.Columns,
        )
        draft = DraftReport(
            study_instance_uid=image.StudyInstanceUID,
            source=source,
            revision=job.revision,
            produced_at=job.produced_at,
            findings_text=("Clear.",),
            model=ModelIdentity(name="M", version="1", weights_sha256="0" * 64),
        )
        outputs = build(draft, image, np.zeros((image.Rows, image.Columns), np.float32), EQUIPMENT)
        images = [each.path for each in self.store.instances(image.StudyInstanceUID)]
        objects = write_outputs(self.settings.outbox_dir / job.id / "1", outputs, images)
        return self.store.draft(job.id, job.fence, draft, objects, ["a", "b"])

    def deliver(self, job):
        """Send the job's due deliveries."""
        where = destinations(self.settings)
        sender = Delivering(self.store, self.settings, where, "sender", threading.Event())
        while (claim := sender.claim(job.id)) is not None:
            sender.work(claim)
        return self.store.job(job.id)

    def read(self):
        """Return an image whose draft every destination has, and the job."""
        image = phantom()
        self.arrive(image, "first.dcm")
        job = self.deliver(self.drafted(image, self.claimed(image)))
        assert job.state is JobState.COMPLETED
        return image, job

    def notices(self, name="a"):
        """Return the notices of doubt that a destination holds."""
        found = [dcmread(path) for path in (self.folder / name).rglob("*.dcm")]
        return [each for each in found if "IN DOUBT" in each.SeriesDescription]


def phantom(**changes):
    """An image, always the same but for the changes."""
    image = as_dataset(draw(7, rows=160, columns=144))
    for keyword, value in changes.items():
        setattr(image, keyword, value)
    return image


def repainted():
    """The image with other text in its corner: a small part of the picture."""
    image = phantom()
    pixels = image.pixel_array.copy()
    pixels[8:40, 8:40] = pixels.max() - pixels[8:40, 8:40]
    image.PixelData = pixels.tobytes()
    return image
