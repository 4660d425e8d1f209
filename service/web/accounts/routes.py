"""The routes of accounts and tokens."""

from typing import Final

from starlette.routing import Route

from service.accounts import Role
from service.web.access.roles import EVERYONE, OPEN, guarded
from service.web.accounts import own_page, password_link, people_page, tokens_page
from service.web.forms.frame import Handler

_ADMIN: Final = frozenset({Role.ADMIN})
_POST: Final = ("POST",)


def _admin_form(path: str, handler: Handler) -> Route:
    """Return the route of a form that only an admin may send."""
    return guarded(path, handler, roles=_ADMIN, methods=_POST)


ACCOUNT_ROUTES: Final = (
    guarded("/password/{link}", password_link.password_page, access=OPEN),
    guarded("/password/{link}", password_link.set_password, access=OPEN, methods=_POST),
    guarded("/account", own_page.account_page, roles=EVERYONE),
    guarded("/account/password", own_page.change_password, roles=EVERYONE, methods=_POST),
    guarded(
        "/account/sessions/{reference}/end", own_page.end_session, roles=EVERYONE, methods=_POST
    ),
    guarded("/people", people_page.people_page, roles=_ADMIN),
    _admin_form("/people", people_page.add_account),
    _admin_form("/people/{login}/roles", people_page.change_roles),
    _admin_form("/people/{login}/link", people_page.make_link),
    _admin_form("/people/{login}/disable", people_page.disable_account),
    _admin_form("/people/{login}/enable", people_page.enable_account),
    guarded("/tokens", tokens_page.tokens_page, roles=_ADMIN),
    _admin_form("/tokens", tokens_page.add_token),
    _admin_form("/tokens/{token_id}/revoke", tokens_page.revoke_token),
)
