"""Retention removes the drafts of a shadow model together with the images of its study."""

from datetime import timedelta

from service.maintenance.retention import Retention
from service.records.shadow import ShadowEnd, ShadowState
from service.settings.config import settings_of
from service.store.shadow_readings import ShadowLimits


def test_shadow_drafts_are_removed_with_the_images(store, reviewing, tmp_path, clock):
    """Those of another study, whose images are kept, stay."""
    settings = settings_of({"data_dir": str(tmp_path)})
    (settings.spool_dir / "aa").mkdir(parents=True)
    limits = ShadowLimits(max_open_jobs=0, backlog=10, per_hour=100)
    old = reviewing.drafted(store, "1.2.3", destinations=())
    for study in ("1.2.3", "1.2.4"):
        claim = store.claim_shadow("trial", "1", "s", 60, limits)
        assert claim.job.study_instance_uid == study
        end = ShadowEnd(state=ShadowState.DRAFTED, seconds=1.0, draft=reviewing.draft())
        store.end_shadow(claim, end)
        if study == "1.2.3":
            clock.move(timedelta(days=40).total_seconds())
            reviewing.drafted(store, "1.2.4", destinations=())
    Retention(store, settings).remove_old(store.now())
    assert store.job(old.id).removed_at is not None
    assert [each.study_instance_uid for each in store.shadow_readings("trial", limit=9)] == [
        "1.2.4"
    ]
