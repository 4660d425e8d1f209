"""The objects in the PACS at the end, read from the stored bytes."""

from collections.abc import Iterator

import httpx

from fault_injection.site import Site
from fault_injection.stored import Stored, of_file


def stored_in(site: Site) -> Iterator[Stored]:
    """Yield every object in the PACS."""
    with httpx.Client(base_url=site.orthanc_url, timeout=60) as client:
        for identifier in client.get("/instances").raise_for_status().json():
            file = client.get(f"/instances/{identifier}/file").raise_for_status().content
            yield of_file(file)
