"""The keys of the tables `[[web.viewers]]` of the settings: viewers of the site, opened by a link."""

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, ClassVar, Final
from urllib.parse import quote, urlsplit

from pydantic import Field
from pydantic.functional_validators import AfterValidator

from service.settings.keys.base import Section, matching
from service.settings.rules import Conflict, Rule, conflict


class Placeholder(StrEnum):
    """What a template may name in braces; each value is percent-encoded."""

    STUDY_UID = "study_uid"
    ACCESSION = "accession"
    PATIENT_ID = "patient_id"
    ORTHANC_STUDY = "orthanc_study"  # the id of the study in an Orthanc


class ViewerKind(StrEnum):
    """Viewers whose addresses are known, and any other one."""

    OHIF = "ohif"
    WEASIS = "weasis"
    ORTHANC_EXPLORER_2 = "orthanc-explorer-2"
    ORTHANC_EXPLORER = "orthanc-explorer"
    CUSTOM = "custom"


WEB_SCHEMES: Final = ("https", "http")
# Programs on the workstation. Schemes that a browser executes itself (javascript, data) are refused.
PROGRAM_SCHEMES: Final = ("weasis", "radiant", "osirix", "horos")
SCHEMES: Final = (*WEB_SCHEMES, *PROGRAM_SCHEMES)
_BRACES: Final = re.compile(r"\{([^{}]*)\}")
# RFC 3986 section 2, and the braces of placeholders.
_NOT_OF_A_URL: Final = re.compile(r"[^A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%{}]")
_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_LONGEST: Final = 2000
# After the root. Weasis gets a command: https://weasis.org/en/getting-started/weasis-protocol
_AFTER_ROOT: Final = {
    ViewerKind.OHIF: "/viewer?StudyInstanceUIDs={study_uid}",
    ViewerKind.ORTHANC_EXPLORER_2: "/ui/app/#/filtered-studies?StudyInstanceUID={study_uid}"
    "&expand=study",
    ViewerKind.ORTHANC_EXPLORER: "/app/explorer.html#study?uuid={orthanc_study}",
}
_WEASIS: Final = "weasis://%24dicom%3Ars%20--url%20%22{}%22%20-r%20%22studyUID%3D{{study_uid}}%22"


def _address(value: str) -> str:
    """Refuse what is no address of a viewer, or names an unknown placeholder."""
    if len(value) > _LONGEST:
        raise ValueError(f"is longer than {_LONGEST} characters")
    if wrong := _NOT_OF_A_URL.search(value) or _PERCENT.search(value):
        raise ValueError(
            f"holds {wrong[0]!a}, which a URL must percent-encode (a space as %20, a quote as %22)"
        )
    _check_scheme(value)
    _check_placeholders(value)
    return value


def _check_scheme(value: str) -> None:
    scheme, separator, _ = value.partition("://")
    if not separator or scheme.lower() not in SCHEMES:
        raise ValueError(f"begins with none of {', '.join(f'{each}://' for each in SCHEMES)}")
    if scheme.lower() not in WEB_SCHEMES:
        return
    try:
        parts = urlsplit(value)
        host, credentials = parts.hostname, parts.username or parts.password
        _ = parts.port
    except ValueError:
        raise ValueError("not a web address") from None
    if not host or "{" in parts.netloc:
        raise ValueError(
            "must name a host; a placeholder may stand in path, query or fragment only"
        )
    if credentials:
        raise ValueError("holds a user name or password: browsers and logs show addresses")


def _check_placeholders(value: str) -> None:
    known = ", ".join(f"{{{each}}}" for each in Placeholder)
    for name in _BRACES.findall(value):
        if name not in set(Placeholder):
            raise ValueError(f"names the unknown placeholder {{{name}}}; known are {known}")
    if set(_BRACES.sub("", value)) & set("{}"):
        raise ValueError(f"has a brace without its other one; placeholders are {known}")


def _address_fits_the_kind(viewer: "SiteViewer") -> Iterator[Conflict]:
    url = str(viewer.url)
    names = placeholders_of(url)
    if viewer.kind is ViewerKind.CUSTOM:
        if not names:
            message = "has no placeholder, so that it would open the same page for every study: "
            yield conflict("url", message + "add {study_uid}", "kind")
        return
    if names:
        message = f"of kind {viewer.kind} is the root of the viewer: for a template set kind = "
        yield conflict("url", message + '"custom"', "kind")
    elif not url.lower().startswith(("http://", "https://")) or set(url) & set("?#"):
        message = f"of kind {viewer.kind} is a web address without query and fragment"
        yield conflict("url", message, "kind")


def placeholders_of(template: str) -> tuple[Placeholder, ...]:
    """Return the placeholders that a checked template names, in order."""
    return tuple(Placeholder(each) for each in _BRACES.findall(template))


class SiteViewer(Section):
    """A viewer of the site that opens a study by a link."""

    label: Annotated[str, matching(r"[^\s\x00-\x1f](.{0,38}\S)?", "1 to 40 characters")] = Field(
        description="Text of the link."
    )
    kind: ViewerKind = Field(
        ViewerKind.CUSTOM,
        description="`ohif`, `weasis`, `orthanc-explorer-2`, `orthanc-explorer` (the legacy pages) or "
        "`custom`.",
    )
    url: Annotated[str, AfterValidator(_address)] = Field(
        description="The root of the viewer (of `weasis`: of the DICOMweb service). For `custom` the "
        "whole address with `{study_uid}`, `{accession}`, `{patient_id}` or `{orthanc_study}`, each "
        "replaced by its percent-encoded value. Accession number and patient ID are **patient data**: "
        "such a template sends them to the viewer's host, where they stand in its log, and with "
        "http:// without encryption."
    )

    rules: ClassVar[tuple[Rule, ...]] = (_address_fits_the_kind,)

    @property
    def template(self) -> str:
        """The whole address with its placeholders."""
        root = self.url.rstrip("/")
        if self.kind is ViewerKind.CUSTOM:
            return self.url
        if self.kind is ViewerKind.WEASIS:
            return _WEASIS.format(quote(root, safe=""))
        return root + _AFTER_ROOT[self.kind]

    @property
    def is_program(self) -> bool:
        """Whether a program on the workstation opens the link, not the browser."""
        return self.template.partition(":")[0].lower() in PROGRAM_SCHEMES
