"""What makes two runs of an evaluation the same."""

import pytest

from service.errors import PermanentReadingError
from service.settings.config import Settings
from service.settings.keys.reading import Reading
from workers.evaluation.run import decisive
from workers.model.profiles.load import SHIPPED


def test_a_changed_profile_makes_another_run(tmp_path):
    """The content counts, not the name: drafts of two prompts must not be mixed in one folder."""
    path = tmp_path / "own.toml"
    text = (SHIPPED / "generic.toml").read_text(encoding="utf-8")
    path.write_text(text, encoding="utf-8")
    table = {"kind": "transformers", "model": "own", "model_dir": tmp_path, "profile": str(path)}
    settings = Settings(data_dir=tmp_path, reading=Reading(**table))
    first = decisive(settings)
    path.write_text(f"{text}\n# a comment\n", encoding="utf-8")
    assert decisive(settings) == first
    path.write_text(text.replace("Write the report", "Describe"), encoding="utf-8")
    assert decisive(settings) != first
    path.write_text("format = 9", encoding="utf-8")
    with pytest.raises(PermanentReadingError, match=r"own\.toml: .*format: 9 is not allowed"):
        decisive(settings)
