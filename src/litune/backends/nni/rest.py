"""The manager's HTTP interface, as far as trials need it: their params, and their metrics (NNI's trial channel, v3).

Spoken here over plain sockets: nni takes a second to import, http.client longer than the rest of a trial's start.
"""

from __future__ import annotations

import json
import math
import socket
from collections.abc import Mapping
from typing import Any

CHANNEL = "NNI_TRIAL_COMMAND_CHANNEL"  # where NNI tells a trial its URL: http://HOST:PORT[/PREFIX]/env/ENV/TRIAL
_API = "/api/v1/nni"
_TIMEOUT = 10.0


class Manager:
    """NNI's manager at http://HOST:PORT[/PREFIX]."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        authority, slash, prefix = self.url.removeprefix("http://").partition("/")
        host, _, port = authority.partition(":")
        self._address, self._prefix = (host, int(port or 80)), slash + prefix

    def get(self, path: str) -> Any:
        """Return what the manager answers below its /api/v1/nni; OSError if it does not, or not well."""
        return self._request("GET", _API + path)

    def experiment(self) -> Mapping[str, Any]:
        """Return the experiment's config; OSError as for get(), and where it is no manager that answers."""
        found = self.get("/experiment")
        if not isinstance(found, dict) or not isinstance(found.get("params"), dict):
            raise OSError(f"{self.url}: what answers there is no manager of NNI's")
        params: Mapping[str, Any] = found["params"]
        return params

    def put(self, path: str, body: Mapping[str, Any]) -> None:
        """Put a JSON value at a path; OSError where that fails."""
        self._request("PUT", path, json.dumps(body).encode())

    def alive(self) -> bool:
        """Say whether somebody listens there."""
        try:
            socket.create_connection(self._address, _TIMEOUT).close()
        except OSError:
            return False
        return True

    def _request(self, method: str, path: str, body: bytes = b"") -> Any:
        host, port = self._address
        head = (
            f"{method} {self._prefix}{path} HTTP/1.0\r\nHost: {host}:{port}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        with socket.create_connection(self._address, _TIMEOUT) as connection:
            connection.sendall(head.encode() + body)
            answer = b""
            while data := connection.recv(1 << 16):
                answer += data
        head_end = answer.index(b"\r\n\r\n") if b"\r\n\r\n" in answer else len(answer)
        status, content = answer[:head_end].split(b"\r\n")[0].decode(), answer[head_end + 4 :]
        if " 200" not in status:
            raise OSError(f"{self.url}{path}: {status or 'no answer'}")
        try:
            return json.loads(content) if content else None
        except ValueError:
            raise OSError(f"{self.url}{path}: an answer that is not JSON, or was cut") from None


class TrialChannel:
    """What one trial says to the manager."""

    def __init__(self, url: str, trial: str) -> None:
        """Take the URL that NNI gave the trial in CHANNEL."""
        base, _, rest = url.partition("/env/")
        self.manager = Manager(base)
        self._path, self._trial, self._sequence = "/env/" + rest, trial, 0

    def report(self, value: float, metrics: Mapping[str, float], parameter_id: int | None) -> None:
        """Report one validation: `value` as NNI's `default`, beside all metrics."""
        if math.isfinite(value):
            others = {name: number for name, number in metrics.items() if math.isfinite(number)}
            self._send("PERIODICAL", self._sequence, {"default": value, **others}, parameter_id)
            self._sequence += 1

    def finish(self, score: float, parameter_id: int | None) -> None:
        """Report the trial's score."""
        self._send("FINAL", 0, {"default": score}, parameter_id)

    def _send(self, kind: str, sequence: int, value: Mapping[str, float], parameter_id: int | None) -> None:
        metric = {
            "parameter_id": parameter_id,
            "trial_job_id": self._trial,
            "type": kind,
            "sequence": sequence,
            "value": json.dumps(value),
        }
        self.manager.put(self._path, {"type": "metric", "metric": json.dumps(metric)})


def packet(job: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the packet (`parameters`, `parameter_id`) of a trial job as the manager lists it."""
    found: Mapping[str, Any] = json.loads(job["hyperParameters"][0])
    return found
