"""The support bundle: what a maintainer needs to know of a site, without patient data."""
