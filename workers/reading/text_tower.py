"""Loads the text tower of the site's model, if it has one."""

from service.errors import PermanentReadingError
from service.settings.config import Settings
from workers.model.checkpoints.text_tower import VOCABULARY, TextTower
from workers.model.errors import CheckpointError
from workers.model.files.snapshot import resolved_folder
from workers.model.names import TOWER_MODEL


def text_tower(settings: Settings) -> TextTower | None:
    """Return the text tower of the model of the settings; None if it has none.

    Raises:
        PermanentReadingError: Its files do not fit together.
    """
    reading = settings.reading
    if reading.model != TOWER_MODEL or reading.model_dir is None:
        return None
    try:
        folder = resolved_folder(reading.model_dir)
        return TextTower.from_folder(folder) if (folder / VOCABULARY).is_file() else None
    except CheckpointError as error:
        raise PermanentReadingError(str(error)) from error
