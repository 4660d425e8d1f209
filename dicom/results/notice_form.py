"""The kind of object as which a notice about a draft is sent."""

from enum import StrEnum


class NoticeForm(StrEnum):
    """A document, or a page for archives and viewers that accept images only."""

    DOCUMENT = "document"  # Basic Text SR
    PAGE = "page"  # Secondary Capture
