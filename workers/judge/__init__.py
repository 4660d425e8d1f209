"""A language model as judge of drafts: pairs, requests, journal, probe, agreement with raters."""
