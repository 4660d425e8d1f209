"""The person who makes a request, as a reviewer."""

from typing import Final, Protocol

from starlette.exceptions import HTTPException
from starlette.requests import Request

from dicom.content.codes import Code
from service.review.decision import Reviewer

SCHEME: Final = "99WETREAD"  # of login names as codes of persons (PS3.16 8.2)
_LONGEST_CODE: Final = 16  # characters of Code Value, VR SH


class Person(Protocol):
    """What is needed of a person who is logged in."""

    @property
    def id(self) -> str:
        """The account's id."""

    @property
    def login(self) -> str:
        """The login name."""

    @property
    def display_name(self) -> str:
        """The name as the site writes it."""

    @property
    def dicom_name(self) -> str:
        """The name as a PN value, or ""."""


def reviewer_of(request: Request, organization: str) -> Reviewer:
    """Return the person who makes the request.

    Args:
        request: A request of a person who is logged in.
        organization: The site's name.

    Raises:
        HTTPException: 403: nobody is logged in, or a program makes the request.
    """
    session = getattr(request.state, "session", None)
    if session is None:
        raise HTTPException(403, "Only a person who is logged in may do this, not a program.")
    return as_reviewer(session.person, organization)


def as_reviewer(person: Person, organization: str) -> Reviewer:
    """Return a person as a verified report names them."""
    name = person.dicom_name or person.display_name or person.login
    code = None
    if len(person.login) <= _LONGEST_CODE:
        code = Code(person.login, SCHEME, person.display_name or person.login)
    return Reviewer(id=person.id, name=name, organization=organization, identifier=code)
