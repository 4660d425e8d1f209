"""How a request gets in: the guard of all routes, login, logout and the set-up link."""
