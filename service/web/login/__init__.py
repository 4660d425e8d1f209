"""How a request gets in: the guard of all routes, login, logout, the set-up link, OpenID Connect."""
