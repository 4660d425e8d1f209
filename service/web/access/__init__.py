"""Who may see and do what: password, bearer tokens, same origin."""
