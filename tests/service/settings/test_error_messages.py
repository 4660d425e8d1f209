"""Mistakes in the settings, and the message for each."""

import pytest

from service.errors import ConfigurationError
from service.settings.config import load_settings

DIMSE = (
    '[[destinations]]\nname = "archive"\nkind = "dimse"\nhost = "h"\nport = 104\nae_title = "A"\n'
)


@pytest.fixture
def message(tmp_path, monkeypatch):
    """Return a function that gives the message for the bytes of a wetread.toml."""
    monkeypatch.chdir(tmp_path)

    def read(text: bytes | str) -> str:
        raw = text.encode() if isinstance(text, str) else text
        (tmp_path / "wetread.toml").write_bytes(raw)
        with pytest.raises(ConfigurationError) as caught:
            load_settings()
        return str(caught.value)

    return read


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "[receiver]\nprot = 104\n",
            "line 2: receiver.prot: there is no such key; did you mean `port`?",
        ),
        (
            "[recevier]\nport = 104\n",
            "line 1: recevier: there is no such table; did you mean `receiver`?",
        ),
        (
            "[log]\ncolor = 1\n",
            "line 2: log.color: there is no such key; allowed are: format, level",
        ),
        ("[receiver]\n\nport = 99999\n", "line 3: receiver.port = 99999: must be at most 65535"),
        ("[receiver]\nport = -1\n", "line 2: receiver.port = -1: must be at least 0"),
        ("[receiver]\nport = 1.5\n", "line 2: receiver.port = 1.5: must be a whole number"),
        ('[receiver]\nopen = "maybe"\n', "line 2: receiver.open = 'maybe': must be true or false"),
        ("receiver = 1\n", "line 1: receiver = 1: must be a table"),
        ("data_dir = 1\n", 'line 1: data_dir = 1: must be a path, in "quotation marks"'),
        (
            '[log]\nlevel = "warn"\n',
            (
                "line 2: log.level = 'warn': not allowed; allowed are: debug, info, warning, error "
                "(did you mean 'warning'?)"
            ),
        ),
        (
            '[[destinations]]\nname = "a"\nkind = "orthac"\n',
            (
                "line 1: destinations \"a\": kind = 'orthac' is not allowed; allowed are: orthanc, "
                "dimse, stow, folder (did you mean 'orthanc'?)"
            ),
        ),
        (
            '[[destinations]]\nname = "a"\n',
            'line 1: destinations "a": kind is required: it says which kind of entry this is',
        ),
        (
            f"{DIMSE}[[destinations]]\nname = 'b'\nkind = 'stow'\n",
            'line 7: destinations "b", url: is required',
        ),
        (DIMSE.replace("104", "0"), 'line 5: destinations "archive", port = 0: must be at least 1'),
        (
            DIMSE.replace('"h"', '" "'),
            "line 4: destinations \"archive\", host = ' ': must have at least 1 character",
        ),
        (
            DIMSE.replace('"archive"', '"our archive"'),
            (
                "line 2: destinations \"our archive\", name = 'our archive': allowed are 1 to 40 "
                "letters, digits, hyphens and underscores"
            ),
        ),
        (
            f"{DIMSE}prot = 1\n",
            'line 7: destinations "archive", prot: there is no such key; did you mean `port`?',
        ),
        (
            '[[receiver.callers]]\nae_title = "A"\n[[receiver.callers]]\nquiet_time = 1\n',
            "line 3: receiver.callers (second entry), ae_title: is required",
        ),
        (
            '[[receiver.callers]]\nae_title = "CR_ROOM_1_OF_WARD_3"\n',
            "'CR_ROOM_1_OF_WARD_3' (19 characters) is not an AE title: it has 1 to 16 ASCII characters",
        ),
        (
            '[[receiver.callers]]\nae_title = "A"\naddress = "room 1"\n',
            "'room 1' is no IP address (10.0.0.5) and no network (10.0.0.0/24)",
        ),
        (
            (
                '[[receiver.callers]]\nae_title = "A"\naddress = "10.0.0.5"\n'
                '[[receiver.callers]]\nae_title = "A"\naddress = "10.0.0.6"\n'
            ),
            "receiver.callers: ae_title used twice: A; write one entry for each AE title, with a list",
        ),
        (
            f"{DIMSE}tls_ca = '/x'\n",
            'destinations "archive": tls_ca, tls_certificate and tls_sha256 need tls = true',
        ),
        (
            f"{DIMSE}tls = true\ntls_key = '/x'\n",
            'destinations "archive": tls_certificate and tls_key belong together',
        ),
        (
            "[receiver\n",
            "wetread.toml, line 1, column 10: not valid TOML: the name of a table ends",
        ),
        (b"# B\xfcro\n", "wetread.toml, line 1: a character is not UTF-8 (byte 0xFC): save"),
        (b"data_dir = '~nobody-here/x'\n", "data_dir = '~nobody-here/x': ~nobody-here/x: there is"),
        (
            '[broker]\nurl = "amqp://h"\n',
            "line 2: broker.url: 'amqp' is not supported; the form is ",
        ),
        ('[broker]\nurl = "unix:///run/r.sock"\n', "broker.url: 'unix' is not supported; the form"),
        ('[broker]\nurl = "h:6379"\n', "broker.url: 'h' is not supported; the form is redis://"),
        (
            '[broker]\nurl = "redis://h/abc"\n',
            "must be the database's number; the form is redis://",
        ),
        ('[broker]\nurl = "redis://h:x/0"\n', "the port is not a number from 0 to 65535; the form"),
        (
            '[broker]\nurl = "redis:///0"\n',
            "line 2: broker.url: names no host; the form is redis://",
        ),
        (
            '[database]\nurl = "mysql://h/d"\n',
            "line 2: database.url: 'mysql' is not supported; the",
        ),
    ],
)
def test_a_mistake_is_named_with_its_place_and_what_is_allowed(message, text, sentence):
    """The message holds line, key, value, what is allowed, and the nearest name."""
    assert sentence in message(text)


