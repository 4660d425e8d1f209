"""Who may see and do what: roles of routes, sessions, bearer tokens, same origin."""
