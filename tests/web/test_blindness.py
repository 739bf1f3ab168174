"""What an annotator can learn of the others' answers, in a project where suggestions are hidden: nothing."""

import re
import shutil

import pytest

from llm_al.people.roster import Roster
from llm_al.project import Project
from llm_al.web.app import create_app
from llm_al.web.settings import WebSettings
from tests.fakes import shop
from tests.fakes.argon import cheap_passwords
from tests.web.conftest import GOOD, HERE, Visit

NOTE = "a note that only its author may read"
LABEL = "refund"


@pytest.fixture(scope="module")
def _blind(tmp_path_factory):
    folder = tmp_path_factory.mktemp("blind")
    shop.write_inputs(folder)
    human = {
        "annotator": "queue",
        "gold": None,
        "suggestions": "hidden",
        "overlap": 2,
        "gold_rate": 0.0,
        "re_ask_rate": 0.0,
    }
    files = {"texts": folder / "pool.csv", "labels": folder / "labels.json"}
    with Project.create(folder / "shop", **files, settings=shop.settings(human=human)) as project:
        ids = [row["id"] for row in shop.POOL[:6]]
        project.store.enqueue(ids, round=0, reason="x", is_blind=True, n_wanted=2)
        roster = Roster(project.store.people, passwords=cheap_passwords())
        for name, role in (("olga", "owner"), ("rita", "reviewer"), ("ann", "annotator"), ("bob", "annotator")):
            roster.add(name, role, password=GOOD)
    return folder / "shop"


@pytest.fixture
def visit(_blind, tmp_path):
    folder = shutil.copytree(_blind, tmp_path / "shop")
    app = create_app(folder, WebSettings(key="k"))
    passwords = cheap_passwords()
    app.state.site.roster.__dict__["_passwords"] = passwords

    def log_in(name: str) -> Visit:
        opened = Visit(app, base_url=HERE, client=("127.0.0.1", 1))
        assert opened.log_in(name).status_code == 303
        return opened

    with Visit(app, base_url=HERE):
        yield log_in


@pytest.fixture
def answered(visit):
    """Ann has answered two texts, with notes, and flagged one; return bob's browser and her tickets."""
    ann = visit("ann")
    items = ann.get("/api/next").json()["items"]
    for item in items[:2]:
        assert ann.call("POST", "/api/answers", ticket=item["id"], label=LABEL, note=NOTE).status_code == 200
    assert ann.call("POST", "/api/flags", ticket=items[0]["id"], note=NOTE).status_code == 200
    return visit("bob"), [item["id"] for item in items]


def test_the_scheme_says_that_suggestions_are_hidden(visit) -> None:
    assert visit("bob").get("/api/scheme").json()["suggestions"] == "hidden"


def test_a_second_opinion_shows_neither_the_first_nor_that_there_is_one(answered) -> None:
    bob, _ = answered
    reply = bob.get("/api/next?n=10")
    items = reply.json()["items"]
    assert {"p0", "p1"} <= {item["example_id"] for item in items}
    assert NOTE not in reply.text
    assert "ann" not in [word.strip('"') for word in reply.text.replace(":", ",").split(",")]
    for item in items:
        assert (item["suggestions"], item["options"], item["form"], item["reason"]) == ([], [], "list", "")
    seen = {
        item["example_id"]: {k: v for k, v in item.items() if k not in ("id", "example_id", "text", "expires_s")}
        for item in items
    }
    assert seen["p0"] == seen["p5"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/undo"),
        ("POST", "/api/answers"),
        ("POST", "/api/flags"),
    ],
)
def test_another_persons_ticket_is_nobodys(answered, method, path) -> None:
    bob, tickets = answered
    for ticket in tickets:
        body = {"ticket": ticket, **({"label": LABEL} if path.endswith("answers") else {})}
        reply = bob.call(method, path, **body)
        assert reply.status_code == 409
        assert NOTE not in reply.text
        assert LABEL not in reply.text
        # As for a ticket that never was.
        unknown = bob.call(method, path, **{**body, "ticket": 10**9})
        same = re.sub(r"\d+", "", reply.text) == re.sub(r"\d+", "", unknown.text)
        assert (unknown.status_code, same) == (409, True)


def test_have_does_not_fetch_another_persons_question(answered) -> None:
    bob, tickets = answered
    have = ",".join(map(str, tickets))
    items = bob.get("/api/next", params={"have": have}).json()["items"]
    assert not {item["id"] for item in items} & set(tickets)


def test_no_route_tells_an_annotator_what_another_said(answered) -> None:
    bob, _ = answered
    spec = bob.app.openapi()["paths"]
    read = [path for path, methods in spec.items() if "get" in methods]
    texts = {}
    for path in read:
        url = path.replace("{token}", "x").replace("{file}", "labels.csv")
        for query in ("", "?kind=flags", "?kind=label_errors", "?n=10"):
            texts[url + query] = bob.get(url + query).text
    assert not [url for url, text in texts.items() if NOTE in text]
    # A person's name is on no answer of the API; the pages name bob himself only.
    assert not [url for url, text in texts.items() if '"ann"' in text or "human:ann" in text or '"human:rita"' in text]
    assert bob.get("/api/history").json() == {"answers": []}


def test_the_dashboard_of_an_annotator_names_nobody_else(answered, visit) -> None:
    bob, _ = answered
    (one, *_) = bob.get("/api/next").json()["items"]
    bob.call("POST", "/api/answers", ticket=one["id"], label="product")
    mine = bob.get("/api/dashboard")
    assert mine.status_code == 200
    assert "human:ann" not in mine.text
    whole = visit("olga").get("/api/dashboard")
    assert whole.status_code == 200


def test_reviewers_see_the_votes(answered, visit) -> None:
    rita = visit("rita")
    found = rita.get("/api/review?kind=flags").json()
    assert found["total"] == 1
    assert NOTE in found["cases"][0]["note"]
    assert [vote["label"] for vote in found["cases"][0]["votes"]] == [LABEL]
