"""Radiologists at browsers of their own."""

import pytest

from service.accounts import Role


@pytest.fixture
def reading_site(make_site):
    """A site with a name, which a verified report must state."""
    return make_site(site_name="St. Example Hospital")


@pytest.fixture
def person(open_browser, reading_site, cookie_of, eventually):
    """A function that returns a radiologist, logged in, at a browser of their own."""

    def make(login="roentgen", display_name="Wilhelm Röntgen", then="/read", size="1400,900"):
        cookie_of(reading_site.store, Role.RADIOLOGIST, login=login, display_name=display_name)
        made = open_browser(reading_site.url, size)
        made.log_in(login, "correct horse battery", then)
        path = "return location.pathname"
        eventually(lambda: made.run(path) == then, seconds=20, what="the page after the login")
        return made

    return make
