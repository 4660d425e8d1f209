"""The tables of people: accounts, sessions, failed logins, set-up and password links.

people ─< sessions, password_links        login_failures        setup_links
"""

from datetime import datetime

from sqlalchemy import Boolean, ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from service.database.tables import Base, Counter, JobId, UtcTime

Digest = String(64)


class PersonRow(Base):
    """The account of a person; never deleted, so that what the person did can be traced.

    Attributes:
        login: Lower case.
        roles: Values of `service.accounts.Role`, separated by spaces.
        password_hash: Argon2id; "" without a password.
        issuer: The OpenID provider of the account; "" for a local one.
        subject: The person's identifier at that provider.
    """

    __tablename__ = "people"
    __table_args__ = (
        Index(
            "ux_people_issuer_subject",
            "issuer",
            "subject",
            unique=True,
            sqlite_where=text("issuer <> ''"),
            postgresql_where=text("issuer <> ''"),
        ),
    )

    id: Mapped[str] = mapped_column(JobId, primary_key=True)
    login: Mapped[str] = mapped_column(String(64), unique=True)
    display_name: Mapped[str] = mapped_column(String(64))
    dicom_name: Mapped[str] = mapped_column(String(64))
    roles: Mapped[str] = mapped_column(String(64))
    password_hash: Mapped[str] = mapped_column(Text)
    issuer: Mapped[str] = mapped_column(String(255))
    subject: Mapped[str] = mapped_column(String(255))
    break_glass: Mapped[bool] = mapped_column(Boolean)
    created_at: Mapped[datetime] = mapped_column(UtcTime)
    created_by: Mapped[str] = mapped_column(String(128))
    disabled_at: Mapped[datetime | None] = mapped_column(UtcTime)
    last_login_at: Mapped[datetime | None] = mapped_column(UtcTime)


class SessionRow(Base):
    """A login in one browser; the row is deleted when it ends.

    Attributes:
        digest: SHA-256 of the cookie's token.
        oidc_sid: The provider's name of its session, for a logout that it reports; "" if unknown.
        id_token: The provider's ID token, sent back to it at logout; "" for a local login.
    """

    __tablename__ = "sessions"

    digest: Mapped[str] = mapped_column(Digest, primary_key=True)
    person_id: Mapped[str] = mapped_column(ForeignKey("people.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(UtcTime, index=True)
    seen_at: Mapped[datetime] = mapped_column(UtcTime)
    address: Mapped[str] = mapped_column(String(64))
    oidc_sid: Mapped[str] = mapped_column(String(255))
    id_token: Mapped[str] = mapped_column(Text)


class LoginFailureRow(Base):
    """A login that failed or is being verified; kept for an hour.

    Attributes:
        name_digest: SHA-256 of the login name as it was typed: people type passwords there too.
    """

    __tablename__ = "login_failures"
    __table_args__ = (
        Index("ix_login_failures_name_digest_at", "name_digest", "at"),
        Index("ix_login_failures_address_at", "address", "at"),
    )

    id: Mapped[int] = mapped_column(Counter, primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcTime, index=True)
    name_digest: Mapped[str] = mapped_column(Digest)
    address: Mapped[str] = mapped_column(String(64))


class SetupLinkRow(Base):
    """A link with which the first account can be made; used once."""

    __tablename__ = "setup_links"

    digest: Mapped[str] = mapped_column(Digest, primary_key=True)
    created_at: Mapped[datetime] = mapped_column(UtcTime)
    expires_at: Mapped[datetime] = mapped_column(UtcTime)


class PasswordLinkRow(Base):
    """A link with which one person sets the password of an account; used once, one for each account."""

    __tablename__ = "password_links"

    digest: Mapped[str] = mapped_column(Digest, primary_key=True)
    person_id: Mapped[str] = mapped_column(ForeignKey("people.id"), unique=True)
    created_at: Mapped[datetime] = mapped_column(UtcTime)
    expires_at: Mapped[datetime] = mapped_column(UtcTime)
