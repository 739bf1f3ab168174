"""Questions to an Argilla v2 server and answers back, over the real SDK and a fake server on loopback."""

import builtins
import socket
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from llm_al.argilla_client import KEY_ENV
from llm_al.argilla_server import pull, push
from llm_al.errors import (
    AuthenticationError,
    ConfigError,
    DataError,
    MissingExtraError,
    OverloadedError,
    ProviderUnreachableError,
    RequestError,
    UnknownNameError,
)
from llm_al.project import Project
from llm_al.types import Annotation, AnnotatorKind
from tests.fakes import shop
from tests.fakes.argilla_v2 import KEY, FakeArgilla

pytest.importorskip("argilla")

FIRST, SECOND, THIRD, FOURTH = (row["id"] for row in shop.POOL[:4])
LABEL, OTHER = tuple(shop.LABELS)[:2]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeArgilla]:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(KEY_ENV, KEY)
    with FakeArgilla() as fake:
        yield fake


@pytest.fixture
def project(make_project: Any) -> Project:
    made: Project = make_project(human={"annotator": "queue", "overlap": 2}, llm={"annotator": "none"})
    return made


def said(project: Project) -> set[tuple[str, str, str | None]]:
    pool = [row["id"] for row in shop.POOL]
    return {(a.example_id, a.source, a.label) for a in project.store.annotations(ids=pool)}


def test_a_dataset_is_made_with_labels_guidelines_and_overlap(server: FakeArgilla, project: Project) -> None:
    done = push(project, server.url, dataset="shop")
    assert str(done) == f"42 texts sent to the new dataset 'shop' of workspace 'team' at {server.url}"
    made = server.dataset("shop")
    assert (made["status"], made["distribution"]) == ("ready", {"strategy": "overlap", "min_submitted": 2})
    assert made["guidelines"].startswith("# Guidelines\n")
    assert f"- **{LABEL}**: {shop.LABELS[LABEL]}" in made["guidelines"]
    assert [(option["value"], option["text"]) for option in server.options("shop")] == [
        *((name, name) for name in shop.LABELS),
        ("none_of_these", "None of these"),
    ]
    assert [(row["external_id"], row["fields"]["text"]) for row in server.texts("shop")] == [
        (row["id"], row["text"]) for row in shop.POOL
    ]


def test_waiting_texts_go_first_come_first_with_suggestions_but_never_blind(
    server: FakeArgilla, project: Project
) -> None:
    votes = [Annotation(id_, LABEL, "model/x: §1", kind=AnnotatorKind.LLM, confidence=0.5) for id_ in (FIRST, THIRD)]
    project.store.add_annotations(votes)
    project.store.enqueue([FIRST, FOURTH], round=1, reason="unsure", priority=1.0)
    project.store.enqueue([THIRD], round=1, reason="audit", priority=2.0, is_blind=True)
    assert push(project, server.url, dataset="shop").n_texts == 3
    rows = server.texts("shop")
    assert [row["external_id"] for row in rows] == [THIRD, FIRST, FOURTH]
    proposed = [[(s["value"], s["score"], s["agent"]) for s in row["suggestions"]] for row in rows]
    assert proposed == [[], [(LABEL, 0.5, "model/x: -1")], []]


def test_metadata_goes_along(server: FakeArgilla, tmp_path: Any) -> None:
    rows = [{"id": "a", "text": "one 📦", "lang": "no"}, {"id": "b", "text": "two", "lang": "he"}]
    with Project.create(tmp_path / "meta", texts=rows, labels=["x", "y"], settings=shop.settings()) as project:
        push(project, server.url, dataset="meta")
    assert [row["metadata"] for row in server.texts("meta")] == [{"lang": "no"}, {"lang": "he"}]