def test_faults_stand_in_the_order_of_the_file(message):
    """Several faults are listed from the first line to the last."""
    lines = message('[web]\nport = "x"\n[receiver]\nport = -1\n').splitlines()[1:]
    assert [line.split(":")[0].strip() for line in lines] == ["line 2", "line 4"]


@pytest.mark.parametrize(
    "text",
    [
        '[broker]\nurl = "redis://:hunter2@h:x/0"\n',
        '[database]\nurl = "mysql://u:hunter2@h/d"\n',
        '[web]\npassword = ["hunter2"]\n',
        '[[destinations]]\nname = "a"\nkind = "stow"\nurl = "http://u:hunter2@h"\n',
    ],
)
def test_a_secret_is_not_repeated(message, text):
    """A wrong value that may hold a password is not in the message."""
    assert "hunter2" not in message(text)


def test_a_byte_order_mark_is_accepted(tmp_path, monkeypatch):
    """A file as some editors of Windows write it is read like any other."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wetread.toml").write_bytes(b"\xef\xbb\xbf[receiver]\r\nport = 4242\r\n")
    assert load_settings().receiver.port == 4242


def test_a_wrong_variable_is_named_instead_of_the_file(tmp_path, monkeypatch):
    """The place of the fault is the environment variable, also when a file exists."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wetread.toml").write_text("[receiver]\nport = 104\n")
    monkeypatch.setenv("WETREAD_RECEIVER__PORT", "x")
    with pytest.raises(
        ConfigurationError, match="environment variable WETREAD_RECEIVER__PORT: rec"
    ):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        (
            "WETREAD_RECEIVER__CALLERS",
            '[{"ae_title": "A"',
            "WETREAD_RECEIVER__CALLERS: must be JSON",
        ),
        ("WETREAD_RECEIVER", "x", "WETREAD_RECEIVER: must be JSON"),
        ("WETREAD_RECEIVR__PORT", "1", "did you mean `WETREAD_RECEIVER__PORT`"),
    ],
)
def test_a_variable_that_cannot_be_used_is_named(tmp_path, monkeypatch, name, value, sentence):
    """A misspelled variable, and a list that is not JSON, are reported under the variable's name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=sentence):
        load_settings()


def test_the_home_folder_is_understood(tmp_path, monkeypatch):
    """`~` at the beginning of a path is the home folder, in every table."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/radiology")
    settings = load_settings(data_dir="~/wetread", stow={"tls_certificate": "~/c", "tls_key": "/k"})
    assert str(settings.data_dir) == "/home/radiology/wetread"
    assert str(settings.stow.tls_certificate) == "/home/radiology/c"


@pytest.mark.parametrize(
    ("address", "peer", "may"),
    [
        ("10.0.0.5", "10.0.0.5", True),
        ("10.0.0.5", "::ffff:10.0.0.5", True),
        ("10.0.0.5", "10.0.0.6", False),
        (["10.0.0.5", "10.0.0.6"], "10.0.0.6", True),
        ("10.0.0.0/24", "10.0.0.77", True),
        ("10.0.0.0/24", "10.0.1.77", False),
        ("fe80::1", "fe80::1%eth0", True),
    ],
)
def test_a_caller_may_have_several_addresses(tmp_path, monkeypatch, address, peer, may):
    """One address, a list of them, or a network; IPv4 in IPv6 notation is the same address."""
    monkeypatch.chdir(tmp_path)
    caller = {"ae_title": "A", "address": address}
    [only] = load_settings(receiver={"callers": [caller]}).receiver.callers
    assert only.may_come_from(peer) is may


