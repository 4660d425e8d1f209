"""As which kind of object a notice about a draft is sent."""

from enum import StrEnum


class NoticeForm(StrEnum):
    """A document, or a page for archives and viewers that take images only."""

    DOCUMENT = "document"  # Basic Text SR
    PAGE = "page"  # Secondary Capture
