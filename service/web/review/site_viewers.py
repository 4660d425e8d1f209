"""Links that open a study in a viewer of the site (`[[web.viewers]]`)."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from service.settings.keys.viewers import Placeholder, SiteViewer, placeholders_of
from service.web.review.patients import Patient

_WORDS: Final = {
    Placeholder.STUDY_UID: "Study Instance UID",
    Placeholder.ACCESSION: "accession number",
    Placeholder.PATIENT_ID: "patient ID",
    Placeholder.ORTHANC_STUDY: "patient ID",
}
# Browsers remove these from a path, also percent-encoded (RFC 3986 section 5.2.4).
_SEGMENTS: Final = frozenset({".", ".."})
# A program splits its decoded address into a command's arguments: no value may end its own.
_NOT_FOR_PROGRAMS: Final = re.compile(r"[\x00-\x1f\"'`\\$;|&<>]")


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewerLink:
    """A link of a study.

    Attributes:
        href: Its address; "" if none can be made.
        in_new_tab: Whether it opens a tab: not if a program opens it, the tab would stay empty.
        reason: Why there is no address, a few words.
    """

    label: str
    href: str
    in_new_tab: bool
    reason: str = ""


def viewer_links(
    viewers: Iterable[SiteViewer], study_uid: str, patient: Patient
) -> tuple[ViewerLink, ...]:
    """Return the links of a study, in the order of the settings.

    Args:
        viewers: The viewers of the site.
        study_uid: Study Instance UID.
        patient: The patient of the study.
    """
    values = {
        Placeholder.STUDY_UID: study_uid,
        Placeholder.ACCESSION: patient.accession,
        Placeholder.PATIENT_ID: patient.patient_id,
        Placeholder.ORTHANC_STUDY: "" if patient.fault else orthanc_study(patient, study_uid),
    }
    return tuple(_link(each, values) for each in viewers)


def orthanc_study(patient: Patient, study_uid: str) -> str:
    """Return the id that an Orthanc gives a study: a SHA-1 of Patient ID and Study Instance UID."""
    named = f"{patient.patient_id.rstrip(' ')}|{study_uid}".encode("utf-8", "surrogatepass")
    digest = hashlib.sha1(named, usedforsecurity=False).hexdigest()
    return "-".join(digest[at : at + 8] for at in range(0, len(digest), 8))


def _link(viewer: SiteViewer, values: Mapping[Placeholder, str]) -> ViewerLink:
    reason = _why_none(viewer, values)
    return ViewerLink(
        label=viewer.label,
        href="" if reason else _filled(viewer.template, values),
        in_new_tab=not viewer.is_program,
        reason=reason,
    )


def _why_none(viewer: SiteViewer, values: Mapping[Placeholder, str]) -> str:
    for each in placeholders_of(viewer.template):
        if not values[each].strip():
            return f"no {_WORDS[each]} is known"
        if values[each].strip() in _SEGMENTS:
            return f"the {_WORDS[each]} cannot stand in an address"
        if viewer.is_program and _NOT_FOR_PROGRAMS.search(values[each]):
            return f"the {_WORDS[each]} has a character that its command cannot hold"
    return ""


def _filled(template: str, values: Mapping[Placeholder, str]) -> str:
    for each, value in values.items():
        encoded = quote(value.strip(), safe="", errors="replace")
        template = template.replace(f"{{{each}}}", encoded)
    return template
