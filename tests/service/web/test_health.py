import redis

from service.database import schema
from service.monitoring.model_start import note_failure
from service.records import ProcessStatus, StatusReport
from service.settings.config import load_settings
from service.web.readiness import database_fault

CANNOT_REMOVE = "The sweeper cannot remove files"


def faults(site) -> list[str]:
    """Return the faults that /readyz names, after a check of its answer's form."""
    answer = site.get("/readyz")
    body = answer.json()
    assert (answer.status_code == 200) == (body["status"] == "ready") == (not body["faults"])
    for name in body["faults"]:
        assert body["parts"][name]["fault"].endswith((".", "`."))
    return body["faults"]


def test_everything_in_place_is_ready(make_site, seeder_of, own_redis):
    """With a database, a Redis, a spool and a reading worker seen just now /readyz is 200."""
    site = make_site(broker={"url": own_redis.url})
    seeder_of(site).beat("reading")
    assert faults(site) == []
    own_redis.kill()
    assert faults(site) == ["broker"]


def test_each_missing_part_is_named(make_site):
    """No broker, no worker and a spool with too little room are named, each with a sentence."""
    site = make_site(receiver={"min_free_bytes": 2**60})
    assert faults(site) == ["broker", "spool", "reading_worker"]
    site.here.settings.spool_dir.rmdir()
    body = site.get("/readyz").json()
    assert body["parts"]["spool"]["fault"].startswith("The spool cannot be written")


def test_a_database_at_another_revision_is_named(site):
    """An emptied database is not ready, and the remedy is named."""
    site.get("/readyz")  # a login that was valid just now shows the fault afterwards
    schema.downgrade(site.here.settings.database_url, "base")
    body = site.get("/readyz").json()
    assert "database" in body["faults"]
    assert "wetread db upgrade" in body["parts"]["database"]["fault"]


def test_a_missing_folder_of_the_database_is_named():
    """A disk that is not mounted is a fault with a message, not an error of the page."""
    settings = load_settings(database={"url": "sqlite:////proc/x/wetread.db"})
    assert database_fault(settings) == "The folder of the database is missing: is data_dir mounted?"


def test_readiness_states_no_address_and_no_secret(make_site):
    """The answer of a public address has neither URL nor password nor path."""
    site = make_site(broker={"url": "redis://:geheim@127.0.0.1:1/0"})
    text = site.get("/readyz").text
    for secret in ("geheim", "127.0.0.1", str(site.here.settings.data_dir)):
        assert secret not in text


def test_a_receiver_that_refuses_images_is_reported_until_it_takes_them(make_site):
    """Its disk step ends later than it began, so its own report counts."""
    site = make_site()
    store = site.here.store

    def says(status, reason=""):
        about = {"host": "h", "pid": 1, "started_at": store.now()}
        store.beat(
            "receive@h", "receive", **about, report=StatusReport("listening", status, reason)
        )

    says(ProcessStatus.REFUSING, "the spool's disk is nearly full")
    body = site.get("/readyz").json()
    assert "spool" in body["faults"]
    assert body["parts"]["spool"]["fault"] == (
        "A receiver refuses images: the spool's disk is nearly full."
    )
    says(ProcessStatus.WORKING)
    body = site.get("/readyz").json()
    assert "spool" not in body["faults"]
    assert body["disk"] in {"roomy", "warn", "early"}


def test_each_models_worker_is_asked_for(make_site, seeder_of):
    """A site with two models is not ready when one of them has no worker."""
    site = make_site(models=[{"name": "second", "model": "tiny"}])
    seeder_of(site).beat("reading")
    fault = site.get("/readyz").json()["parts"]["reading_worker"]["fault"]
    assert "worker of the model second is alive" in fault


def test_why_a_model_does_not_load_is_reported(make_site):
    """Page, readiness and metrics name the model and the reason, its capitals kept."""
    site = make_site(models=[{"name": "second", "model": "tiny"}])
    note_failure(site.store, "reading.second", "second", "cuda: this machine has 0 CUDA devices")
    fault = site.get("/readyz").json()["parts"]["reading_worker"]["fault"]
    sentence = "the model could not be loaded: cuda: this machine has 0 CUDA devices."
    assert (
        f"No reading worker of the model second is alive: {sentence} The last try was 20" in fault
    )
    assert sentence in site.get("/").text
    metrics = site.get("/metrics").text
    assert 'wetread_model_load_failed{model="second"} 1.0' in metrics
    assert 'wetread_model_load_failed{model="demo"} 0.0' in metrics


def test_a_sweeper_that_the_disk_hinders_is_reported(make_site):
    """It may see another disk than the page does."""
    site = make_site()
    store = site.here.store
    about = {"host": "h", "pid": 1, "started_at": store.now()}
    for status, reason, sentence in (
        (ProcessStatus.HINDERED, "Input/output error", f"{CANNOT_REMOVE}: Input/output error."),
        (ProcessStatus.WORKING, "", ""),
    ):
        store.beat("sweep@h", "sweep", **about, report=StatusReport("", status, reason))
        body = site.get("/readyz").json()
        assert ("spool" in body["faults"]) is bool(sentence)
        assert body["parts"]["spool"]["fault"] == sentence


def test_a_redis_that_takes_no_messages_is_not_ready(make_site, own_redis):
    """A full Redis answers a ping: readiness, page and metrics state that jobs wait, and the reason."""
    with redis.Redis.from_url(own_redis.url) as client:
        client.config_set("maxmemory", "1kb")
    site = make_site(broker={"url": own_redis.url})
    body = site.get("/readyz").json()
    assert "broker" in body["faults"]
    assert "its memory is full (OOM)" in body["parts"]["broker"]["fault"]
    html = site.get("/").text
    assert "Jobs wait:" in html
    assert "Redis does not accept messages: its memory is full (OOM)" in html
    text = site.get("/metrics").text
    assert "wetread_broker_up 0.0" in text
    assert 'wetread_broker_fault{reason="oom"} 1.0' in text
    assert 'wetread_broker_fault{reason="away"} 0.0' in text


def test_a_background_task_that_fails_in_any_process_shows(site, seeder):
    """The process and its task are named as long as its heartbeat states it."""
    assert site.get("/readyz").json()["parts"]["background_tasks"]["ok"]
    seeder.beat("sweep", report=StatusReport("", ProcessStatus.FAILING, "publish"))
    answer = site.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["parts"]["background_tasks"] == {
        "ok": False,
        "fault": "sweep@host: a background task fails: publish.",
    }
    seeder.beat("sweep")
    assert site.get("/readyz").json()["parts"]["background_tasks"]["ok"]
