import pytest

from llm_al.project import Project


@pytest.fixture
def disputed(person):
    """Ann and bob disagree about p0, and ann flagged it; return rita's browser."""
    ann = person("ann")
    project = ann.app.state.site.project
    for name, label in (("ann", "refund"), ("bob", "delivery")):
        project.answer("p0", label, annotator=f"human:{name}")
    project.store.flags.add("p0", person="human:ann", note="odd")
    rita = person("rita")
    yield rita
    project.review.wait()


@pytest.mark.parametrize("kind", ["disagreements", "flags"])
def test_cases_come_with_every_vote(disputed, kind) -> None:
    disputed.get(f"/api/review?kind={kind}")
    disputed.app.state.site.project.review.wait()
    found = disputed.get(f"/api/review?kind={kind}").json()
    assert set(found) == {"cases", "total", "as_of", "note"}
    (case,) = found["cases"]
    assert (found["total"], case["example_id"]) == (1, "p0")
    assert {(vote["source"], vote["label"]) for vote in case["votes"]} == {
        ("human:ann", "refund"),
        ("human:bob", "delivery"),
    }


def test_pages_of_cases(disputed) -> None:
    assert disputed.get("/api/review?kind=flags&offset=1").json()["cases"] == []
    assert disputed.get("/api/review?kind=flags&n=0").status_code == 422


def test_a_ruling_settles_a_text_in_the_reviewers_name(disputed, folder) -> None:
    reply = disputed.call("POST", "/api/rulings", example_id="p0", label="refund", note="money", is_gold=True)
    assert reply.json() == {}
    assert disputed.get("/api/review?kind=flags").json()["total"] == 0
    with Project.open(folder) as project:
        ruling = project.store.rulings.standing()["p0"]
        votes = project.store.annotations(ids=["p0"])
    assert (ruling.label, ruling.person, ruling.note, ruling.is_gold) == ("refund", "human:rita", "money", True)
    # A new annotation; those of the others stand as they were.
    assert [(vote.source, vote.label) for vote in votes] == [
        ("human:ann", "refund"),
        ("human:bob", "delivery"),
        ("human:rita", "refund"),
    ]
    assert disputed.call("POST", "/api/rulings", example_id="p0", label=None).json() == {}
    with Project.open(folder) as project:
        assert project.store.rulings.standing() == {}


@pytest.mark.parametrize(
    "body",
    [
        {"example_id": "nowhere", "label": "refund"},
        {"example_id": "p0", "label": "no such label"},
        {"example_id": "p0"},
    ],
)
def test_a_ruling_about_nothing_is_refused(disputed, body) -> None:
    reply = disputed.call("POST", "/api/rulings", **body)
    assert reply.status_code == 422
    assert set(reply.json()) == {"error"}


def test_a_flag_is_settled_by_the_reviewer(disputed) -> None:
    assert disputed.call("POST", "/api/flags/settle", example_id="p0").json() == {}
    assert disputed.get("/api/review?kind=flags").json()["total"] == 0
    assert disputed.call("POST", "/api/flags/settle", example_id="nowhere").status_code == 422


def test_the_dashboard_counts(disputed, person) -> None:
    ann = person("ann")
    (one, *_) = ann.get("/api/next").json()["items"]
    ann.call("POST", "/api/answers", ticket=one["id"], label="refund", seconds=2.0)
    found = disputed.get("/api/dashboard").json()
    assert found["project"] == "shop"
    assert found["progress"]["n_pool"] == 42
    assert found["progress"]["n_answers"] >= 1
