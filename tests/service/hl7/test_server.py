"""`wetread receive-hl7` as a process: killed between commit and answer."""

import json
import signal
import socket
import subprocess
import sys

from service.settings.config import child_environment
from service.store import Store
from tests.hl7_messages import framed, simple

# The process is killed when the report is committed, before its answer is sent.
KILLED = """
import os, signal
from service.hl7.server import serve
from service.settings.config import load_settings
from service.store import Store

take = Store.take_final_report

def then_killed(*arguments, **named):
    take(*arguments, **named)
    os.kill(os.getpid(), signal.SIGKILL)

Store.take_final_report = then_killed
serve(load_settings())
"""


def test_a_message_whose_answer_was_lost_is_stored_once(tmp_path, database, eventually):
    """Kill -9 between commit and answer; the repeat is answered AA and makes no second row."""
    environment = child_environment(
        WETREAD_DATA_DIR=str(tmp_path),
        WETREAD_DATABASE__URL=f"sqlite:///{database}",
        WETREAD_HL7__PORT="0",
    )
    address = tmp_path / "run" / "receive-hl7.json"

    def asked(*command):
        address.unlink(missing_ok=True)
        with subprocess.Popen([sys.executable, *command], env=environment) as process:
            try:
                eventually(address.exists, seconds=60, what="the address")
                port = int(json.loads(address.read_text())["url"].rpartition(":")[2])
                with socket.create_connection(("127.0.0.1", port), timeout=30) as peer:
                    peer.sendall(framed(simple("M1")))
                    answer = peer.recv(4096)
            finally:
                process.send_signal(signal.SIGTERM)
                ended = process.wait(30)
        return answer, ended

    assert asked("-c", KILLED) == (b"", -signal.SIGKILL)
    answer, ended = asked("-m", "service.cli", "receive-hl7")
    assert (b"MSA|AA|M1|known already" in answer, ended) == (True, 0)
    store = Store(f"sqlite:///{database}")
    assert sum(store.final_report_counts().values()) == 1
    assert {each.result.value: each.count for each in store.hl7_messages()} == {"known already": 1}
    store.close()
