"""Reviews and decisions in the JSON API: texts with versions, decisions made once, figures."""
