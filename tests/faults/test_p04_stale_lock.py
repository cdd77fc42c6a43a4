"""P4: a lock whose holder was killed holds nobody up."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

from litune.study import lock
from tests.faults.tallies import count, tally

HOLDER = """
import os, sys, time
from pathlib import Path
from litune.study import lock
with lock.held(Path(sys.argv[1])):
    os.fork() or (os.close(1), time.sleep(5), os._exit(0))  # a process forked meanwhile, which outlives it
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_lock_is_free_as_soon_as_its_holder_is_dead(tmp_path: Path) -> None:
    with tally("P4", "lock") as one:
        for _ in range(count(10, 50)):
            with one.attempt():
                words = [sys.executable, "-c", HOLDER, str(tmp_path)]
                with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as holder:
                    assert holder.stdout is not None
                    assert holder.stdout.readline() == "held\n"
                    holder.kill()
                with lock.held(tmp_path):  # it does not wait: it is refused or has it
                    assert str(holder.pid) not in (tmp_path / lock.FILE).read_text()


def test_who_holds_a_lock_is_told_whatever_its_last_holder_was_called(tmp_path: Path) -> None:
    (tmp_path / lock.FILE).write_text(json.dumps({"pid": 1, "host": "h" * 99}))
    with lock.held(tmp_path):
        assert lock.holder(tmp_path) == lock.described(os.getpid(), socket.gethostname())
