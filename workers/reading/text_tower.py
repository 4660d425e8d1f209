"""Loads the text tower of the site's model, if it has one, and exports it for the web process."""

import shutil
import tempfile
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file

from service.errors import PermanentReadingError
from service.log import get_logger
from service.search.text_tower import WEIGHTS, tower_folder
from service.settings.config import Settings
from workers.model.checkpoints.text_tower import VOCABULARY, TextTower, tower_space
from workers.model.errors import CheckpointError
from workers.model.files.snapshot import resolved_folder
from workers.model.names import TOWER_MODEL

log = get_logger(__name__)


def text_tower(settings: Settings) -> TextTower | None:
    """Return the text tower of the model of the settings; None if it has none.

    Raises:
        PermanentReadingError: Its files do not fit together.
    """
    try:
        folder = _folder(settings)
        return None if folder is None else TextTower.from_folder(folder)
    except CheckpointError as error:
        raise PermanentReadingError(str(error)) from error


def export_text_tower(settings: Settings) -> bool:
    """Export the text tower of the site's model to the data folder, unless it is there; return whether.

    The web process searches with it. A failure is logged: it affects no reading.
    """
    try:
        folder = _folder(settings)
        if folder is None:
            return False
        target = tower_folder(settings.data_dir, tower_space(folder))
        if target.exists():
            return False
        _write(TextTower.from_folder(folder), folder / VOCABULARY, target)
    except (OSError, SafetensorError, CheckpointError) as error:
        log.warning("text_tower_not_exported", reason=str(error))
        return False
    return True


def _folder(settings: Settings) -> Path | None:
    """Return the folder of the site's model if it has a text tower with its vocabulary."""
    reading = settings.reading
    if reading.model != TOWER_MODEL or reading.model_dir is None:
        return None
    folder = resolved_folder(reading.model_dir)
    return folder if (folder / VOCABULARY).is_file() else None


def _write(tower: TextTower, vocabulary: Path, target: Path) -> None:
    """Write the files to a folder of their own, then rename it: a reader never sees a part."""
    target.parent.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        save_file(tower.tensors(), making / WEIGHTS, metadata={"heads": str(tower.heads)})
        shutil.copyfile(vocabulary, making / VOCABULARY)
        making.chmod(0o770)
        making.rename(target)
    finally:
        shutil.rmtree(making, ignore_errors=True)
