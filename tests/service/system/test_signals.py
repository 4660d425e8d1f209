"""Signals that stop a process."""

import signal
import subprocess
import sys
import time

# The main thread waits, sets and clears all the time, so that many signals come while it holds the lock.
PROGRAM = """
import _thread
import sys
from service.system.signals import stop_event

ended = []
_thread.start_new_thread(lambda: ended.append(sys.stdin.read()), ())
stop = stop_event()
print("ready", flush=True)
while not ended:
    stop.set()
    stop.clear()
    stop.wait(0)
print("done", flush=True)
stop.wait()
"""
SIGNALS = 400


def test_a_signal_while_another_one_is_handled_blocks_nothing():
    """The main thread continues, whatever it did with the event when the signals came."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout.readline() == "ready\n"
            for each in range(SIGNALS):
                process.send_signal((signal.SIGTERM, signal.SIGINT)[each % 2])
                time.sleep(0.0002)
            process.stdin.close()
            assert process.stdout.readline() == "done\n"
        finally:
            process.kill()
