"""A sweeper by a clock of the test, and images that arrive."""

import pytest

from dicom.study import Instance
from service.errors import BrokerUnavailable
from service.settings.config import load_settings
from service.sweeper.sweeper import Sweeper
from tests.service.sweeper.studies import STUDY


class Post:
    """The published jobs; `away` makes it refuse like a Redis that does not answer."""

    def __init__(self):
        self.jobs = []
        self.away = False

    def __call__(self, job):
        """Take the job's id."""
        if self.away:
            raise BrokerUnavailable("Redis does not answer")
        self.jobs.append((job.id, job.state))

    def take(self):
        """Return what was published since the last time."""
        taken, self.jobs = self.jobs, []
        return taken


@pytest.fixture
def settings(tmp_path):
    """Settings with a data folder of the test's own."""
    # The free space of this disk must not matter: it has a test of its own.
    disk = {"warn_free_bytes": 0, "early_free_bytes": 0}
    reading = {"model": "tiny", "max_attempts": 2}
    return load_settings(data_dir=tmp_path / "data", reading=reading, sweep=disk)


@pytest.fixture
def post():
    """Where the sweeper publishes."""
    return Post()


@pytest.fixture
def sweeper(store, settings, post, clock):
    """A sweeper with empty queues whose time is that of the clock."""
    return Sweeper(store, settings, post, passed=lambda: clock().timestamp())


@pytest.fixture
def arrive(store, settings):
    """A function that lets an image arrive, its file in the spool."""

    def add(number=1, *, study=STUDY, quiet_seconds=2.0):
        # As in any spool in which the images of others lie.
        (settings.spool_dir / "ab").mkdir(parents=True, exist_ok=True)
        path = settings.spool_dir / study / f"{number}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"film")
        image = Instance(
            sop_instance_uid=f"{study}.1.{number}",
            sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1",
            series_instance_uid=f"{study}.1",
            study_instance_uid=study,
            transfer_syntax_uid="1.2.840.10008.1.2.1",
            path=path,
            digest="a" * 64,
            size=4,
        )
        store.add_instance(
            image,
            calling_ae="MODALITY",
            association_id="A1",
            eligible=True,
            quiet_seconds=quiet_seconds,
        )
        return path

    return add
