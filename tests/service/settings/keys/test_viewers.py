"""Viewers of the site: addresses that a link may have, and those that are refused at the start."""

import pytest
from pydantic import ValidationError

from service.settings.config import load_settings
from service.settings.keys.viewers import SiteViewer, ViewerKind


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("javascript:alert(1)//{study_uid}", "begins with none of https://"),
        ("JavaScript://x/%0aalert({study_uid})", "begins with none of"),
        ("data://text/html,{study_uid}", "begins with none of"),
        ("file:///etc/{study_uid}", "begins with none of"),
        ("//viewer.example/{study_uid}", "begins with none of"),
        (" https://viewer.example/{study_uid}", "percent-encode"),
        ("https://viewer.example/\n{study_uid}", "percent-encode"),
        ("https://viewer.example/?a=b c{study_uid}", "percent-encode"),
        ('weasis://$dicom:rs -r "studyUID={study_uid}"', "percent-encode"),
        ("https://viewer.example/%zz{study_uid}", "percent-encode"),
        ("https://{patient_id}.example/", "must name a host"),
        ("https://viewer.example:{study_uid}/", "not a web address"),
        ("https:///{study_uid}", "must name a host"),
        ("https://kim:secret@viewer.example/{study_uid}", "user name or password"),
        ("https://viewer.example/{study}", "unknown placeholder {study}; known are {study_uid}"),
        ("https://viewer.example/{}", "unknown placeholder {}"),
        ("https://viewer.example/{study_uid!r}", "unknown placeholder {study_uid!r}"),
        ("https://viewer.example/{study_uid", "brace"),
        ("https://viewer.example/", "no placeholder"),
        ("https://viewer.example/" + "{study_uid}" * 200, "longer than 2000"),
    ],
)
def test_an_unsafe_or_wrong_address_is_refused(url, message):
    """The message says what is wrong."""
    with pytest.raises(ValidationError) as refused:
        SiteViewer(label="Viewer", url=url)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("https://viewer.example/v?StudyInstanceUIDs={study_uid}", 'set kind = "custom"'),
        ("weasis://viewer.example", "is a web address"),
        ("https://viewer.example/?a=b", "without query"),
    ],
)
def test_the_root_of_a_known_viewer_is_a_plain_web_address(url, message):
    """For each kind with an address of its own."""
    for kind in set(ViewerKind) - {ViewerKind.CUSTOM}:
        with pytest.raises(ValidationError) as refused:
            SiteViewer(label="Viewer", kind=kind, url=url)
        assert message in str(refused.value)


def test_each_known_viewer_has_its_address():
    """The root may end with a slash; Weasis gets the command that its documentation gives."""
    templates = {
        kind: SiteViewer(label="V", kind=kind, url="https://pacs.example/x/").template
        for kind in set(ViewerKind) - {ViewerKind.CUSTOM}
    }
    assert templates == {
        ViewerKind.OHIF: "https://pacs.example/x/viewer?StudyInstanceUIDs={study_uid}",
        ViewerKind.WEASIS: "weasis://%24dicom%3Ars%20--url%20%22https%3A%2F%2Fpacs.example%2Fx%22"
        "%20-r%20%22studyUID%3D{study_uid}%22",
        ViewerKind.ORTHANC_EXPLORER_2: "https://pacs.example/x/ui/app/#/filtered-studies"
        "?StudyInstanceUID={study_uid}&expand=study",
        ViewerKind.ORTHANC_EXPLORER: "https://pacs.example/x/app/explorer.html#study"
        "?uuid={orthanc_study}",
    }


def test_the_start_names_the_file_and_the_key(tmp_path, monkeypatch):
    """Two faults at once: an unsafe scheme, and a label that is used twice."""
    monkeypatch.chdir(tmp_path)
    viewer = '[[web.viewers]]\nlabel = "PACS"\nurl = "{}"\n'
    good = "https://viewer.example/{study_uid}"
    file = tmp_path / "wetread.toml"
    file.write_text("".join(map(viewer.format, (good, "javascript:alert(1)", good))))
    with pytest.raises(Exception, match="begins with none of https://") as refused:
        load_settings()
    assert "wetread.toml" in str(refused.value)
    assert "web.viewers" in str(refused.value)
    file.write_text("".join(map(viewer.format, (good, good))))
    with pytest.raises(Exception, match="label used twice: PACS"):
        load_settings()
    file.write_text(viewer.format(good))
    assert load_settings().web.viewers[0].label == "PACS"
