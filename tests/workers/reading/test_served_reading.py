"""Studies read by a model behind a server: valid objects, no patient attribute sent, errors by kind."""

import json
import math
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from dicom.phantom import as_dataset, draw, write
from dicom.results.outputs import encode
from dicom.selection.local_files import describe
from dicom.study import Study
from service.errors import (
    ModelServerAway,
    PermanentReadingError,
    TextNotLanguage,
    TransientReadingError,
)
from service.settings.config import load_settings
from workers.commands.load_model import load_model
from workers.reading.outcomes import Drafted
from workers.reading.reader import Reader
from workers.reading.self_test import read_phantoms
from workers.retry_policy import is_outage, may_pass

MARK = " (unverified AI draft of a phantom, no patient)"
NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
REPORT = (
    "Findings: The heart is enlarged. There is a small right pleural effusion. No pneumothorax.\n"
    "Impression: Cardiomegaly with a right pleural effusion."
)
# A value for attributes of patient, study, order and place, each of which can be recognized.
ATTRIBUTES = {
    "PatientName": "Zyxwert^Quendolin", "PatientID": "ID-90817",
    "IssuerOfPatientID": "ISSUER-Q",
    "PatientBirthDate": "19511213", "PatientBirthTime": "041907", "PatientSex": "F",
    "PatientAge": "074Y",
    "PatientSize": "1.6789", "PatientWeight": "67.891", "OtherPatientNames": "Quondam^Zora",
    "PatientAddress": "17 Quince Lane", "PatientTelephoneNumbers": "555-0199", "EthnicGroup": "ETHNICQ",
    "Occupation": "Quarrier", "PatientComments": "comment about Zora", "MedicalAlerts": "alertq",
    "AdditionalPatientHistory": "history of Zora Quendolin", "PatientMotherBirthName": "Quillmaiden",
    "AccessionNumber": "ACC-55443", "StudyID": "STUDY-7788", "StudyDescription": "chest of Zora",
    "SeriesDescription": "series of Zora", "ProtocolName": "protocol of Zora",
    "ReferringPhysicianName": "Refer^Quirin", "PerformingPhysicianName": "Perform^Quirin",
    "OperatorsName": "Operate^Quirin", "InstitutionName": "Quarry Hospital",
    "InstitutionAddress": "1 Quarry Road", "StationName": "STATIONQ", "ReasonForStudy": "cough of Zora",
    "AdmittingDiagnosesDescription": "diagnosis of Zora", "StudyDate": "20240229",
    "StudyTime": "112233.445566", "DeviceSerialNumber": "SERIAL-QQ", "ImageComments": "image of Zora",
}  # fmt: skip


@pytest.fixture
def reader_of(tmp_path):
    """A function that returns a reader with the model of a server; closed after the test."""
    readers = []

    def make(server, **keys):
        reading = {
            "kind": "openai", "model": "chest", "profile": "generic", "server_url": server.url,
            "server_model": "chest", "server_seconds": 30,
        }  # fmt: skip
        settings = load_settings(data_dir=tmp_path / "data", reading=reading | keys)
        readers.append(Reader.from_settings(settings))
        return readers[-1]

    yield make
    for reader in readers:
        reader._model.close()


@pytest.fixture
def image(tmp_path):
    """A synthetic image with a recognizable value in every attribute."""
    made = as_dataset(draw(5, rows=420, columns=400))
    for keyword, value in ATTRIBUTES.items():
        setattr(made, keyword, value)
    request = Dataset()
    request.ReasonForTheRequestedProcedure = "dyspnea of Zora"
    request.RequestedProcedureDescription = "procedure of Zora"
    made.RequestAttributesSequence = Sequence([request])
    return write(made, tmp_path / "Zyxwert_Quendolin.dcm")


def read(reader, path):
    """Read an image as the first draft of its study."""
    instance = describe(path)
    study = Study(study_instance_uid=instance.study_instance_uid, instances=(instance,))
    return reader.read(study, revision=1, predecessor=None, produced_at=NOW)


def values_of(dataset):
    """Yield each value of a data set as text, also within sequences."""
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from values_of(item)
        elif element.tag.group != 0x7FE0:
            many = element.value if element.VM > 1 else [element.value]
            yield from (str(each) for each in many)


