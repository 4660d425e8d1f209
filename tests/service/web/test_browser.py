import contextlib
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from service.jobs import JobState
from tests.servers import wait_until

pytestmark = pytest.mark.browser


@pytest.fixture
def browser(open_browser):
    """A headless Chromium."""
    return open_browser()


def visit(browser, url: str) -> None:
    """Load a page; log in if that is required."""
    browser.open(url)
    if "/login" in browser.run("return location.pathname"):
        browser.write('input[name="name"]', "ann")
        browser.write('input[name="password"]', "correct horse battery")
        browser.click(".login button")
        logged_in = "return !!document.querySelector('.person')"
        wait_until(lambda: browser.run(logged_in), seconds=20, what="the login")


@pytest.mark.serial
def test_an_open_page_shows_a_change_without_a_reload(site, seeder, browser, eventually):
    """The row, its place and the counts follow the store; the page is never loaded again."""
    jobs = [seeder.waiting(number) for number in range(30)]
    visit(browser, site.url)
    eventually(lambda: light(browser) == "live", seconds=10, what="the stream")
    browser.run("window.sameLoad = true; window.scrollTo(0, 300);")
    began = time.monotonic()
    site.store.cancel(jobs[3].id, "test", "No longer needed.")
    row = f'return document.getElementById("job-{jobs[3].id}").textContent'
    eventually(lambda: "No longer needed" in browser.run(row), seconds=5, what="the new reason")
    assert time.monotonic() - began < 3
    new = seeder.waiting(99)
    first = 'return document.querySelector("#rows tr").id'
    eventually(lambda: browser.run(first) == f"job-{new.id}", seconds=5, what="the new row")
    assert browser.run("return [window.sameLoad, window.scrollY > 0]") == [True, True]
    assert browser.run('return document.querySelectorAll("#rows tr").length') == 31
    spoken = 'return document.getElementById("spoken").textContent'
    eventually(lambda: "Canceled" in browser.run(spoken), seconds=5, what="the spoken words")


def light(browser) -> str:
    """Return how the page follows the service: live, polling or disconnected."""
    return browser.run('return document.getElementById("live").dataset.mode')


def test_a_page_without_a_stream_asks_every_few_seconds(make_site, seeder_of, browser, eventually):
    """Without a stream the page falls back to polling and is still updated."""
    site = make_site(max_streams=0)
    job = seeder_of(site).waiting(1)
    visit(browser, site.url)
    eventually(lambda: light(browser) == "polling", seconds=10, what="polling")
    site.store.cancel(job.id, "test", "No longer needed.")
    text = 'return document.getElementById("rows").textContent'
    eventually(lambda: "No longer needed" in browser.run(text), seconds=10, what="the new reason")
    assert light(browser) == "polling"


def test_a_person_cancels_a_job_with_a_reason(site, seeder, browser, eventually):
    """Opening the form, writing a reason while the page changes, and sending it cancels the job."""
    job = seeder.waiting(1)
    visit(browser, f"{site.url}studies/{job.study_instance_uid}")
    browser.click("#do-cancel")
    browser.write('input[name="reason"]', "Sent ")
    site.store.make_urgent(job.id, "somebody else")
    urgent = "return !!document.querySelector('#status .urgent')"
    eventually(lambda: browser.run(urgent), seconds=5, what="the change beside the form")
    browser.write('input[name="reason"]', "twice")
    browser.click("details[open] button")
    eventually(lambda: site.store.job(job.id).reason == "Sent twice", seconds=5, what="canceled")
    assert site.store.job(job.id).state is JobState.CANCELED


def test_a_page_finds_its_server_again(make_site, seeder_of, browser, eventually):
    """When streams are ended the page states it, reconnects by itself and shows the missed changes."""
    site = make_site()
    job = seeder_of(site).waiting(1)
    visit(browser, f"{site.url}?state=SCHEDULED")
    eventually(lambda: light(browser) == "live", seconds=10, what="the stream")
    browser.run("window.stop()")
    site.store.cancel(job.id, "test", "")
    rows = 'return document.querySelectorAll("#rows tr").length'
    eventually(lambda: browser.run(rows) == 0, seconds=15, what="the row gone")
    assert light(browser) != "away"


def test_an_image_that_cannot_be_shown_states_why_in_its_place(site, seeder, browser, eventually):
    """A message in place of a broken image."""
    job = seeder.drafted(1)
    for image in site.store.instances(job.study_instance_uid):
        image.path.write_bytes(image.path.read_bytes()[:-5000])
    visit(browser, f"{site.url}studies/{job.study_instance_uid}")
    text = 'return document.getElementById("images").textContent'
    eventually(lambda: "cannot be shown" in browser.run(text), seconds=20, what="the reason")
    assert browser.run('return document.querySelectorAll("#images img").length') == 0


