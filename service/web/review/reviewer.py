"""The person who makes a request, as a reviewer."""

from typing import Final

from starlette.requests import Request

from dicom.content.codes import Code
from service.accounts import Person
from service.review.decision import Reviewer
from service.web.access.current import current_person

SCHEME: Final = "99WETREAD"  # of login names as codes of persons (PS3.16 8.2)
_LONGEST_CODE: Final = 16  # characters of Code Value, VR SH


def reviewer_of(request: Request, organization: str) -> Reviewer:
    """Return the person who makes the request.

    Args:
        request: A request of a person who is logged in.
        organization: The site's name.

    Raises:
        HTTPException: 403: a program makes the request, with a token.
    """
    return as_reviewer(current_person(request), organization)


def as_reviewer(person: Person, organization: str) -> Reviewer:
    """Return a person as a verified report names them."""
    name = person.dicom_name or person.display_name or person.login
    code = None
    if len(person.login) <= _LONGEST_CODE:
        code = Code(person.login, SCHEME, person.display_name or person.login)
    return Reviewer(id=person.id, name=name, organization=organization, identifier=code)
