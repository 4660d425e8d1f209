"""Loads the text tower of the site's model, if it has one, and exports it for the web process."""

import shutil
import tempfile
from pathlib import Path

from safetensors.torch import save_file

from service.errors import PermanentReadingError
from service.log import get_logger
from service.search.text_tower import WEIGHTS, tower_folder
from service.settings.config import Settings
from workers.model.checkpoints.text_tower import VOCABULARY, TextTower
from workers.model.errors import CheckpointError
from workers.model.files.snapshot import resolved_folder
from workers.model.names import TOWER_MODEL

log = get_logger(__name__)


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


def export_text_tower(settings: Settings) -> bool:
    """Export the text tower of the site's model to the data folder, unless it is there; return whether.

    The web process searches with it. A failure is logged: it affects no reading.
    """
    try:
        tower = text_tower(settings)
        if tower is None or tower_folder(settings.data_dir, tower.space).exists():
            return False
        _write(tower, settings, tower_folder(settings.data_dir, tower.space))
    except (OSError, PermanentReadingError) as error:
        log.warning("text_tower_not_exported", reason=str(error))
        return False
    return True


def _write(tower: TextTower, settings: Settings, folder: Path) -> None:
    """Write the files to a folder of their own, then rename it: a reader never sees a part."""
    if settings.reading.model_dir is None:
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        save_file(tower.tensors(), making / WEIGHTS, metadata={"heads": str(tower.heads)})
        source = resolved_folder(settings.reading.model_dir) / VOCABULARY
        shutil.copyfile(source, making / VOCABULARY)
        making.chmod(0o770)
        making.rename(folder)
    finally:
        shutil.rmtree(making, ignore_errors=True)
