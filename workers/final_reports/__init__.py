"""Final reports that come back: read from files and SRs, labeled, compared with the drafts."""