class _Proxy(BaseHTTPRequestHandler):
    """A reverse proxy that serves the page under /wetread/ with the server's Host, as nginx does."""

    prefix = "/wetread"

    def forward(self) -> None:
        """Pass the request on without the prefix, and the answer back as it comes."""
        if not self.path.startswith(f"{self.prefix}/"):
            self.send_error(404)
            return
        url = self.server.upstream + self.path.removeprefix(f"{self.prefix}/")
        hop = {"host", "connection", "transfer-encoding", "keep-alive"}
        headers = {name: value for name, value in self.headers.items() if name.lower() not in hop}
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        asked = {"content": body, "headers": headers, "timeout": 30}
        with self.server.client.stream(self.command, url, **asked) as answer:
            self.send_response(answer.status_code)
            for name, value in answer.headers.items():
                if name.lower() not in hop:
                    self.send_header(name, value)
            self.send_header("Connection", "close")
            self.end_headers()
            with contextlib.suppress(OSError, httpx.HTTPError):
                for piece in answer.iter_raw():
                    self.wfile.write(piece)
                    self.wfile.flush()

    do_GET = do_POST = forward  # noqa: N815 - names of http.server

    def log_message(self, *_arguments) -> None:
        """Write nothing."""


@pytest.fixture
def proxied(site):
    """The address of the page behind a proxy that serves it under a path."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Proxy)
    server.upstream, server.daemon_threads = site.url, True
    server.client = httpx.Client()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/wetread/"
    server.shutdown()
    thread.join()
    server.server_close()
    server.client.close()


def test_the_page_works_behind_a_proxy_under_a_path(site, seeder, browser, eventually, proxied):
    """Style, script, stream, links, pictures, forms and redirects stay below the path."""
    job = seeder.drafted(1)
    waiting = seeder.waiting(2)
    visit(browser, proxied)
    eventually(lambda: light(browser) == "live", seconds=10, what="the stream")
    browser.click(f"#job-{waiting.id} a.uid")
    address = "return location.href"
    assert browser.run(address).startswith(f"{proxied}studies/{waiting.study_instance_uid}")
    browser.click("#do-cancel")
    browser.write('input[name="reason"]', "Sent twice")
    browser.click("details[open] button")
    canceled = JobState.CANCELED
    eventually(lambda: site.store.job(waiting.id).state is canceled, seconds=5, what="canceled")
    assert browser.run(address).startswith(f"{proxied}studies/{waiting.study_instance_uid}?job=")
    visit(browser, f"{proxied}jobs/{job.id}")
    assert browser.run(address).startswith(f"{proxied}studies/{job.study_instance_uid}?job=")
    shown = "return [...document.images].filter(each => each.naturalWidth > 0).length"
    eventually(lambda: browser.run(shown) >= 1, seconds=20, what="the image")
    assert browser.run("return getComputedStyle(document.body).margin") == "0px"
    visit(browser, f"{proxied}studies/nowhere")
    browser.click("main a")
    assert browser.run(address) == proxied


def tabs(browser, count: int, url: str) -> list[str]:
    """Open further tabs with a page; return their handles."""
    handles = []
    for _ in range(count):
        handle = browser.call("window/new", type="tab")["handle"]
        browser.call("window", handle=handle)
        visit(browser, url)
        handles.append(handle)
    return handles


def test_many_tabs_share_one_stream(site, seeder, browser, eventually):
    """The eighth tab loads, all follow, and the server has one stream; closed tabs leave it."""
    jobs = [seeder.waiting(number) for number in range(3)]
    visit(browser, site.url)
    handles = tabs(browser, 4, site.url)
    for job in jobs:
        handles += tabs(browser, 1, f"{site.url}studies/{job.study_instance_uid}")
    for handle in handles:
        browser.call("window", handle=handle)
        eventually(lambda: light(browser) == "live", seconds=20, what="the stream")
    assert site.here.hub.streams == 1
    site.store.cancel(jobs[2].id, "test", "No longer needed.")
    text = "return document.body.textContent"
    for handle in (handles[0], handles[-1]):
        browser.call("window", handle=handle)
        eventually(lambda: "No longer needed" in browser.run(text), seconds=10, what="the change")


def test_the_page_states_when_the_login_is_over(site, seeder, browser, eventually, cookie_of):
    """And the former one is no longer followed."""
    cookie_of(site.store, login="other")
    seeder.waiting(1)
    visit(browser, site.url)
    eventually(lambda: light(browser) == "live", seconds=10, what="the stream")
    site.store.disable_person("ann")
    eventually(lambda: light(browser) == "over", seconds=40, what="the end of the login")


def test_only_the_sites_own_policy_makes_markup(site, browser):
    """Trusted Types: markup from a string, and a second policy, are refused."""
    visit(browser, site.url)
    script = "try { %s; return 'made' } catch (error) { return error.name }"
    assert browser.run(script % "document.body.innerHTML = '<b>x</b>'") == "TypeError"
    assert browser.run(script % "trustedTypes.createPolicy('wetread', {})") == "TypeError"
    assert browser.run(script % "trustedTypes.createPolicy('other', {})") == "TypeError"
