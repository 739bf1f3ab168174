import re

import pytest

from llm_al.web.sessions import COOKIE
from tests.fakes.argon import CHEAP

GOOD = "four words make one"
BAD = "four words make two"


def cookie_line(reply, name: str = COOKIE) -> str:
    return next(line for line in reply.headers.get_list("set-cookie") if line.startswith(f"{name}="))


def test_alone_there_is_no_login_page(alone) -> None:
    assert alone.get("/login", follow_redirects=False).headers["location"] == "/"
    page = alone.get("/").text
    assert 'data-person="me" data-role="owner"' in page
    assert "Log out" not in page


def test_as_soon_as_one_person_exists_everybody_logs_in(alone) -> None:
    token = alone.csrf_of()
    alone.app.state.site.roster.add("olga", "owner", password=GOOD)
    assert alone.get("/", follow_redirects=False).headers["location"] == "/login?next=/"
    assert alone.get("/api/next").status_code == 401
    reply = alone.post("/api/answers", json={"ticket": 1, "label": "refund"}, headers={"X-CSRF-Token": token})
    assert reply.status_code == 401


def test_a_server_for_others_has_no_open_house(open_site) -> None:
    site = open_site("http://labels.example", allowed_hosts=("labels.example",))
    assert site.get("/api/next").status_code == 401


def test_log_in_sets_a_cookie_that_scripts_and_other_sites_do_not_get(staffed) -> None:
    reply = staffed.log_in("ann")
    assert (reply.status_code, reply.headers["location"]) == (303, "/")
    line = cookie_line(reply)
    assert re.fullmatch(rf"{COOKIE}=[\w-]{{43}}; HttpOnly; Path=/; SameSite=lax", line)
    assert staffed.get("/api/scheme").json()["person"] == {"name": "ann", "role": "annotator"}
    assert "Log out" in staffed.get("/").text


def test_under_https_and_a_prefix_the_cookie_stays_there(open_site) -> None:
    site = open_site("https://127.0.0.1", base="/labels")
    site.app.state.site.roster.add("olga", "owner", password=GOOD)
    reply = site.form("/labels/login", name="olga", password=GOOD)
    assert reply.headers["location"] == "/labels/"
    line = cookie_line(reply)
    assert "Path=/labels" in line
    assert "Secure" in line
    assert site.get("/labels/api/next").status_code == 200


def test_a_wrong_password_is_told_on_the_page(staffed) -> None:
    reply = staffed.log_in("ann", BAD)
    assert reply.status_code == 401
    assert "Name and password, or the token, do not fit" in reply.text
    assert 'value="ann"' in reply.text
    assert BAD not in reply.text
    assert COOKIE not in reply.headers.get("set-cookie", "")


def test_the_login_form_needs_the_token_that_this_browser_was_shown(staffed) -> None:
    fields = {"name": "ann", "password": GOOD}
    assert staffed.post("/login", data=fields).status_code == 403
    shown_elsewhere = staffed.app.state.site.sign("form", "x" * 43)
    assert staffed.post("/login", data={**fields, "csrf": shown_elsewhere}).status_code == 403
    staffed.get("/login")
    assert staffed.post("/login", data={**fields, "csrf": shown_elsewhere}).status_code == 403
    assert staffed.get("/api/next").status_code == 401
    assert staffed.log_in("ann").status_code == 303


def test_a_session_that_was_planted_is_not_taken_over(staffed) -> None:
    planted = "p" * 43
    staffed.cookies.set(COOKIE, planted, domain="127.0.0.1", path="/")
    given = cookie_line(staffed.log_in("ann")).partition("=")[2].partition(";")[0]
    assert given != planted
    staffed.cookies.clear()
    staffed.cookies.set(COOKIE, planted, domain="127.0.0.1", path="/")
    assert staffed.get("/api/next").status_code == 401