def test_no_attribute_of_the_image_is_sent(scripted_server, reader_of, image):
    """The raw bytes of every request hold no value of the header, no file name, no identifier."""
    server = scripted_server(lambda _n, _body: server.events([REPORT], model="chest"))
    result = read(reader_of(server), image)
    assert isinstance(result, Drafted)
    header = dcmread(image, stop_before_pixels=True)
    # Short words and numbers occur by chance in an encoded image, and some in the prompt.
    known = {value for value in values_of(header) if len(value) > 4}
    known |= {part for value in ATTRIBUTES.values() for part in value.split("^") if len(part) > 4}
    known |= {"Zora", "Quendolin", "Zyxwert", "Quirin", "Quarry"}
    assert len(known) > 50
    assert len(server.requests) == 2
    for raw in server.requests:
        for value in known:
            assert value.encode() not in raw, value
        head, _, body = raw.partition(b"\r\n\r\n")
        names = {line.partition(b":")[0].lower() for line in head.split(b"\r\n")[1:]}
        assert names == {b"host", b"content-type", b"content-length", b"accept-encoding"}
        request = json.loads(body)
        assert set(request) == {
            "model", "messages", "stream", "temperature", "top_p", "max_tokens", "seed",
        }  # fmt: skip


def test_the_indication_is_sent_only_where_the_site_allows_it(scripted_server, reader_of, image):
    """It is free text, which may identify the patient."""
    server = scripted_server(lambda _n, _body: server.events([REPORT], model="chest"))
    read(reader_of(server, server_indication=True), image)
    assert b"dyspnea of Zora" in server.requests[-1]
    assert b"history of Zora" not in server.requests[-1]


def test_a_study_becomes_valid_objects(scripted_server, reader_of, image):
    """Sections, findings and the decoding of the server; the objects pass the validation."""
    server = scripted_server(lambda _n, _body: server.events([REPORT], model="chest"))
    result = read(reader_of(server), image)
    draft = result.draft
    assert draft.findings_text[0] == "The heart is enlarged."
    assert draft.impression_text == ("Cardiomegaly with a right pleural effusion.",)
    present = {
        each.observation.value for each in draft.findings if each.presence.value == "present"
    }
    assert {"cardiomegaly", "pleural effusion"} <= present
    assert f"127.0.0.1:{server.server_address[1]}" in draft.model.decoding
    assert "model chest" in draft.model.decoding
    assert not any("outside this site" in note for note in draft.notes)
    assert {output.kind for output in result.outputs} >= {"draft-report", "findings", "overlay"}
    assert all(encode(output) for output in result.outputs)


def test_every_object_names_a_server_that_may_be_outside(scripted_server, reader_of, image):
    """The note stands in the draft, and so in SR, pictures and on the page."""
    server = scripted_server(lambda _n, _body: server.events([REPORT], model="chest"))
    result = read(reader_of(server, allow_remote=True), image)
    host = f"127.0.0.1:{server.server_address[1]}"
    [note] = [each for each in result.draft.notes if "outside this site" in each]
    assert host in note
    by_kind = {output.kind: encode(output) for output in result.outputs}
    for kind in ("draft-report", "findings"):
        assert host.encode() in by_kind[kind], kind
    within = read(reader_of(server), image)
    pictures = {output.kind: encode(output) for output in within.outputs}
    assert pictures["overlay"] != by_kind["overlay"]  # the same but for the note


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (lambda server: server.json({"error": "no images here"}, 400), PermanentReadingError, "400"),
        (lambda server: server.json({}, 401), PermanentReadingError, "API key"),
        (lambda server: server.json({}, 429, "Retry-After: 99"), ModelServerAway, "429"),
        (lambda server: server.json({}, 500), TransientReadingError, "500.*tried 3 times"),
        (lambda server: server.json({}, 503), ModelServerAway, "503"),
        (lambda server: server.silence(), TransientReadingError, "no whole answer within 3 s"),
        (lambda server: server.events(["a"] * 99, seconds=0.1), TransientReadingError, "within 3 s"),
        (lambda server: server.chat(REPORT)[:-9], TransientReadingError, "broke off"),
        (lambda server: server.whole(200, b"<html>"), TransientReadingError, "not JSON"),
        (lambda server: server.events([REPORT], model="llama"), PermanentReadingError, "'llama'"),
        (lambda server: server.events(["x" * 2**20], model="chest"), PermanentReadingError, "too many"),
        (
            lambda server: server.events(
                ["Das Herz ist vergrößert. Kleiner Pleuraerguss rechts."], model="chest"
            ),
            TextNotLanguage,
            r"Ask for English in \[prompts\].*server_model",
        ),
    ],
    ids=[
        "400", "401", "429", "500", "503", "silent", "slow", "half", "no-json", "other-model", "huge",
        "language",
    ],
)  # fmt: skip
def test_what_goes_wrong_ends_by_its_kind(scripted_server, reader_of, image, answer, kind, message):
    """Permanent, temporary, or an outage; no message quotes the server; the next study is read."""
    server = scripted_server(lambda _n, _body: server.events([REPORT], model="chest"))
    reader = reader_of(server, server_seconds=3 if "within" in message else 30)
    works, server.script = server.script, lambda _n, _body: answer(server)
    with pytest.raises(kind, match=message) as caught:
        read(reader, image)
    assert may_pass(caught.value) is (kind in {TransientReadingError, ModelServerAway})
    assert is_outage(caught.value) is (kind is ModelServerAway)
    assert "no images here" not in str(caught.value)
    server.script = works
    assert isinstance(read(reader, image), Drafted)