def faults_of(text: str) -> list[str]:
    """Return the lines of a message below its first."""
    return [line.strip() for line in text.splitlines()[1:]]


MANY = """
[receiver]
port = 8100
ae_title = "seventeen letters!"
[reading]
model = "cxr-lava-v2"
device = "gpu"
[web]
host = "0.0.0.0"
[stow]
tls_key = "/k"
[[destinations]]
name = "archive"
kind = "orthac"
[[receiver.callers]]
ae_title = "A"
destinations = ["archiv"]
[[receiver.callers]]
ae_title = "A"
"""


def test_no_fault_hides_another(message):
    """Single keys, keys of one table, and names and ports of several: all in one message."""
    faults = faults_of(message(MANY))
    expected = {
        3: "receiver.port and web.port are both 8100",
        4: "receiver.ae_title: 'seventeen letters!'",
        6: "reading.model = 'cxr-lava-v2': not allowed",
        7: "reading.device = 'gpu': not allowed",
        9: "web.host: is not a loopback address, and without TLS browsers would drop",
        11: "stow: tls_certificate and tls_key belong together; tls_certificate is missing",
        12: "destinations \"archive\": kind = 'orthac' is not allowed",
        16: "receiver.callers: ae_title used twice: A",
        17: 'receiver.callers "A", destinations: no destination is named archiv; did you mean',
    }
    for line, part in expected.items():
        [fault] = [each for each in faults if part in each]
        assert fault.startswith(f"line {line}")
    assert len(faults) == len(expected)


@pytest.mark.parametrize(
    "text",
    [
        '[reading]\nmodel = "cxr-llava-v2"\nmodl_dir = "/x"\n',
        '[reading]\nmodel = "nothing-like-it"\n',
        '[receiver]\nport = "none"\ntls_port = -1\n',
        '[recevier]\nport = "none"\n',
        '[broker]\nurl = "amqp://h"\ntls_ca = "/c"\n',
        '[web]\nhost = "0.0.0.0"\nplain_htp = true\n',
        '[[receiver.callers]]\nae_title = "A"\ndestinations = ["b"]\n[[destinations]]\nname = "b"\n',
    ],
)
def test_a_fault_has_no_false_consequences(message, text):
    """A rule that needs a wrong or misspelled value is not reported."""
    assert len(faults_of(message(text))) == 1


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("gpu", "cuda"),
        ("GPU", "cuda"),
        ("CUDA", "cuda"),
        ("cuda0", "cuda:0"),
        ("gpu:1", "cuda:1"),
        ("CPU", "cpu"),
        ("cudda", "cuda"),
    ],
)
def test_a_wrong_device_is_named_with_what_is_allowed(message, given, meant):
    """cpu, cuda and cuda:N, and the nearest one."""
    [fault] = faults_of(message(f'[reading]\ndevice = "{given}"\n'))
    assert fault.startswith(f"line 2: reading.device = '{given}': not allowed; allowed are: cpu, ")
    assert fault.endswith(f"(did you mean '{meant}'?)")


@pytest.mark.parametrize("device", ["cpu", "cuda", "cuda:0", "cuda:7"])
def test_a_right_device_is_taken(tmp_path, monkeypatch, device):
    """The three forms."""
    monkeypatch.chdir(tmp_path)
    assert load_settings(reading={"device": device}).reading.device == device


def test_a_misspelt_model_is_named_while_its_folder_is_missing(message):
    """The name is wrong, not the missing model_dir; in `[[models]]` too."""
    [fault] = faults_of(message('[reading]\nmodel = "cxr-lava-v2"\n'))
    assert "allowed are: cxr-llava-v1, cxr-llava-v2, demo, llava-rad, tiny" in fault
    assert fault.endswith("(did you mean 'cxr-llava-v2'?)")
    [fault] = faults_of(message('[[models]]\nname = "b"\nmodel = "llavarad"\n'))
    assert fault.startswith("line 3: models \"b\", model = 'llavarad': not allowed")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('model = "llava-rad"\nmodel_dir = "/x"', "reading.base_model_dir: is needed for model ="),
        ('model = "demo"\nbase_model_dir = "/x"', "is for model = 'llava-rad' only, and model is"),
    ],
)
def test_opposite_mistakes_have_different_sentences(message, text, expected):
    """A missing base model, and one without use."""
    [fault] = faults_of(message(f"[reading]\n{text}\n"))
    assert expected in fault


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("[recieving]\n", "receiver"),
        ('[recieving]\nport = 104\nae_title = "A"\n', "receiver"),
        ("[reciever]\n", "receiver"),
        ("[readings]\n", "reading"),
        ('[reading1]\nmodel = "demo"\n', "reading"),
        ("[destination]\n", "destinations"),
        ('[[destination]]\nname = "a"\n', "destinations"),
        ("[databse]\n", "database"),
    ],
)
def test_the_nearest_table_is_named(message, text, meant):
    """By its name and by the keys that are written in it."""
    [fault] = faults_of(message(text))
    assert fault.endswith(f"there is no such table; did you mean `{meant}`?")