def test_a_text_that_became_blind_loses_the_suggestion_that_was_sent(server: FakeArgilla, project: Project) -> None:
    project.store.add_annotations([Annotation(id_, LABEL, "gpt", kind=AnnotatorKind.LLM) for id_ in (FIRST, SECOND)])
    push(project, server.url, dataset="shop")
    assert [len(row["suggestions"]) for row in server.texts("shop")[:2]] == [1, 1]
    project.store.enqueue([FIRST], round=1, reason="audit", is_blind=True)
    done = push(project, server.url, dataset="shop")
    assert (done.n_texts, done.is_new) == (1, False)
    assert [len(row["suggestions"]) for row in server.texts("shop")[:2]] == [0, 1]


def test_responses_of_everybody_come_back_once(server: FakeArgilla, project: Project) -> None:
    project.store.enqueue([FIRST, SECOND], round=1, reason="unsure", n_wanted=2)
    push(project, server.url, dataset="shop")
    server.respond("shop", FIRST, "ann", LABEL)
    server.respond("shop", FIRST, "zoë", "none_of_these")
    server.respond("shop", SECOND, "ann", None, status="discarded")
    server.respond("shop", SECOND, "zoë", LABEL, status="draft")
    assert str(pull(project, server.url, dataset="shop")).startswith("3 labels imported, 1 passed over")
    expected = {
        (FIRST, "human:ann", LABEL),
        (FIRST, "human:zoë", "none_of_these"),
        (SECOND, "human:ann", "skip"),
    }
    assert said(project) == expected
    assert [question.example_id for question in project.store.pending()] == [SECOND]
    again = pull(project, server.url, dataset="shop")
    assert (again.n_labels, again.n_known, said(project)) == (0, 3, expected)


def test_a_changed_response_takes_the_earlier_one_back(server: FakeArgilla, project: Project) -> None:
    push(project, server.url, dataset="shop")
    for value in (LABEL, OTHER):
        server.respond("shop", FIRST, "ann", value)
        assert pull(project, server.url, dataset="shop").n_labels == 1
    assert said(project) == {(FIRST, "human:ann", OTHER)}
    history = project.store.annotation_history(FIRST)
    assert [row.label for row in history] == [LABEL, None, OTHER]
    assert history[1].retracts == history[0].row_id


def test_an_answer_tells_whether_a_suggestion_was_there(server: FakeArgilla, project: Project) -> None:
    project.store.add_annotations([Annotation(FIRST, LABEL, "gpt", kind=AnnotatorKind.LLM)])
    push(project, server.url, dataset="shop")
    for id_ in (FIRST, SECOND):
        server.respond("shop", id_, "ann", LABEL)
    pull(project, server.url, dataset="shop")
    shown = {a.example_id: a.is_suggestion_shown for a in project.store.annotations() if a.source == "human:ann"}
    assert shown == {FIRST: True, SECOND: False}


def test_what_people_have_answered_is_not_asked_again(server: FakeArgilla, project: Project) -> None:
    project.answer(FIRST, LABEL, annotator="human:ann")
    assert push(project, server.url, dataset="shop").n_texts == len(shop.POOL) - 1
    for row in shop.POOL[1:]:
        project.answer(row["id"], LABEL, annotator="human:ann")
    assert str(push(project, server.url, dataset="shop")).startswith("nothing sent: no text waits for people")


def test_many_records_are_read_page_by_page(server: FakeArgilla, tmp_path: Any) -> None:
    rows = [{"id": f"n{n}", "text": f"text number {n}"} for n in range(255)]
    with Project.create(tmp_path / "many", texts=rows, labels=["x", "y"], settings=shop.settings()) as project:
        push(project, server.url, dataset="many")
        for row in rows:
            server.respond("many", row["id"], "ann", "x")
        assert pull(project, server.url, dataset="many").n_labels == 255


def test_an_admin_who_may_not_list_all_users_is_told_the_workspace_s(
    monkeypatch: pytest.MonkeyPatch, project: Project
) -> None:
    monkeypatch.setenv(KEY_ENV, KEY)
    with FakeArgilla(role="admin") as server:
        push(project, server.url, dataset="shop")
        server.respond("shop", FIRST, "ann", LABEL)
        server.respond("shop", SECOND, str(server.me["id"]), LABEL)
        stranger = str(uuid.uuid4())
        server.respond("shop", THIRD, stranger, LABEL)
        pull(project, server.url, dataset="shop")
    assert {who for _, who, _ in said(project)} == {"human:ann", "human:boss", f"human:{stranger}"}


