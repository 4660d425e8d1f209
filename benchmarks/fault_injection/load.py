"""A steady load of studies by several senders, and the acknowledgements that each received."""

import random
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from dicom.phantom import Phantom, as_dataset, draw, draw_lateral, write
from fault_injection.senders import SendFunction, dcmsend, storescu, stow
from fault_injection.site import CALLING, Site
from fault_injection.stored import patient_of

_SIZE: Final = 256
_PEOPLE: Final = 8
# The weight of each in a random choice.
_SENDERS: Final[dict[SendFunction, int]] = {storescu: 4, dcmsend: 3, stow: 3}


@dataclass(slots=True, kw_only=True)
class SentImage:
    """One image of a study.

    Attributes:
        picture: Images with the same number and view show the same picture.
        acknowledged: How often its sender got Success.
        was_seen: Whether the spool then held it as it was sent.
    """

    path: Path
    sop_instance_uid: str
    view: str
    picture: int
    acknowledged: int = 0
    was_seen: bool = False


@dataclass(slots=True, kw_only=True)
class SentStudy:
    """One study as its sender created it; `patient` are the attributes of `stored.PATIENT`."""

    study_instance_uid: str
    patient: tuple[str, ...]
    images: list[SentImage] = field(default_factory=list)

    def expected(self) -> str:
        """Return the image that the last draft must be about: PA before AP, as in `select`."""
        rank = {"PA": 0, "AP": 1}
        frontal = [image for image in self.images if image.acknowledged and image.view in rank]
        return min(frontal, key=lambda image: rank[image.view]).sop_instance_uid


class SyntheticImages:
    """Makes small synthetic images, each study of a patient of its own."""

    def __init__(self, folder: Path, seed: int) -> None:
        """Draw the few pictures that all images share."""
        self._folder = folder
        self._first = seed % 10_000 * 10_000
        self._made = 0
        self._turn = threading.Lock()
        size = {"rows": _SIZE, "columns": _SIZE}
        self._pictures: dict[str, list[Phantom]] = {
            "PA": [draw(person, **size) for person in range(_PEOPLE)],
            "AP": [draw(person, view="AP", **size) for person in range(_PEOPLE)],
            "LL": [draw_lateral(person, **size) for person in range(_PEOPLE)],
        }

    def study(self, *views: str) -> SentStudy:
        """Return a new study with an image of each of these views ("PA", "AP", "LL")."""
        with self._turn:
            self._made += 1
            number = self._first + self._made
        study = None
        for view in views:
            dataset = as_dataset(self._pictures[view][number % _PEOPLE], seed=number)
            path = write(dataset, self._folder / f"{number}-{view}.dcm")
            uid = str(dataset.StudyInstanceUID)
            study = study or SentStudy(study_instance_uid=uid, patient=patient_of(dataset))
            uid = str(dataset.SOPInstanceUID)
            image = SentImage(path=path, sop_instance_uid=uid, view=view, picture=number % _PEOPLE)
            study.images.append(image)
        assert study is not None  # noqa: S101 - a study has an image
        return study


class Sender(threading.Thread):
    """A room of the department: sends each image until it is acknowledged, some again, some later.

    Attributes:
        studies: What it sent.
        tries: How many associations or requests it began.
        failures: How many of them did not transfer all their images.
        has_ended: Whether every image was acknowledged.
    """

    def __init__(
        self, site: Site, images: SyntheticImages, *, number: int, seed: int, pause: float
    ) -> None:
        """Take the endpoint, the images, and the mean pause between two studies."""
        super().__init__(name=f"room-{number}", daemon=True)
        self._site = site
        self._images = images
        self._calling = CALLING[number % len(CALLING)]
        self._dice = random.Random(f"{seed} sender {number}")
        self._pause = pause
        self._ended = threading.Event()
        self.studies: list[SentStudy] = []
        self._later: list[tuple[float, list[SentImage]]] = []
        self.tries = 0
        self.failures = 0
        self.has_ended = False

    def stop(self) -> None:
        """Begin no new study; what was begun is sent until it is acknowledged."""
        self._ended.set()

    def run(self) -> None:
        """Send until stopped, then the images that are not acknowledged yet."""
        while not self._ended.is_set():
            self._one_study()
            self._send_due(time.monotonic())
            self._ended.wait(self._dice.expovariate(1 / self._pause))
        self._send_due(float("inf"))
        self.has_ended = True

    def _one_study(self) -> None:
        """Send a new study: one image, two at once, or one now and a better one later."""
        now = time.monotonic()
        kind = self._dice.choices(["one", "two", "later"], [5, 2, 3])[0]
        views = {"one": ["PA"], "two": ["PA", "LL"], "later": ["AP", "PA"]}[kind]
        study = self._images.study(*views)
        self.studies.append(study)
        first = study.images[:1] if kind == "later" else study.images
        self._insist(first)
        if kind == "later":
            self._later.append((now + self._dice.uniform(0, 20), study.images[1:]))
        if self._dice.random() < 0.2:
            self._later.append((now + self._dice.uniform(0, 30), first))

    def _send_due(self, now: float) -> None:
        due = [images for at, images in self._later if at <= now]
        self._later = [(at, images) for at, images in self._later if at > now]
        for images in due:
            self._insist(images)

    def _insist(self, images: list[SentImage]) -> None:
        """Send until each image was acknowledged, once more even if it was before."""
        missing = list(images)
        while missing:
            self.tries += 1
            send = self._dice.choices(list(_SENDERS), list(_SENDERS.values()))[0]
            acknowledged = send(self._site, self._calling, [image.path for image in missing])
            for image in missing:
                image.acknowledged += image.path in acknowledged
            missing = [image for image in missing if image.path not in acknowledged]
            if missing:
                self.failures += 1
                time.sleep(self._dice.uniform(0.2, 1.0))
