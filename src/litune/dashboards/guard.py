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
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

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
        host = environ.get("HTTP_HOST", "")
        if not self._is_ours(host):
            return _answer(start_response, HTTPStatus.FORBIDDEN, f"this page is not served under the name {host!r}")
        origin = environ.get("HTTP_ORIGIN")
        if origin is not None and origin != f"http://{host}":
            return _answer(start_response, HTTPStatus.FORBIDDEN, "this page answers no other page")
        query = parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True)
        if environ["REQUEST_METHOD"] == "GET" and any(key == "token" and self._fits(value) for key, value in query):
            return self._open(environ, query, start_response)
        if not self._holds_token(environ.get("HTTP_COOKIE", "")):
            return _answer(
                start_response, HTTPStatus.FORBIDDEN, "open the address that litune printed: it holds a token"
            )
        if self._methods is not None and environ["REQUEST_METHOD"] not in self._methods:
            return _answer(start_response, HTTPStatus.METHOD_NOT_ALLOWED, self._refusal)

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            return start_response(status, [*headers, *_HEADERS], *rest)

        return self._app(environ, start)

    def _open(self, environ: dict[str, Any], query: list[tuple[str, str]], start_response: Any) -> Iterable[bytes]:
        """Put the token into a cookie, and go to the same address without it."""
        rest = urlencode([(key, value) for key, value in query if key != "token"])
        place = "/" + quote(environ.get("PATH_INFO", "").lstrip("/")) + (f"?{rest}" if rest else "")
        cookie = f"{self._cookie}={self.token}; HttpOnly; SameSite=Strict; Path=/"
        return _answer(start_response, HTTPStatus.SEE_OTHER, "", ("Location", place), ("Set-Cookie", cookie))

    def _is_ours(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return name in self._names or (self._any_address and (name in _LOOPBACK or _is_address(name)))

    def _holds_token(self, header: str) -> bool:
        try:
            cookie = SimpleCookie(header).get(self._cookie)
        except CookieError:
            return False
        return cookie is not None and self._fits(cookie.value)

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


def _answer(start_response: Any, status: HTTPStatus, words: str, *headers: tuple[str, str]) -> Iterable[bytes]:
    content = ("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store")
    start_response(f"{status.value} {status.phrase}", [*headers, *content, *_HEADERS])
    return [words.encode()]