def test_a_server_that_is_away_at_the_start_is_named(scripted_server, reader_of):
    """The worker does not start reading; the reason is for `wetread check` and the page."""
    server = scripted_server(lambda _n, _body: b"")
    server.stop()
    with pytest.raises(ModelServerAway, match=r"no connection to 127\.0\.0\.1"):
        reader_of(server)


def test_scores_need_a_server_that_gives_probabilities(scripted_server, reader_of, image):
    """Where the site asks for scores: refused at the start, or shown beside each finding."""
    lacking = scripted_server(lambda _n, _body: lacking.chat("Yes", model="chest"))
    with pytest.raises(PermanentReadingError, match='set scores = "off"'):
        reader_of(lacking, scores="on")

    def script(_n, body):
        if "logprobs" not in body:
            return server.events([REPORT], model="chest")
        top = [
            {"token": "Yes", "logprob": math.log(0.8)},
            {"token": "No", "logprob": math.log(0.2)},
        ]
        choice = {
            "message": {"content": "Yes"}, "finish_reason": "length",
            "logprobs": {"content": [{"top_logprobs": top}]},
        }  # fmt: skip
        return server.json({"model": "chest", "choices": [choice]})

    server = scripted_server(script)
    draft = read(reader_of(server, scores="on"), image).draft
    [heart] = [each for each in draft.findings if each.observation.value == "cardiomegaly"]
    assert heart.score == pytest.approx(0.8)


def test_wetread_load_model_reads_a_phantom_by_the_server(scripted_server, tmp_path, monkeypatch):
    """What `wetread check` runs: it names the server, and reports the result of the phantom."""
    server = scripted_server(lambda _n, _body: server.events([REPORT], model="chest"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wetread.toml").write_text(
        '[reading]\nkind = "openai"\nmodel = "chest"\nprofile = "generic"\n'
        f'server_url = "{server.url}"\nserver_model = "chest"\n'
    )
    result = CliRunner().invoke(load_model, catch_exceptions=False)
    assert result.exit_code == 0
    assert f"loading chest on {server.url}" in result.output
    assert (
        "memory not known: the server holds the weights, weights sha256 not known" in result.output
    )
    shown = [line for line in result.output.splitlines() if line.startswith("shown: ")]
    assert any("512 x 512 RGB" in line for line in shown)
    assert f"shown: answer{MARK}: {REPORT.replace(chr(10), ' | ')}" in shown
    assert any(
        line.startswith(f"shown: findings{MARK}: ") and "cardiomegaly" in line for line in shown
    )
    assert any("not available" in line and "scores" in line for line in shown)
    warnings = [line for line in result.output.splitlines() if line.startswith("warning: ")]
    assert "shows a right pneumothorax, and the answer denies it" in warnings[0]
    assert "does not depend on the image" in warnings[1]
    assert all("server passes them to it" in line for line in warnings[:2])
    server.script = lambda _n, _body: server.json({"error": "no model chest"}, 404)
    with pytest.raises(PermanentReadingError, match=r"404: the path or the model.*no model chest"):
        CliRunner().invoke(load_model, catch_exceptions=False)


SEEN = "There is a moderate right pneumothorax."
NORMAL = "The lungs are clear. The heart is normal in size."


@pytest.mark.parametrize(
    ("shown", "normal", "warnings"),
    [
        (SEEN, NORMAL, []),
        (SEEN, SEEN, ["does not depend on the image"]),
        (NORMAL, "There is no pleural effusion or pneumothorax.", ["does not mention it"]),
        ("There is a small left pneumothorax.", NORMAL, ["states it on the left side"]),
        ("Possible pneumothorax.", NORMAL, []),
        (SEEN, "Das Herz ist groß, die Lunge ist frei.", ["without a finding was not read"]),
    ],
)
def test_a_model_that_does_not_see_the_phantom_is_reported(
    scripted_server, reader_of, shown, normal, warnings
):
    """A warning each: the finding is missed, or the text is that of the image without it."""
    server = scripted_server(lambda _n, _body: server.events([shown], model="chest"))
    reader = reader_of(server, server_seconds=30.0)
    begun = len(server.requests)

    def script(_n, _body):
        return server.events(
            [shown if len(server.requests) == begun + 1 else normal], model="chest"
        )

    server.script = script
    found = read_phantoms(reader)
    assert len(server.requests) == begun + 2
    assert len(found.warnings) == len(warnings)
    for expected, warning in zip(warnings, found.warnings, strict=True):
        assert expected in warning
    missed = any("shows a right pneumothorax" in each for each in found.warnings)
    assert ("with the pneumothorax that it shows" in found.sentence) != missed
