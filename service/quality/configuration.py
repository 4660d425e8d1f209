"""Digests of the configuration: a change of a section is visible; no value, secret or path leaves."""

from service.database import schema
from service.quality.document import Document, DocumentKind, Section, Table
from service.quality.inputs import Inputs
from service.settings.config import Settings
from service.settings.digests import section_digests, settings_digest

_DEFAULT, _SET = "as shipped", "changed by the site"


def configuration(inputs: Inputs) -> Document:
    """Return the digests of the settings in force when the document is made."""
    settings = inputs.settings
    digests = section_digests(settings)
    shipped = section_digests(Settings())
    rows = tuple(
        (name, _DEFAULT if digest == shipped[name] else _SET, digest)
        for name, digest in digests.items()
    )
    whole = settings_digest(settings)
    return Document(
        kind=DocumentKind.CONFIGURATION,
        name=DocumentKind.CONFIGURATION.value,
        title="Digests of the configuration",
        facts=(
            ("All settings", whole),
            ("In the change log and the audit trail", f"settings in force: {whole[:16]}"),
            ("Database schema", schema.head()),
        ),
        sections=(
            Section(
                title="Sections",
                sentences=(
                    (
                        "SHA-256 of each section, of the settings in force when this document "
                        "was made. Equal digests mean equal settings. Secrets count only as set "
                        "or not set: another password does not change a digest. No value of a "
                        "setting is shown; `wetread settings` prints them at the site."
                    ),
                ),
                tables=(Table(("Section", "State", "SHA-256"), rows),),
            ),
        ),
        values={"all": whole, "sections": digests},
    )
