"""Views of a study within five minutes are one."""

from datetime import UTC, datetime, timedelta

from service.web.access import recent_views
from service.web.access.recent_views import RecentViews

AT = datetime(2026, 3, 1, tzinfo=UTC)


def test_one_view_of_a_person_and_study():
    """Another person, another study, or five minutes later is another view."""
    views = RecentViews()
    assert views.is_new("kim", "1.2", AT)
    views.note("kim", "1.2", AT)
    assert not views.is_new("kim", "1.2", AT + timedelta(minutes=4, seconds=59))
    assert views.is_new("kim", "1.2", AT + timedelta(minutes=5))
    assert views.is_new("lee", "1.2", AT)
    assert views.is_new("kim", "1.3", AT)


def test_old_views_are_forgotten(monkeypatch):
    """Memory stays bounded."""
    monkeypatch.setattr(recent_views, "_MOST", 3)
    views = RecentViews()
    for number in range(3):
        views.note("kim", str(number), AT)
    views.note("kim", "new", AT + timedelta(minutes=6))
    assert len(views._at) == 1