def test_another_dataset_s_only_question_is_read(server: FakeArgilla, project: Project) -> None:
    push(project, server.url, dataset="shop")
    (question,) = server.settings[server.dataset("shop")["id"]]["questions"]
    question["name"] = "topic"
    server.respond("shop", FIRST, "ann", LABEL, question="topic")
    assert pull(project, server.url, dataset="shop").n_labels == 1
    server.settings[server.dataset("shop")["id"]]["questions"].clear()
    with pytest.raises(ConfigError, match=r"has 0 label questions \(none\); expected one"):
        pull(project, server.url, dataset="shop")


def test_the_command_line_sends_and_fetches(llm_al: Any, server: FakeArgilla, project: Project) -> None:
    place = ("--format", "argilla", "--dataset", "shop", "--workspace", "team")
    sent = llm_al("export", project.folder, "--to", server.url, *place)
    assert sent.stdout.replace("\n", " ").startswith("42 texts sent to the new dataset 'shop' of workspace 'team' at")
    server.respond("shop", FIRST, "ann", LABEL)
    got = llm_al("import", project.folder, "--labels", server.url, *place)
    assert got.stdout == "1 labels imported\n"
    assert KEY not in sent.output + got.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--to", "http://localhost:6900"), "give --format argilla and --dataset NAME"),
        (("--to", "http://localhost:6900", "--format", "prodigy", "--dataset", "d"), "give --format argilla"),
        (("--to", "http://localhost:6900", "--format", "argilla"), "give --format argilla and --dataset NAME"),
        (("--to", "a.json", "--format", "argilla", "--dataset", "d"), "belong to an Argilla server; give its URL"),
    ],
)
def test_half_a_server_is_refused(llm_al: Any, project: Project, arguments: tuple[str, ...], message: str) -> None:
    refused = llm_al("export", project.folder, *arguments)
    assert refused.exit_code == 2
    assert message in refused.stderr.replace("\n", " ")


def test_a_label_that_the_project_has_not_imports_nothing(server: FakeArgilla, project: Project) -> None:
    push(project, server.url, dataset="shop")
    server.respond("shop", FIRST, "ann", LABEL)
    server.respond("shop", SECOND, "ann", "weather")
    message = rf"dataset 'shop' at {server.url}: unknown label 'weather' of '{SECOND}'; choose from: delivery, refund"
    with pytest.raises(DataError, match=message):
        pull(project, server.url, dataset="shop")
    server.respond("shop", SECOND, "ann", [LABEL, OTHER])
    with pytest.raises(DataError, match="several labels"):
        pull(project, server.url, dataset="shop")
    assert said(project) == set()


def test_a_text_that_the_project_has_not_imports_nothing(server: FakeArgilla, project: Project) -> None:
    push(project, server.url, dataset="shop")
    server.respond("shop", FIRST, "ann", LABEL)
    server.texts("shop")[0].update(external_id="who", fields={"text": "unheard of"})
    with pytest.raises(DataError, match="the project has no text with the id 'who'"):
        pull(project, server.url, dataset="shop")


def test_unknown_workspaces_and_datasets_are_refused(monkeypatch: pytest.MonkeyPatch, project: Project) -> None:
    monkeypatch.setenv(KEY_ENV, KEY)
    with FakeArgilla(workspaces=("team", "other")) as server:
        with pytest.raises(UnknownNameError, match="has 2 workspaces and none was named; choose from: other, team"):
            push(project, server.url, dataset="shop")
        with pytest.raises(UnknownNameError, match="has no workspace 'x'; choose from: other, team"):
            pull(project, server.url, dataset="shop", workspace="x")
        with pytest.raises(UnknownNameError, match="has no dataset 'shop'; choose from: none"):
            pull(project, server.url, dataset="shop", workspace="team")


