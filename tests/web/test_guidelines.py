import pytest


def test_guidelines_come_as_source_and_as_html(alone, folder) -> None:
    (folder / "guidelines.md").write_text("# Rules\n\n- <b>one</b>", encoding="utf-8")
    assert alone.get("/api/guidelines").json() == {
        "text": "# Rules\n\n- <b>one</b>",
        "html": "<h1>Rules</h1>\n<ul><li>&lt;b&gt;one&lt;/b&gt;</li></ul>",
    }


def test_the_owner_replaces_them_as_a_whole(person, folder) -> None:
    olga, ann = person("olga"), person("ann")
    assert olga.call("PUT", "/api/guidelines", text="Neu: é 李").json() == {
        "text": "Neu: é 李",
        "html": "<p>Neu: é 李</p>",
    }
    assert (folder / "guidelines.md").read_text(encoding="utf-8") == "Neu: é 李"
    assert ann.get("/api/guidelines").json()["text"] == "Neu: é 李"
    assert "Neu: é 李" in ann.get("/guidelines").text
    assert not list(folder.glob(".guidelines*"))


@pytest.mark.parametrize("text", ["x" * 200_001, "a\0b", "\ud800", None, 7])
def test_what_is_no_page_is_refused(alone, folder, text) -> None:
    before = (folder / "guidelines.md").read_bytes()
    body = '{"text": "\\ud800"}' if text == "\ud800" else None
    headers = {"X-CSRF-Token": alone.csrf_of(), "Content-Type": "application/json"}
    if body is not None:
        reply = alone.put("/api/guidelines", content=body, headers=headers)
    else:
        reply = alone.put("/api/guidelines", json={"text": text}, headers=headers)
    assert reply.status_code == 422
    assert (folder / "guidelines.md").read_bytes() == before


def test_without_a_page_there_is_an_empty_one(alone, folder) -> None:
    (folder / "guidelines.md").unlink()
    assert alone.get("/api/guidelines").json() == {"text": "", "html": ""}
