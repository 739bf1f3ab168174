from llm_al.project import Project
from llm_al.web.label_routes import keys_for
from tests.fakes import shop


def test_the_scheme_has_a_key_for_each_label(alone) -> None:
    found = alone.get("/api/scheme").json()
    assert [(label["name"], label["key"]) for label in found["labels"]] == [
        ("delivery", "1"),
        ("refund", "2"),
        ("product", "3"),
    ]
    assert found["labels"][0]["description"] == shop.LABELS["delivery"]
    assert (found["is_open"], found["project"], found["suggestions"]) == (True, "shop", "shown")
    assert found["person"] == {"name": "me", "role": "owner"}


def test_keys_are_digits_then_letters_that_mean_nothing_else() -> None:
    keys = keys_for(77)
    assert keys[:11] == [*"123456789", "a", "b"]
    assert not set("xugfn") & set(keys)
    assert len(keys) == 77
    assert len({key for key in keys if key}) == 30


def test_the_next_questions_come_and_stay(alone) -> None:
    first = alone.get("/api/next").json()
    assert [item["example_id"] for item in first["items"]] == ["p0", "p1", "p2"]
    assert first["standing"]["waiting"] == 12
    assert first["standing"]["state"] == "ok"
    have = ",".join(str(item["id"]) for item in first["items"])
    assert alone.get("/api/next", params={"have": have}).json()["items"] == []


def test_an_answer_is_in_the_store_before_the_next_question_comes(alone, folder) -> None:
    one, two, *_ = alone.get("/api/next").json()["items"]
    given = {"label": "delivery", "seconds": 1.5, "note": "clear", "is_suggestion_shown": False, "form": "list"}
    reply = alone.call("POST", "/api/answers", ticket=one["id"], have=[two["id"]], **given)
    assert reply.status_code == 200
    assert [item["example_id"] for item in reply.json()["items"]] == ["p2", "p3"]
    assert reply.json()["standing"]["mine"] == 1
    with Project.open(folder) as project:
        (kept,) = project.store.annotations(ids=["p0"])
    assert (kept.label, kept.source, kept.duration_s, kept.form) == ("delivery", "human:me", 1.5, "list")


def test_undo_gives_the_question_back(alone) -> None:
    one, *_ = alone.get("/api/next").json()["items"]
    alone.call("POST", "/api/answers", ticket=one["id"], label="refund")
    undone = alone.call("POST", "/api/undo", ticket=one["id"]).json()
    assert undone["item"]["id"] == one["id"]
    assert undone["standing"]["mine"] == 0
    assert alone.get("/api/history").json() == {"answers": []}


def test_history_is_newest_first_with_notes(alone) -> None:
    one, two, *_ = alone.get("/api/next").json()["items"]
    alone.call("POST", "/api/answers", ticket=one["id"], label="refund", note="a note")
    alone.call("POST", "/api/answers", ticket=two["id"], label="skip")
    past = alone.get("/api/history?n=10").json()["answers"]
    assert [(item["ticket"], item["label"], item["note"]) for item in past] == [
        (two["id"], "skip", ""),
        (one["id"], "refund", "a note"),
    ]


def test_bulk_answers_are_kept_all_or_none(alone) -> None:
    one, two, *_ = alone.get("/api/next").json()["items"]
    replies = [
        {"ticket": one["id"], "label": "refund", "form": "bulk"},
        {"ticket": two["id"], "label": "no such label"},
    ]
    assert alone.call("POST", "/api/bulk", replies=replies).status_code == 422
    assert alone.get("/api/history").json() == {"answers": []}
    replies[1]["label"] = "refund"
    assert alone.call("POST", "/api/bulk", replies=replies).json()["standing"]["mine"] == 2


def test_a_flag_is_kept_with_its_note(alone, folder) -> None:
    one, *_ = alone.get("/api/next").json()["items"]
    assert alone.call("POST", "/api/flags", ticket=one["id"], note="who speaks?").json() == {}
    with Project.open(folder) as project:
        (flag,) = project.store.flags.open()
    assert (flag.example_id, flag.note) == ("p0", "who speaks?")


def test_an_unknown_label_is_refused_in_one_sentence(alone) -> None:
    one, *_ = alone.get("/api/next").json()["items"]
    reply = alone.call("POST", "/api/answers", ticket=one["id"], label="no such label")
    assert reply.status_code == 422
    assert set(reply.json()) == {"error"}


def test_a_question_that_is_not_mine_is_gone(alone) -> None:
    reply = alone.call("POST", "/api/answers", ticket=99999, label="refund")
    assert reply.status_code == 409
    assert set(reply.json()) == {"error"}


def test_two_people_get_different_questions(person) -> None:
    ann, bob = person("ann"), person("bob")
    hers, his = ann.get("/api/next").json()["items"], bob.get("/api/next").json()["items"]
    assert not {item["example_id"] for item in hers} & {item["example_id"] for item in his}
    stolen = bob.call("POST", "/api/answers", ticket=hers[0]["id"], label="refund")
    assert stolen.status_code == 409
    assert ann.get("/api/scheme").json()["person"] == {"name": "ann", "role": "annotator"}


def test_logging_out_gives_questions_back(person) -> None:
    ann, bob = person("ann"), person("bob")
    first = ann.get("/api/next").json()["items"][0]["example_id"]
    assert (
        ann.form(
            "/logout",
            "/",
        ).headers["location"]
        == "/login"
    )
    assert ann.get("/api/next").status_code == 401
    assert bob.get("/api/next").json()["items"][0]["example_id"] == first
