"""Links that open a study in a viewer of the site (`[[web.viewers]]`)."""

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
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
# Of a query in DICOM (PS3.4 C.2.2.2): any text, any character, and a list of values.
_WILDCARDS: Final = frozenset("*?\\")
# A program splits its decoded address into the arguments of a command, each program by its own rules:
# Weasis by those of a shell, in which also a space or a bracket ends an argument or begins a command.
_FOR_PROGRAMS: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/@-]*")
# The database keeps as many characters of these values: a value of this length may have been longer.
_CUT_AT: Final = 64


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
    sources = {
        Placeholder.ACCESSION: patient.accession,
        Placeholder.PATIENT_ID: patient.patient_id,
        Placeholder.ORTHANC_STUDY: patient.patient_id,
    }
    cut = frozenset(each for each, value in sources.items() if len(value) >= _CUT_AT)
    return tuple(_link(each, values, cut) for each in viewers)


def orthanc_study(patient: Patient, study_uid: str) -> str:
    """Return the id that an Orthanc gives a study: a SHA-1 of Patient ID and Study Instance UID."""
    named = f"{patient.patient_id.rstrip(' ')}|{study_uid}".encode("utf-8", "surrogatepass")
    digest = hashlib.sha1(named, usedforsecurity=False).hexdigest()
    return "-".join(digest[at : at + 8] for at in range(0, len(digest), 8))


def _link(
    viewer: SiteViewer, values: Mapping[Placeholder, str], cut: Collection[Placeholder]
) -> ViewerLink:
    reason = _why_none(viewer, values, cut)
    return ViewerLink(
        label=viewer.label,
        href="" if reason else _filled(viewer.template, values),
        in_new_tab=not viewer.is_program,
        reason=reason,
    )


def _why_none(
    viewer: SiteViewer, values: Mapping[Placeholder, str], cut: Collection[Placeholder]
) -> str:
    for each in placeholders_of(viewer.template):
        value, word = values[each].strip(), _WORDS[each]
        if not value:
            return f"no {word} is known"
        if each in cut:
            return f"the {word} is too long: it may not be kept whole"
        if value in _SEGMENTS:
            return f"the {word} cannot stand in an address"
        if _WILDCARDS & set(value):
            return f"the {word} has a character that finds other patients, too"
        if viewer.is_program and not _FOR_PROGRAMS.fullmatch(value):
            return f"the {word} has a space or a character that its command cannot hold"
    return ""


def _filled(template: str, values: Mapping[Placeholder, str]) -> str:
    for each, value in values.items():
        encoded = quote(value.strip(), safe="", errors="replace")
        template = template.replace(f"{{{each}}}", encoded)
    return template
