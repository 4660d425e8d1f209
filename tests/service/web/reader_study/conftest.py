"""A site with a reader study: phantoms' images, drafts of the service, reference reports from a list."""

from dataclasses import dataclass

import pytest

from service.accounts import Role
from service.audit import AuditAction, AuditEvent
from service.commands.quality.reader_study_cases import cases_of_list
from service.reader_study.case_list import CaseLine
from service.reader_study.study import NewReaderStudy
from service.reader_study.words import Arm
from tests.service.web.conftest import Seeder, Site, log_in

AUDIT = AuditEvent(action=AuditAction.CREATED_READER_STUDY, actor="test")


@dataclass(frozen=True)
class StudySite:
    """A site, the id of its study, and the Cookie headers of persons by login name."""

    site: Site
    study_id: str
    cookies: dict[str, str]

    @property
    def store(self):
        """The store behind the site."""
        return self.site.store

    def person_id(self, login):
        """Return the id of a person."""
        return self.store.account_of(login).person.id

    def current(self, login="kim"):
        """Return the current item of a reader."""
        return self.store.current_item(self.study_id, self.person_id(login))

    def page(self, path, login="kim", **options):
        """Return the answer to a GET below the study's address."""
        return self.site.get(
            f"/reader-studies/{self.study_id}{path}", as_=self.cookies[login], **options
        )

    def send(self, item_id, name, body, login="kim", **options):
        """Return the answer to a POST about an item."""
        path = f"/reader-studies/{self.study_id}/items/{item_id}/{name}"
        return self.site.post(path, json=body, as_=self.cookies[login], **options)

    def rate(self, login="kim", grade="A", author="cannot tell"):
        """Rate the current item over the API; return its text."""
        item = self.current(login)
        text = self.send(item.id, "text", {}, login).json()["text"]
        body = {"rating": grade, "errors": [], "image_seconds": 1, "text_seconds": 2}
        assert self.send(item.id, "rating", body, login).status_code == 200
        assert self.send(item.id, "author", {"author": author}, login).status_code == 200
        return text


@pytest.fixture
def make_study(make_site):
    """A function that starts a site with a study of so many cases and these readers."""

    def make(cases=3, readers=("kim", "lee"), seed=5):
        site = make_site(site_name="St. Example Hospital")
        seeder = Seeder(site.store, site.here.settings.spool_dir)
        cookies = {"ann": site.cookie}
        for login in (*readers, "out"):
            cookies[login] = log_in(
                site.store, Role.RADIOLOGIST, login=login, display_name=login.title()
            )
        lines = []
        for number in range(1, cases + 1):
            job = seeder.completed(number)
            common = {"where": f"line {number}", "id": str(number)}
            common["study_uid"] = job.study_instance_uid
            lines.append(CaseLine(arm=Arm.DRAFT, text="", **common))
            report = f"Findings:\nThe heart is normal in size, case {number}. Clear lungs."
            lines.append(CaseLine(arm=Arm.REFERENCE, text=report, **common))
        new = NewReaderStudy(
            name="Spring reading",
            seed=seed,
            margin=0.1,
            repeat_share=0.1,
            readers=tuple(site.store.account_of(each).person for each in readers),
            cases=cases_of_list(site.store, lines, "cases.csv"),
        )
        study_id = site.store.create_reader_study(new, "test", AUDIT)
        return StudySite(site=site, study_id=study_id, cookies=cookies)

    return make
