"""The golden checkpoints beside the repository, and a tiny checkpoint made once for the session."""

from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def goldens() -> Path:
    """The small golden arrays that the repository carries."""
    return Path(__file__).parent / "goldens"


@pytest.fixture(scope="session")
def shared_goldens() -> Path:
    """The folder of golden checkpoints beside the repository; read-only."""
    folder = REPOSITORY.parent / "shared" / "reference" / "goldens"
    if not folder.is_dir():
        pytest.skip("the golden checkpoints (../shared/reference/goldens) are not on this machine")
    return folder


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint; read-only."""
    from workers.model.tiny import ensure_tiny  # noqa: PLC0415 - torch only where it is asked for

    return ensure_tiny(tmp_path_factory.mktemp("models") / "tiny")
