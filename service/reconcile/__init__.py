"""Finds studies in an archive that Wetread did not receive; fetches them on a schedule."""
