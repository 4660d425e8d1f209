"""Names of queues and roles."""

from service.queue.names import READING, queue_of, reading_queues, shadow_role
from service.settings.config import load_settings


def test_the_model_of_the_settings_has_the_plain_queue(tmp_path):
    """A model that is not configured has a queue that no worker reads."""
    settings = load_settings(data_dir=tmp_path)
    model = settings.reading.model
    assert reading_queues(settings)[model] == READING
    assert queue_of(settings, "gone") == f"{READING}.gone"
    assert shadow_role("gone") == "shadow.gone"
