"""The guard before a page, asked as a browser and as a foreign page would ask."""

from collections.abc import Iterable
from typing import Any

import pytest
from werkzeug.test import Client

from litune.dashboards.guard import READING, Guard

PORT = 4180


def page(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{environ['REQUEST_METHOD']} {environ.get('QUERY_STRING')}".encode()]


def get(client: Client, path: str, *, host: str = "127.0.0.1", method: str = "GET", **headers: str) -> Any:
    return client.open(path, base_url=f"http://{host}:{PORT}", method=method, headers=headers)


def opened(guard: Guard, host: str = "127.0.0.1") -> Client:
    client = Client(guard)
    assert get(client, f"/?token={guard.token}", host=host).status_code == 303
    return client


@pytest.fixture
def guard() -> Guard:
    return Guard(page, "127.0.0.1", methods=READING, refusal="read-only")


def test_the_printed_address_opens_the_page_and_the_token_leaves_the_address(guard: Guard) -> None:
    client = Client(guard)
    answer = get(client, f"/a/b?token={guard.token}&x=1")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/a/b?x=1")
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert get(client, "/a/b?x=1").text == "GET x=1"


@pytest.mark.parametrize("path", ["/", "/?token=", "/?token=wrong", "/?token=é"])
def test_without_the_token_nothing_is_shown(guard: Guard, path: str) -> None:
    assert get(Client(guard), path).status_code == 403


def test_the_token_of_one_page_does_not_open_another(guard: Guard) -> None:
    other = Guard(page, "127.0.0.1", methods=READING, refusal="read-only")
    assert get(opened(guard), "/").status_code == 200
    assert get(Client(guard), f"/?token={other.token}").status_code == 403


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.1", "[", ""])
def test_a_foreign_host_is_refused_even_with_the_token(guard: Guard, host: str) -> None:
    client = opened(guard)
    answer = client.open(f"/?token={guard.token}", base_url=f"http://127.0.0.1:{PORT}", headers={"Host": host})
    assert answer.status_code == 403


@pytest.mark.parametrize("origin", ["http://evil.example", f"http://127.0.0.1:{PORT + 1}", "null"])
def test_a_foreign_origin_is_refused_even_with_the_token(guard: Guard, origin: str) -> None:
    assert get(opened(guard), "/", Origin=origin).status_code == 403
    assert get(opened(guard), "/", Origin=f"http://127.0.0.1:{PORT}").status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_what_could_change_something_is_refused_unless_writing_was_asked_for(guard: Guard, method: str) -> None:
    answer = get(opened(guard), "/", method=method)
    assert (answer.status_code, answer.text) == (405, "read-only")
    writing = Guard(page, "127.0.0.1", methods=None, refusal="")
    assert get(opened(writing), "/", method=method).status_code == 200


def test_on_every_address_it_answers_to_addresses_but_not_to_names_that_anybody_can_give_this_machine() -> None:
    guard = Guard(page, "0.0.0.0", methods=READING, refusal="read-only")  # noqa: S104 - nothing listens here
    assert get(opened(guard, host="192.0.2.7"), "/", host="192.0.2.7").status_code == 200
    assert get(Client(guard), f"/?token={guard.token}", host="evil.example").status_code == 403


@pytest.mark.parametrize("host", ["127.0.0.2", "Node7", "LocalHost"])
def test_the_address_that_was_asked_for_is_one_of_its_own(host: str) -> None:
    guard = Guard(page, host, methods=READING, refusal="read-only")
    assert get(opened(guard, host=host), "/", host=host).status_code == 200


@pytest.mark.parametrize("other", ["list[0]=1", 'state={"a": [1]}', "=", "x y=1"])
def test_the_cookie_of_another_page_of_this_machine_hides_not_the_token(guard: Guard, other: str) -> None:
    set_cookie = get(Client(guard), f"/?token={guard.token}").headers["Set-Cookie"]
    header = f"{other}; {set_cookie.partition(';')[0]}"
    assert get(Client(guard, use_cookies=False), "/", Cookie=header).status_code == 200


def test_a_path_in_other_letters_is_kept(guard: Guard) -> None:
    answer = get(Client(guard), f"/é/b?token={guard.token}&x=ü&x=2")
    assert answer.headers["Location"] == "/%C3%A9/b?x=%C3%BC&x=2"