def test_logging_in_again_ends_the_session_before(person, staffed) -> None:
    first = person("ann")
    old = first.cookies[COOKIE]
    reply = first.form("/login", "/login?token=x", name="olga", password=GOOD)
    assert reply.status_code == 303
    staffed.cookies.set(COOKIE, old, domain="127.0.0.1", path="/")
    assert staffed.get("/api/next").status_code == 401


@pytest.mark.parametrize("change", [{"role": "reviewer"}, {"is_active": False}])
def test_a_person_whose_role_changes_or_who_leaves_is_logged_out(person, change) -> None:
    ann, olga = person("ann"), person("olga")
    assert ann.get("/api/next").status_code == 200
    assert olga.call("POST", "/api/people/ann", **change).status_code == 200
    assert ann.get("/api/next").status_code == 401


def test_log_out_needs_the_token_and_ends_the_session(person) -> None:
    ann = person("ann")
    secret = ann.cookies[COOKIE]
    assert ann.post("/logout", data={"csrf": "x"}).status_code == 403
    assert ann.get("/api/next").status_code == 200
    reply = ann.form("/logout", "/")
    assert (reply.status_code, reply.headers["location"]) == (303, "/login")
    assert 'llm_al_session=""' in cookie_line(reply)
    ann.cookies.set(COOKIE, secret, domain="127.0.0.1", path="/")
    assert ann.get("/api/next").status_code == 401


def test_guessing_passwords_gets_slow_for_names_that_exist_and_that_do_not(staffed) -> None:
    seen = {}
    for name in ("ann", "nobody"):
        seen[name] = [staffed.log_in(name, f"{BAD} {n}") for n in range(7)]
        assert [reply.status_code for reply in seen[name]] == [401] * 5 + [429] * 2
    # Nothing in the answers tells the two apart but the name itself.
    for known, unknown in zip(seen["ann"], seen["nobody"], strict=True):
        blank = [re.sub(r"ann|nobody|[0-9a-f]{64}|in \d+ seconds", "", reply.text) for reply in (known, unknown)]
        assert blank[0] == blank[1]
    last = seen["ann"][-1]
    assert "Too many logins failed; try again in" in last.text
    assert int(last.headers["retry-after"]) >= 1
    assert staffed.log_in("ann").status_code == 429


def test_guessing_counts_across_workers_and_ways_in(make_app, staffed, folder) -> None:
    from tests.web.conftest import HERE, Visit

    other = Visit(make_app(), base_url=HERE, client=("127.0.0.1", 50001))
    for n in range(5):
        site = (staffed, other)[n % 2]
        assert site.post("/api/login", json={"name": "ann", "password": f"{BAD}{n}"}).status_code == 401
    for site in (staffed, other):
        reply = site.post("/api/login", json={"name": "ann", "password": GOOD})
        assert reply.status_code == 429
        assert "try again in" in reply.json()["error"]
    other.app.state.site.project.close()


def test_a_page_whose_session_is_over_logs_in_in_place(staffed) -> None:
    reply = staffed.post("/api/login", json={"name": "ann", "password": GOOD})
    assert reply.status_code == 200
    assert reply.json()["person"] == {"name": "ann", "role": "annotator"}
    (one, *_) = staffed.get("/api/next").json()["items"]
    headers = {"X-CSRF-Token": reply.json()["csrf"]}
    answer = staffed.post("/api/answers", json={"ticket": one["id"], "label": "refund"}, headers=headers)
    assert answer.status_code == 200


def test_a_token_logs_in_and_a_link_only_fills_it_in(staffed) -> None:
    token = staffed.app.state.site.roster.renew_token("olga")
    page = staffed.get(f"/login?token={token}")
    assert f'value="{token}"' in page.text
    assert staffed.get("/api/next").status_code == 401
    assert staffed.form("/login", token=token).status_code == 303
    assert staffed.get("/api/people").status_code == 200


@pytest.mark.parametrize(
    ("asked", "gone"),
    [
        ("/review", "/review"),
        ("//evil.example", "/"),
        ("https://evil.example/", "/"),
        ("/\\evil.example", "/"),
        ("/review\r\nSet-Cookie: x=y", "/"),
        ("javascript:alert(1)", "/"),
    ],
)
def test_a_login_leads_to_our_pages_only(staffed, asked, gone) -> None:
    reply = staffed.form("/login", name="rita", password=GOOD, next=asked)
    assert reply.headers["location"] == gone


