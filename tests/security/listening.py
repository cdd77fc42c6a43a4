"""Who listens where, by the kernel's own table."""

import ipaddress
import re
from pathlib import Path

LISTENING = "0A"


def listeners(pids: list[int]) -> dict[str, int]:
    """Return the addresses at which the processes listen for TCP, with the process."""
    owners = {}
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                target = str(link.readlink())
            except OSError:
                continue
            if found := re.fullmatch(r"socket:\[(\d+)\]", target):
                owners[found[1]] = pid
    table = [
        line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
    ]
    return {address(row[1]): owners[row[9]] for row in table if row[3] == LISTENING and row[9] in owners}


def address(text: str) -> str:
    """Return an address of /proc/net/tcp, whose words of 4 bytes are in the machine's order, as people write it."""
    host, port = text.split(":")
    words = [bytes.fromhex(host[at : at + 8])[::-1] for at in range(0, len(host), 8)]
    return f"{ipaddress.ip_address(b''.join(words))} {int(port, 16)}"


def is_loopback(place: str) -> bool:
    host = ipaddress.ip_address(place.split()[0])
    inner = getattr(host, "ipv4_mapped", None)
    return (inner or host).is_loopback
