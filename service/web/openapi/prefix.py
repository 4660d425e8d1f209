"""The path of the JSON API; apart from the models, which are slow to load."""

from typing import Final

PREFIX: Final = "/api"
