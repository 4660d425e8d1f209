"""Login by OpenID Connect against a small provider that checks its requests."""

import base64
import hashlib
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from json import dumps
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from service.accounts import Role
from service.audit import AuditOutcome
from service.passwords import hash_password
from service.store.audit.trail import AuditFilter

SECRET = "of-the-client"  # noqa: S105 - of a test
PHRASE = "correct horse battery"
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"


class Provider(BaseHTTPRequestHandler):
    """The endpoints of an OpenID provider; `server.claims` describes the person who logs in."""

    def do_GET(self):
        """Answer discovery and keys, and send the browser back with a code."""
        parts = urlsplit(self.path)
        issuer = self.server.issuer
        if parts.path == "/.well-known/openid-configuration":
            self.answer(
                {
                    "issuer": issuer,
                    "authorization_endpoint": f"{issuer}/auth",
                    "token_endpoint": f"{issuer}/token",
                    "jwks_uri": f"{issuer}/keys",
                    "end_session_endpoint": f"{issuer}/logout",
                    "id_token_signing_alg_values_supported": ["RS256"],
                    "code_challenge_methods_supported": ["S256"],
                }
            )
        elif parts.path == "/keys":
            self.answer({"keys": [self.server.key.as_dict(private=False)]})
        else:
            asked = {key: values[0] for key, values in parse_qs(parts.query).items()}
            self.server.asked.append(asked)
            code = f"code-{len(self.server.asked)}"
            self.server.codes[code] = asked
            self.send_response(302)
            target = urlencode({"code": code, "state": asked["state"]})
            self.send_header("Location", f"{asked['redirect_uri']}?{target}")
            self.end_headers()

    def do_POST(self):
        """Exchange a code, once, for an ID token; check client, redirect and PKCE."""
        form = self.rfile.read(int(self.headers["Content-Length"])).decode()
        fields = {key: values[0] for key, values in parse_qs(form).items()}
        asked = self.server.codes.pop(fields["code"])
        digest = hashlib.sha256(fields["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        client = base64.b64encode(f"wetread:{SECRET}".encode()).decode()
        assert asked["code_challenge"] == challenge
        assert asked["redirect_uri"] == fields["redirect_uri"]
        assert self.headers["Authorization"] == f"Basic {client}"
        claims = {"nonce": asked["nonce"], **self.server.claims}
        token = {"access_token": "x", "token_type": "Bearer", "expires_in": 300}
        self.answer({**token, "id_token": self.server.signed(claims)})

    def answer(self, body):
        """Answer with JSON."""
        content = dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_arguments):
        """Write nothing."""


class Server(ThreadingHTTPServer):
    """The provider's state."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Provider)
        self.issuer = f"http://127.0.0.1:{self.server_port}"
        self.key = RSAKey.generate_key(2048, parameters={"kid": "k1", "use": "sig"})
        self.asked, self.codes = [], {}
        self.claims = {
            "sub": "u1",
            "sid": "s1",
            "preferred_username": "Kim",
            "name": "Dr. Kim",
            "groups": ["radiologists", "staff"],
        }

    def signed(self, claims, **changes):
        """Return a token with the test's claims."""
        now = int(time.time())
        given = {"iss": self.issuer, "aud": "wetread", "iat": now, "exp": now + 300}
        return jwt.encode({"alg": "RS256", "kid": "k1"}, {**given, **claims, **changes}, self.key)


@pytest.fixture
def provider():
    """The provider."""
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def site(make_site, provider, free_port):
    """The application with the provider, as browsers reach it."""
    port = free_port()
    return make_site(
        logged_in=False,
        web={"port": port, "public_url": f"http://127.0.0.1:{port}/"},
        oidc={
            "issuer": provider.issuer,
            "client_id": "wetread",
            "client_secret": SECRET,
            "admin_groups": ["it"],
            "radiologist_groups": ["radiologists"],
        },
    )


class Browser:
    """A browser that keeps cookies, Secure ones of loopback too, as Chromium does."""

    def __init__(self):
        self.cookies = {}

    def get(self, url, method="GET", **options):
        """Return the answer to one request, redirects not followed."""
        header = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        headers = {"Cookie": header} if header else {}
        answer = httpx.request(method, url, headers=headers, timeout=20, **options)
        for line in answer.headers.get_list("set-cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
        return answer

    def follow(self, url):
        """Return the last answer of a chain of redirects."""
        for _ in range(8):
            answer = self.get(url)
            if answer.status_code not in {302, 303, 307}:
                return answer
            url = str(httpx.URL(url).join(answer.headers["location"]))
        raise AssertionError("too many redirects")


def test_a_login_by_the_provider_gives_the_roles_of_the_groups(site, provider):
    """Code flow with PKCE, state and nonce; back to the requested page."""
    browser = Browser()
    page = browser.get(f"{site.url}login").text
    assert 'href="./oidc/login' in page
    answer = browser.follow(f"{site.url}oidc/login?next=/api/me")
    assert answer.json()["roles"] == ["radiologist"]
    assert (answer.json()["login"], answer.json()["display_name"]) == ("kim", "Dr. Kim")
    (asked,) = provider.asked
    assert asked["code_challenge_method"] == "S256"
    assert {"state", "nonce", "code_challenge"} <= set(asked)
    (account,) = site.store.accounts()
    assert (account.source, account.has_password) == ("oidc", False)
    record, added = site.store.audit_records(AuditFilter())
    assert added.event.detail == "OpenID Connect added kim: radiologist"
    assert (record.event.actor, record.event.detail) == ("kim", "OpenID Connect")


def test_roles_follow_the_groups_at_each_login(site, provider):
    """The loss of a role ends the sessions that had it."""
    first, second = Browser(), Browser()
    first.follow(f"{site.url}oidc/login")
    provider.claims["groups"] = ["it"]
    answer = second.follow(f"{site.url}oidc/login?next=/api/me")
    assert answer.json()["roles"] == ["admin"]
    assert first.get(f"{site.url}api/me").status_code == 401
    assert len(site.store.accounts()) == 1


@pytest.mark.parametrize("groups", [[], ["staff"], None, "radiologist"])
def test_no_group_no_access(site, provider, groups):
    """The page names what is missing; no account is created."""
    provider.claims["groups"] = groups
    answer = Browser().follow(f"{site.url}oidc/login")
    assert answer.status_code == 403
    assert "no role here" in answer.text
    assert site.store.accounts() == []
    (record,) = site.store.audit_records(AuditFilter())
    assert record.event.outcome is AuditOutcome.REFUSED


@pytest.mark.parametrize(
    "changes",
    [{"aud": "another"}, {"iss": "http://evil.example"}, {"exp": 1}, {"nonce": "x"}, {"sub": None}],
    ids=str,
)
def test_an_id_token_that_is_not_ours_is_refused(site, provider, changes):
    """Audience, issuer, time, nonce and subject."""
    provider.claims.update(changes)
    answer = Browser().follow(f"{site.url}oidc/login")
    assert answer.status_code == 401
    assert site.store.accounts() == []


def test_a_foreign_key_is_refused(site, provider):
    """A token that another key signed."""
    Browser().follow(f"{site.url}oidc/login")
    signer = RSAKey.generate_key(2048, parameters={"kid": "k1"})
    provider.signed = lambda claims: jwt.encode(
        {"alg": "RS256", "kid": "k1"},
        {"iss": provider.issuer, "aud": "wetread", "exp": time.time() + 300, **claims},
        signer,
    )
    assert Browser().follow(f"{site.url}oidc/login").status_code == 401


def test_a_callback_needs_the_browser_that_began(site):
    """State of another browser, none, and a second use of the code are refused."""
    browser = Browser()
    start = browser.get(f"{site.url}oidc/login")
    back = browser.get(start.headers["location"]).headers["location"]
    assert Browser().get(back).status_code == 401
    assert browser.get(back).status_code == 303
    assert browser.get(back).status_code == 401


def test_a_taken_login_name_stays_its_owners(site):
    """The provider's person gets a name of their own."""
    local = site.store.add_person(
        "kim", roles=frozenset({Role.ADMIN}), password_hash="", actor="test"
    )
    answer = Browser().follow(f"{site.url}oidc/login?next=/api/me").json()
    assert answer["login"].startswith("kim@")
    assert answer["id"] != local.person.id
    assert answer["roles"] == ["radiologist"]


def test_a_disabled_account_does_not_get_in(site):
    """For any claims of the provider."""
    browser = Browser()
    browser.follow(f"{site.url}oidc/login")
    site.store.disable_person("kim")
    assert browser.get(f"{site.url}api/me").status_code == 401
    assert Browser().follow(f"{site.url}oidc/login").status_code == 403


def test_only_the_account_for_emergencies_has_a_password(site):
    """Its login is audited as that, and an incident."""
    phrase = hash_password(PHRASE)
    admins = {"roles": frozenset({Role.ADMIN}), "password_hash": phrase, "actor": "test"}
    site.store.add_person("ann", **admins)
    site.store.add_person("glass", break_glass=True, **admins)
    form = {"password": PHRASE}
    assert site.post("/login", data={"name": "ann", **form}).status_code == 401
    assert site.post("/login", data={"name": "glass", **form}).status_code == 303
    assert site.store.audit_records(AuditFilter())[0].event.action == "break-glass login"
    assert [each.kind for each in site.store.incidents()] == ["break_glass_login"]


def test_a_logout_offers_the_logout_at_the_provider(site, provider):
    """With the ID token as hint; the session here is over at once."""
    browser = Browser()
    browser.follow(f"{site.url}oidc/login")
    answer = browser.get(f"{site.url}logout", method="POST")
    assert answer.status_code == 200
    assert f'href="{provider.issuer}/logout?id_token_hint=' in answer.text
    assert browser.get(f"{site.url}api/me").status_code == 401


@pytest.mark.parametrize("named", [{"sid": "s1"}, {"sub": "u1"}, {"sub": "u1", "sid": "s1"}])
def test_the_provider_ends_sessions(site, provider, named):
    """Back-channel logout by session or by person."""
    browser = Browser()
    browser.follow(f"{site.url}oidc/login")
    token = provider.signed({**named, "events": {LOGOUT_EVENT: {}}, "jti": "1"})
    answer = httpx.post(f"{site.url}oidc/backchannel", data={"logout_token": token})
    assert answer.status_code == 200
    assert browser.get(f"{site.url}api/me").status_code == 401


@pytest.mark.parametrize(
    "changes",
    [
        {"events": {}},
        {"nonce": "n"},
        {"aud": "another"},
        {"iss": "http://evil.example"},
        {"sub": "", "sid": ""},
        {"exp": 1},
    ],
    ids=str,
)
def test_a_logout_token_that_is_not_ours_ends_nothing(site, provider, changes):
    """Each rule of the specification; invalid tokens too."""
    browser = Browser()
    browser.follow(f"{site.url}oidc/login")
    token = provider.signed({"sub": "u1", "events": {LOGOUT_EVENT: {}}, **changes})
    for each in (token, "nonsense", ""):
        answer = httpx.post(f"{site.url}oidc/backchannel", data={"logout_token": each})
        assert answer.status_code == 400
    assert browser.get(f"{site.url}api/me").status_code == 200


def test_a_provider_that_is_away_is_reported(make_site, free_port):
    """The page answers, in time."""
    site = make_site(
        logged_in=False,
        web={"port": 0, "public_url": "http://127.0.0.1:1/"},
        oidc={
            "issuer": f"http://127.0.0.1:{free_port()}",
            "client_id": "wetread",
            "admin_groups": ["it"],
        },
    )
    answer = Browser().get(f"{site.url}oidc/login")
    assert answer.status_code == 503
    assert "does not answer" in answer.text
