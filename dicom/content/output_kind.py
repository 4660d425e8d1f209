"""The kinds of result objects, without an import of pydicom: the settings name them."""

from enum import StrEnum


class OutputKind(StrEnum):
    """The kind of a result object; part of its derived UID and of its file's name.

    Kinds that end in "page" are Secondary Capture images of a text.
    """

    DRAFT_REPORT = "draft-report"
    FINDINGS = "findings"
    FINDINGS_3D = "findings-3d"
    OVERLAY = "overlay"
    REPORT_PAGE = "report-page"
    PRESENTATION_STATE = "presentation-state"
    REPORT_PDF = "report-pdf"
    NOT_ANALYSED = "not-analysed"
    NOT_ANALYSED_PAGE = "not-analysed-page"
    WITHDRAWN = "withdrawn"
    WITHDRAWN_PAGE = "withdrawn-page"
    IN_DOUBT = "in-doubt"
    IN_DOUBT_PAGE = "in-doubt-page"
    VERIFIED_REPORT = "verified-report"


class NoticeForm(StrEnum):
    """A document, or a page for archives and viewers that accept images only."""

    DOCUMENT = "document"  # Basic Text SR
    PAGE = "page"  # Secondary Capture