def test_many_logins_at_once_are_bounded_and_do_not_hold_up_the_pages(person, staffed, monkeypatch) -> None:
    import threading
    from concurrent.futures import ThreadPoolExecutor

    ann, at_once, most, gate, lock = person("ann"), 0, 0, threading.Event(), threading.Lock()
    verify = type(CHEAP).verify

    def slow(self, *args):
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        gate.wait(20)
        with lock:
            at_once -= 1
        return verify(self, *args)

    monkeypatch.setattr(type(CHEAP), "verify", slow)
    with ThreadPoolExecutor(50) as threads:
        tried = [threads.submit(staffed.post, "/api/login", json={"name": f"n{n}", "password": BAD}) for n in range(50)]
        assert ann.get("/api/next").status_code == 200
        while sum(done.done() for done in tried) < 16:
            pass
        gate.set()
    statuses = [done.result().status_code for done in tried]
    assert most == 2
    # Two run and 32 wait; the address is asked to slow down after thirty.
    assert set(statuses) == {401, 429}
    assert statuses.count(401) == 30


def test_an_invitation_leads_to_an_account(person, staffed) -> None:
    olga = person("olga")
    url = olga.call("POST", "/api/invites", role="reviewer").json()["url"]
    assert url.startswith("http://127.0.0.1:8000/invite/")
    path = url.removeprefix("http://127.0.0.1:8000")
    page = staffed.get(path)
    assert page.status_code == 200
    assert "reviewer" in page.text
    reply = staffed.form(path, name="Eve", password=GOOD, password_again=GOOD)
    assert (reply.status_code, reply.headers["location"]) == (303, "/")
    assert staffed.get("/api/scheme").json()["person"] == {"name": "Eve", "role": "reviewer"}
    again = staffed.get(path, headers={"Accept": "text/html"})
    assert again.status_code == 404
    assert "This invitation was used or has expired" in again.text


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"name": "Eve", "password": GOOD, "password_again": BAD}, "The two passwords differ"),
        ({"name": "Eve", "password": "short", "password_again": "short"}, "take at least 10"),
        ({"name": "ann", "password": GOOD, "password_again": GOOD}, "is taken; choose another"),
        ({"name": "<script>", "password": GOOD, "password_again": GOOD}, "This name cannot be used"),
    ],
)
def test_a_mistake_leaves_the_invitation_open(staffed, fields, told) -> None:
    token = staffed.app.state.site.roster.invite("annotator", by="olga")
    reply = staffed.form(f"/invite/{token}", **fields)
    assert reply.status_code == 422
    assert told in reply.text
    assert "<script>" not in reply.text.partition("<main")[2].partition("</main")[0]
    reply = staffed.form(f"/invite/{token}", name="Eve", password=GOOD, password_again=GOOD)
    assert reply.status_code == 303


def test_an_invitation_needs_the_token_of_its_form(staffed) -> None:
    token = staffed.app.state.site.roster.invite("annotator", by="olga")
    reply = staffed.post(f"/invite/{token}", data={"name": "Eve", "password": GOOD})
    assert reply.status_code == 403
    assert staffed.app.state.site.roster.invitation(token)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"\xff\xfe", 400),
        (b"name=%00", 422),
        (b"&".join(b"f%d=1" % n for n in range(50)), 400),
        (b"name=" + b"x" * 3000, 422),
        (b"name=%ff", 400),
    ],
)
def test_forms_that_cannot_be_read(staffed, body, status) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert staffed.post("/login", content=body, headers=headers).status_code == status


def test_files_are_not_taken(staffed) -> None:
    reply = staffed.post("/login", files={"name": b"x"})
    assert reply.status_code == 400
    assert reply.json() == {"error": "this takes a plain form; use the pages of this server"}
