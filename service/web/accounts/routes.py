"""The routes of accounts and tokens."""

from typing import Final

from service.web.access.roles import EVERYONE, guarded
from service.web.accounts import own_page

ACCOUNT_ROUTES: Final = (
    guarded("/account", own_page.account_page, roles=EVERYONE),
    guarded("/account/password", own_page.change_password, roles=EVERYONE, methods=("POST",)),
    guarded(
        "/account/sessions/{reference}/end",
        own_page.end_session,
        roles=EVERYONE,
        methods=("POST",),
    ),
)
