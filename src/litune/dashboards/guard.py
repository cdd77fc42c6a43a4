"""What stands before a page that would, by itself, obey any web page that the user's browser has open.

A browser lets a foreign page send requests to this machine. So the guard lets through only requests that name this
machine as their Host (a foreign name that was made to resolve to 127.0.0.1 does not), that come from the page itself
(Origin), and that hold the token of the printed address, in a cookie once it was opened.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import socket
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from werkzeug.wrappers import Request, Response

READING = frozenset({"GET", "HEAD"})
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_HEADERS = (
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "SAMEORIGIN"),
    ("Referrer-Policy", "no-referrer"),
)

App = Callable[[dict[str, Any], Any], Iterable[bytes]]


class Guard:
    """A WSGI application before another one. `methods` are those that it lets through; None: all."""

    def __init__(self, app: App, host: str, *, methods: frozenset[str] | None, refusal: str) -> None:
        self._app, self._methods, self._refusal = app, methods, refusal
        others = _LOOPBACK if is_loopback(host) else {socket.gethostname().lower()}
        self._names = frozenset({host.lower(), *others})  # in small letters, as a browser and urlsplit have them
        self._any_address = is_wildcard(host)
        self.token = secrets.token_urlsafe(24)
        self._cookie = f"litune-{secrets.token_hex(4)}"  # of its own: cookies are shared among the ports of a machine

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer a request, or refuse it."""
        request = Request(environ, populate_request=False)
        host, origin = request.headers.get("Host", ""), request.headers.get("Origin")
        if not self._is_ours(host):
            answer = _answer(HTTPStatus.FORBIDDEN, f"this page is not served under the name {host!r}")
        elif origin not in (None, f"http://{host}"):
            answer = _answer(HTTPStatus.FORBIDDEN, "this page answers no other page")
        elif request.method == "GET" and any(map(self._fits, request.args.getlist("token"))):
            answer = self._opening(request)
        elif not self._fits(request.cookies.get(self._cookie, "")):
            answer = _answer(HTTPStatus.FORBIDDEN, "open the address that litune printed: it holds a token")
        elif self._methods is not None and request.method not in self._methods:
            answer = _answer(HTTPStatus.METHOD_NOT_ALLOWED, self._refusal)
        else:
            return self._app(environ, _with_headers(start_response))
        return answer(environ, start_response)

    def _opening(self, request: Request) -> Response:
        """Put the token into a cookie, and go to the same address without it."""
        rest = urlencode([(key, value) for key, value in request.args.items(multi=True) if key != "token"])
        answer = _answer(HTTPStatus.SEE_OTHER, "")
        answer.headers["Location"] = "/" + quote(request.path.lstrip("/")) + (f"?{rest}" if rest else "")
        answer.set_cookie(self._cookie, self.token, httponly=True, samesite="Strict")
        return answer

    def _is_ours(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return name in self._names or (self._any_address and (name in _LOOPBACK or _is_address(name)))

    def _fits(self, token: str) -> bool:
        return hmac.compare_digest(token.encode(), self.token.encode())


def is_loopback(host: str) -> bool:
    """Say whether only this machine reaches what listens there."""
    return host.lower() == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def is_wildcard(host: str) -> bool:
    """Say whether what listens there does so on every address of this machine."""
    return _is_address(host) and ipaddress.ip_address(host).is_unspecified


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _answer(status: HTTPStatus, words: str) -> Response:
    return Response(words, status, [*_HEADERS, ("Cache-Control", "no-store")], content_type="text/plain; charset=utf-8")


def _with_headers(start_response: Any) -> Any:
    """Return what begins the page's own answer, with the guard's headers beside its own."""

    def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
        return start_response(status, [*headers, *_HEADERS], *rest)

    return start
