"""The keys of the table `[oidc]` of the settings."""

from collections.abc import Iterator
from typing import ClassVar

from pydantic import Field, SecretStr

from service.settings.keys.base import HttpRoot, Section
from service.settings.rules import Conflict, Rule, conflict


def _is_whole(oidc: "Oidc") -> Iterator[Conflict]:
    if oidc.issuer is None:
        return
    if not oidc.client_id:
        yield conflict("client_id", "is needed when issuer is set", "issuer")
    if not (oidc.admin_groups or oidc.radiologist_groups or oidc.viewer_groups):
        message = (
            "no group gives a role, so that no one could log in: set admin_groups, radiologist_groups "
            "or viewer_groups"
        )
        yield conflict("", message, "issuer")


class Oidc(Section):
    """Login by an OpenID Connect provider (authorization code with PKCE)."""

    issuer: HttpRoot | None = Field(
        None, description="The provider's issuer URL; absent: accounts are kept here only."
    )
    client_id: str = Field("", description="Client id of Wetread at the provider.")
    client_secret: SecretStr = Field(
        SecretStr(""), description="Client secret of Wetread at the provider."
    )
    scope: str = Field("openid profile", description="The scopes that are requested.")
    label: str = Field("Log in with your hospital account", description="Text of the login link.")
    login_claim: str = Field("preferred_username", description="The claim with the login name.")
    name_claim: str = Field("name", description="The claim with the name that pages show.")
    groups_claim: str = Field("groups", description="The claim with the person's groups.")
    admin_groups: tuple[str, ...] = Field((), description="Groups that have the role admin.")
    radiologist_groups: tuple[str, ...] = Field(
        (), description="Groups that have the role radiologist."
    )
    viewer_groups: tuple[str, ...] = Field((), description="Groups that have the role viewer.")
    local_accounts: bool = Field(
        False,
        description="Accounts kept here may log in too; off: only the one of `wetread user add "
        "--break-glass`.",
    )

    rules: ClassVar[tuple[Rule, ...]] = (_is_whole,)
