"""All checks of `wetread check` except those of the models, in their order."""

from collections.abc import Iterator
from functools import partial

from service.checks.accounts import account_checks
from service.checks.archives import archive_checks
from service.checks.broker import broker
from service.checks.check import Check, Grade, Outcome
from service.checks.database import database
from service.checks.destinations import destination_checks
from service.checks.installation import fonts, library_checks, time_zone
from service.checks.ports import port_checks
from service.checks.profiles import profile_checks
from service.checks.storage import storage_checks
from service.checks.tls_files import tls_file_checks
from service.checks.tokens import tokens
from service.settings.advice import advice
from service.settings.config import Settings


def site_checks(settings: Settings) -> Iterator[Check]:
    """Yield every check except those of the models."""
    yield Check("configuration", lambda: Outcome("valid"))
    for number, sentence in enumerate(advice(settings), start=1):
        yield Check(f"setting {number}", partial(Outcome, sentence, Grade.WARNING))
    yield from profile_checks(settings)
    yield Check("time zone", time_zone)
    yield from library_checks()
    yield from storage_checks(settings)
    yield Check("database", partial(database, settings))
    yield from account_checks(settings)
    yield Check("tokens", partial(tokens, settings))
    yield Check("broker", partial(broker, settings))
    yield from port_checks(settings)
    yield from tls_file_checks(settings)
    yield Check("fonts", fonts)
    yield from destination_checks(settings)
    yield from archive_checks(settings)
