"""The fixtures of the sweeper, which removes old images and results."""

from tests.service.sweeper.conftest import arrive, post, settings, sweeper  # noqa: F401