def test_one_table_where_several_may_be_is_explained(message):
    """The brackets are what is missing."""
    [fault] = faults_of(message('[destinations]\nname = "a"\n'))
    assert fault.endswith("its name is written in two brackets, [[destinations]]")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[receiver]\nae_title = WETREAD\n", ", line 2, column 12: not valid TOML: a value is a"),
        ("[web]\nport\n", "line 2, column 5: not valid TOML: a key is followed by = and a value"),
        ("[web]\nport = 1\nport = 2\n", "line 3, column 9: not valid TOML: a key is given twice"),
        ("[web]\n[web]\n", "line 2, column 5: not valid TOML: a table is written twice"),
        ('site_name = "a\nb"\n', "line 1, column 15: not valid TOML: a text has no quotation mark"),
        ("site_name = 'a\n", ", at its end: not valid TOML: a text has no quotation mark at its"),
        ('data_dir = "C:\\data"\n', "a backslash in a text is written twice"),
        ("x = [1,\n", ", at its end: not valid TOML: a value is missing, or the bracket"),
        ('[web]\nhost = "a" "b"\n', "line 2, column 12: not valid TOML: a line holds one key and"),
        ("[[a]\n", "the name of a repeated table ends with two brackets"),
    ],
)
def test_what_is_not_toml_is_reported(message, text, expected):
    """File, line, column, and what the form is, without a phrase of the library."""
    error = message(text)
    assert error.startswith("wetread.toml, ")
    assert expected in error


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("", "it is empty"),
        ("CR1", "without"),
        ('["a"', "a comma or a closing bracket is missing"),
        ("[] []", "there is more text after its end"),
        ("{x}", 'a key in "quotation marks" is missing'),
        ('["a]', "a text has no quotation mark at its end"),
    ],
)
def test_what_is_not_json_is_reported(tmp_path, monkeypatch, value, message):
    """The variable, why it must be JSON, an example, and what is missing where."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WETREAD_RECEIVER__CALLERS", value)
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    [fault] = faults_of(str(caught.value))
    assert fault.startswith("environment variable WETREAD_RECEIVER__CALLERS: must be JSON, since")
    assert message in fault
    assert "Expecting" not in fault


def test_variables_and_file_are_reported_together(tmp_path, monkeypatch):
    """A variable that cannot be used hides no fault of the file, nor of another variable."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wetread.toml").write_text('[receiver]\nport = "x"\n')
    monkeypatch.setenv("WETREAD_RECEIVER__CALLERS", "[")
    monkeypatch.setenv("WETREAD_RECEIVR__PORT", "1")
    monkeypatch.setenv("WETREAD_WEB__PORT", "y")
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert len(faults_of(str(caught.value))) == 4


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("WETREAD_WEB__HOST", "10.0.0.5", "web.host: is not a loopback address"),
        ("WETREAD_WEB__PORT", "104", "receiver.port and web.port are both 104"),
        ("WETREAD_STOW", '{"tls_key": "/k"}', "stow: tls_certificate and tls_key belong together"),
        ("WETREAD_DESTINATIONS", '[{"name": "b"}]', 'destinations "b": kind is required'),
        ("WETREAD_READING__MODEL", "llava-rad", "reading.model_dir: is needed for model"),
        (
            "WETREAD_RECONCILE",
            '[{"destination": "x", "calling_ae": "A"}]',
            "no destination is named",
        ),
    ],
)
def test_a_fault_between_keys_names_the_variable(tmp_path, monkeypatch, name, value, expected):
    """The variable if a key comes from the environment; the line of the file for the other key."""
    monkeypatch.chdir(tmp_path)
    text = '[receiver]\nport = 104\n[[receiver.callers]]\nae_title = "A"\n'
    (tmp_path / "wetread.toml").write_text(text)
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    [fault] = [each for each in faults_of(str(caught.value)) if expected in each]
    assert fault.startswith(f"environment variable {name}")
    assert ("line 2" in fault) is (name == "WETREAD_WEB__PORT")
