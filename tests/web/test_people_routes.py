import pytest


def test_the_owner_sees_everybody_without_their_secrets(person) -> None:
    reply = person("olga").get("/api/people")
    rows = reply.json()["people"]
    assert [(row["name"], row["role"], row["is_active"], row["is_you"]) for row in rows] == [
        ("olga", "owner", True, True),
        ("rita", "reviewer", True, False),
        ("ann", "annotator", True, False),
        ("bob", "annotator", True, False),
    ]
    assert "argon2" not in reply.text
    assert set(rows[0]) == {"name", "role", "is_active", "expertise", "created_s", "is_you"}


def test_what_people_know_is_kept(person) -> None:
    olga = person("olga")
    assert olga.call("POST", "/api/people/ann", expertise=["refund", "product"]).json() == {}
    assert olga.get("/api/people").json()["people"][2]["expertise"] == ["refund", "product"]
    reply = olga.call("POST", "/api/people/ann", expertise=["no such label"])
    assert reply.status_code == 422


def test_the_last_owner_cannot_leave(person) -> None:
    olga = person("olga")
    for change in ({"is_active": False}, {"role": "annotator"}):
        reply = olga.call("POST", "/api/people/olga", **change)
        assert reply.status_code == 422
        assert reply.json() == {"error": "somebody has to stay owner; make another person owner first"}


def test_nobody_of_that_name(person) -> None:
    reply = person("olga").call("POST", "/api/people/nobody", role="owner")
    assert reply.status_code == 422
    assert "there is nobody of that name" in reply.json()["error"]


def test_invitations_are_listed_without_what_opens_them_and_can_be_taken_back(person, staffed) -> None:
    olga = person("olga")
    url = olga.call("POST", "/api/invites", role="annotator", name="Eve", hours=1.5).json()["url"]
    token = url.rsplit("/", 1)[1]
    reply = olga.get("/api/invites")
    (row,) = reply.json()["invites"]
    assert token not in reply.text
    assert (row["role"], row["name"], row["created_by"], row["used_by"]) == ("annotator", "Eve", "olga", None)
    assert row["expires_s"] - row["created_s"] == pytest.approx(5400.0)
    assert olga.call("DELETE", f"/api/invites/{row['id']}").json() == {}
    assert olga.get("/api/invites").json() == {"invites": []}
    assert olga.call("DELETE", f"/api/invites/{row['id']}").status_code == 404
    assert staffed.get(f"/invite/{token}").status_code == 404


def test_the_first_invitation_is_an_owners(alone) -> None:
    reply = alone.call("POST", "/api/invites", role="annotator")
    assert reply.status_code == 422
    assert "the first account has to be an owner's" in reply.json()["error"]
    url = alone.call("POST", "/api/invites", role="owner").json()["url"]
    password = "four words make one"
    assert alone.form(url, name="olga", password=password, password_again=password).status_code == 303
    assert alone.get("/api/people").json()["people"][0]["name"] == "olga"


OWNERS = [
    ("GET", "/api/people", {}),
    ("POST", "/api/people/ann", {"role": "owner"}),
    ("POST", "/api/invites", {"role": "owner"}),
    ("GET", "/api/invites", {}),
    ("DELETE", "/api/invites/0123456789abcdef", {}),
    ("PUT", "/api/guidelines", {"text": "mine"}),
]


@pytest.mark.parametrize("name", ["ann", "rita"])
@pytest.mark.parametrize(("method", "path", "body"), OWNERS)
def test_the_people_page_is_the_owners(person, name, method, path, body) -> None:
    reply = person(name).call(method, path, **body)
    assert reply.status_code == 403
    assert reply.json() == {"error": "this is for people with the role owner; ask an owner"}


REVIEWERS = [
    ("GET", "/api/review", {}),
    ("POST", "/api/rulings", {"example_id": "p0", "label": "refund"}),
    ("POST", "/api/flags/settle", {"example_id": "p0"}),
]


@pytest.mark.parametrize(("method", "path", "body"), REVIEWERS)
def test_annotators_do_not_review(person, method, path, body) -> None:
    reply = person("ann").call(method, path, **body)
    assert reply.status_code == 403
    assert reply.json() == {"error": "this is for people with the role reviewer; ask an owner"}


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("ann", {"/", "/dashboard", "/guidelines"}),
        ("rita", {"/", "/dashboard", "/guidelines", "/review"}),
        ("olga", {"/", "/dashboard", "/guidelines", "/review", "/people"}),
    ],
)
def test_each_role_has_its_pages(person, name, allowed) -> None:
    visit = person(name)
    html = {"Accept": "text/html"}
    found = {
        path: visit.get(path, headers=html).status_code
        for path in ("/", "/dashboard", "/guidelines", "/review", "/people")
    }
    assert {path for path, status in found.items() if status == 200} == allowed
    assert set(found.values()) <= {200, 403}


def test_who_lost_a_password_gets_a_token(person, staffed) -> None:
    olga, ann = person("olga"), person("ann")
    reply = olga.call("POST", "/api/people/ann/token")
    assert ann.get("/api/next").status_code == 401
    assert staffed.form("/login", token=reply.json()["token"]).status_code == 303
    assert staffed.get("/api/scheme").json()["person"]["name"] == "ann"
    assert olga.call("POST", "/api/people/nobody/token").status_code == 422
    assert person("rita").call("POST", "/api/people/olga/token").status_code == 403
