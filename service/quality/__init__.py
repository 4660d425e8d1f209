"""Documents for a site's quality department, made from the database: drafts without patient data."""
