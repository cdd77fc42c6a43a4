"""The processes of this machine, whatever they are called."""

import os
import subprocess
import sys

from litune import processes

UNNAMEABLE = "open('/proc/self/comm', 'wb').write(b'half \\xc3) R 1'); print(flush=True); input()"


def test_a_process_whose_name_is_no_text_is_found_like_any_other() -> None:
    with subprocess.Popen([sys.executable, "-c", UNNAMEABLE], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        mine = [other for other in processes.everything() if other.pid == process.pid]
        process.communicate(b"\n")
    assert [other.parent for other in mine] == [os.getpid()]
