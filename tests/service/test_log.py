"""The log of a process, for every source of lines, and with a closed output."""

import json
import subprocess
import sys

SPEAKS = """
import logging, os, sys
from service.log import configure_logging, get_logger
from service.settings.keys.sections import Log

configure_logging(Log(level="info", format="json"), process="receive")
log = get_logger("service.here")
log.debug("too_small")
log.info("ours", text="\\udce4\\n<b>", calling_ae="CR1")
logging.getLogger("dicom.scp.storage_scp").warning("theirs %s", 1)
logging.getLogger("pynetdicom.acse").error("a value of a patient")
name = "Some" + "body"
try:
    raise KeyError(name)
except KeyError:
    log.exception("failed")
logging.getLogger("highdicom.base").warning("a name of a patient")
os.close(2)
log.error("stderr is closed")
log.critical("nor this")
print("went on")
"""


def test_every_line_has_the_same_form_and_a_closed_stream_stops_nothing():
    """Ours and the libraries' are JSON with level, time, process; quotes of data sets are left out."""
    ended = subprocess.run([sys.executable, "-c", SPEAKS], capture_output=True, check=True)
    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    assert [line["event"] for line in lines] == ["ours", "theirs 1", "failed"]
    assert [line["level"] for line in lines] == ["info", "warning", "error"]
    assert all(line["process"] == "receive" and line["timestamp"].endswith("Z") for line in lines)
    assert lines[0]["text"] == "\udce4\n<b>"
    assert lines[2]["exception"].startswith("Traceback (without message) of KeyError:")
    assert "line 14" in lines[2]["exception"]
    assert "Somebody" not in lines[2]["exception"]
    assert ended.stdout == b"went on\n"


def test_a_console_line_with_text_that_cannot_be_encoded_is_written():
    """A lone surrogate, as a file's name may hold, is escaped."""
    console = SPEAKS.replace('format="json"', 'format="console"')
    ended = subprocess.run([sys.executable, "-c", console], capture_output=True, check=True)
    assert b"udce4" in ended.stderr
    assert ended.stdout == b"went on\n"