def test_a_dataset_with_another_question_is_refused(server: FakeArgilla, project: Project, tmp_path: Any) -> None:
    settings = shop.settings(human={"annotator": "queue"})
    with Project.create(tmp_path / "z", texts=["a", "b"], labels=["x", "y"], settings=settings) as other:
        push(other, server.url, dataset="shop")
    with pytest.raises(ConfigError, match="is there already and lacks the labels delivery, refund, product in a"):
        push(project, server.url, dataset="shop")
    push(project, server.url, dataset="mine")
    server.settings[server.dataset("mine")["id"]]["fields"][0]["name"] = "prompt"
    with pytest.raises(ConfigError, match="lacks a field 'text'; give another --dataset"):
        push(project, server.url, dataset="mine")


def test_a_wrong_key_is_told_without_repeating_it(
    server: FakeArgilla, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_ENV, "secret-but-wrong")
    with pytest.raises(AuthenticationError, match=f"refuses the key in {KEY_ENV}; copy") as error:
        push(project, server.url, dataset="shop")
    assert "secret-but-wrong" not in str(error.value)
    monkeypatch.setenv(KEY_ENV, "two\nlines")
    with pytest.raises(ConfigError, match="holds characters that no key has"):
        push(project, server.url, dataset="shop")
    monkeypatch.delenv(KEY_ENV)
    with pytest.raises(ConfigError, match=f"{KEY_ENV} is not set; let it hold the key"):
        push(project, server.url, dataset="shop")


def test_an_annotator_s_key_cannot_make_a_dataset(monkeypatch: pytest.MonkeyPatch, project: Project) -> None:
    monkeypatch.setenv(KEY_ENV, KEY)
    with (
        FakeArgilla(role="annotator") as server,
        pytest.raises(AuthenticationError, match=r"may not do this at .*; use the key of an owner"),
    ):
        push(project, server.url, dataset="shop")


@pytest.mark.parametrize(
    ("status", "kind", "message"),
    [
        (500, OverloadedError, r"failed with status 500 \(.*ordered.*\); run again later"),
        (429, OverloadedError, "failed with status 429"),
        (422, RequestError, "refused the request: .*ordered.*; correct what it names"),
        (404, RequestError, "does not know what it was asked for"),
    ],
)
def test_a_refusal_is_one_clear_error(
    server: FakeArgilla, project: Project, status: int, kind: type[Exception], message: str
) -> None:
    server.fault = status
    with pytest.raises(kind, match=message) as error:
        push(project, server.url, dataset="shop")
    assert "\n" not in str(error.value)


def test_a_server_that_is_not_there_or_another_one_is_told(
    server: FakeArgilla, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ProviderUnreachableError, match=rf"no Argilla server answers at {url} \(ConnectError\)"):
            pull(project, url, dataset="shop")
    monkeypatch.setattr(server, "answer", lambda *_: ["no", "user"])
    with pytest.raises(RequestError, match="is no Argilla v2 server, or one that the installed SDK"):
        pull(project, server.url, dataset="shop")


@pytest.mark.parametrize("url", ["ftp://host", "http://", "http://me:secret@host", "http://[", "http://host:0"])
def test_an_address_that_cannot_be_one_is_refused_unrepeated(server: FakeArgilla, project: Project, url: str) -> None:
    with pytest.raises(ConfigError, match="it must start with http:// or https://, name a host") as error:
        push(project, url, dataset="shop")
    assert "secret" not in str(error.value)


def test_a_key_in_the_clear_is_warned_of(
    server: FakeArgilla, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    import llm_al.argilla_server as room

    monkeypatch.setattr(room, "is_local", lambda _url: False)
    push(project, server.url, dataset="shop")
    assert any("is not encrypted: the key in ARGILLA_API_KEY" in note for note in project.notes)


def test_without_the_sdk_the_extra_is_named(
    server: FakeArgilla, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = builtins.__import__

    def absent(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.split(".")[0] == "argilla":
            raise ModuleNotFoundError(name)
        return load(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(MissingExtraError, match=r'pip install "llm_al\[argilla\]"'):
        push(project, server.url, dataset="shop")
