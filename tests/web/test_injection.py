"""Texts, labels, notes and names that try to be markup: pages get them escaped, scripts as JSON."""

import json
import re
import shutil
from html.parser import HTMLParser

import pytest

from llm_al.project import Project
from llm_al.store.people import Person
from llm_al.web.app import create_app
from llm_al.web.markdown import to_html
from llm_al.web.settings import WebSettings
from tests.fakes import shop

ATTACKS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'-alert(1)-'",
    "</title><svg/onload=alert(1)>",
    "{{ 7777 * 7777 }}{% raw %}",
    "javascript:alert(1)",
    "<!--<script>-->",
    "\u2028\u2029</script>",
]
PAGES = ["/", "/review", "/dashboard", "/guidelines", "/people"]


class Elements(HTMLParser):
    """Collects what a browser would act on."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.acting: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs) -> None:
        values = {name: value or "" for name, value in attrs}
        ours = all(values[name].startswith("/") for name in ("src", "href", "action", "formaction") if name in values)
        # Links to places within a page are no danger.
        ours = ours or values.get("href", "").startswith("#")
        handlers = [name for name in values if name.startswith("on") or name in ("style", "srcdoc")]
        is_inline = (tag == "script" and "src" not in values) or tag in (
            "style",
            "svg/onload",
            "iframe",
            "object",
            "base",
        )
        if not ours or handlers or is_inline:
            self.acting.append(str(self.get_starttag_text()))


def is_tame(page: str) -> bool:
    """Whether a page has no script, handler, style or address but those of its templates."""
    return not Elements(page).acting and "60481729" not in page


@pytest.fixture
def hostile(tmp_path):
    """A project whose name, labels and texts are attacks."""
    texts = [{"id": f"a{n}", "text": f"{attack} {n}"} for n, attack in enumerate(ATTACKS)]
    labels = {attack: f"means {attack}" for attack in ATTACKS[:4]}
    folder = tmp_path / "hostile"
    human = {"annotator": "queue", "gold": None, "gold_rate": 0.0, "re_ask_rate": 0.0}
    settings = shop.settings(human=human, name=ATTACKS[1])
    with Project.create(folder, texts=texts, labels=labels, settings=settings) as project:
        project.store.enqueue([row["id"] for row in texts], round=0, reason=ATTACKS[0])
        (folder / "guidelines.md").write_text("\n\n".join(ATTACKS), encoding="utf-8")
    return folder


@pytest.fixture
def site(hostile, open_site, monkeypatch):
    from tests.web.conftest import HERE, Visit

    with Visit(create_app(hostile, WebSettings(annotator=ATTACKS[1], key="k")), base_url=HERE) as visit:
        yield visit


@pytest.mark.parametrize("path", PAGES)
def test_stored_attacks_are_text_on_every_page(site, path) -> None:
    page = site.get(path)
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert is_tame(page.text)
    assert "&lt;img src=x onerror=alert(1)&gt;" in page.text


def test_attacks_travel_as_json_that_no_browser_takes_for_a_page(site) -> None:
    for path in ("/api/scheme", "/api/next?n=8", "/api/guidelines", "/api/history"):
        reply = site.get(path, headers={"Accept": "text/html"})
        assert reply.headers["content-type"] == "application/json"
        assert reply.headers["x-content-type-options"] == "nosniff"
    items = site.get("/api/next?n=8").json()["items"]
    assert [item["text"] for item in items] == [f"{attack} {n}" for n, attack in enumerate(ATTACKS)]
    scheme = site.get("/api/scheme").json()
    assert [label["name"] for label in scheme["labels"]] == ATTACKS[:4]


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_note_comes_back_as_it_was_typed(site, attack) -> None:
    (one, *_) = site.get("/api/next").json()["items"]
    assert site.call("POST", "/api/answers", ticket=one["id"], label=ATTACKS[0], note=attack).status_code == 200
    assert site.call("POST", "/api/flags", ticket=one["id"], note=attack).status_code == 200
    reply = site.get("/api/history")
    assert reply.json()["answers"][0]["note"] == attack
    assert all(is_tame(site.get(path).text) for path in PAGES)


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize(
    "path",
    ["/nothing/{}", "/invite/{}", "/login?next={}", "/login?token={}", "/api/next?have={}", "/exports/{}", "/{}"],
)
def test_nothing_of_an_address_becomes_markup(staffed, path, attack) -> None:
    from urllib.parse import quote

    for accept in ("text/html", "*/*"):
        reply = staffed.get(path.format(quote(attack, safe="")), headers={"Accept": accept})
        assert reply.status_code < 500
        assert is_tame(reply.text) or reply.headers["content-type"] == "application/json"


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_of_a_form_becomes_markup(staffed, attack) -> None:
    reply = staffed.form("/login", name=attack, password=attack, next=attack)
    assert reply.status_code == 401
    assert is_tame(reply.text)
    token = staffed.app.state.site.roster.invite("annotator", by="olga")
    reply = staffed.form(f"/invite/{token}", name=attack, password="x" * 12 + "y", password_again="x" * 12 + "y")
    assert is_tame(reply.text)


def test_a_name_that_got_in_by_another_way_is_text_as_well(staffed, person) -> None:
    store = staffed.app.state.site.project.store
    kept = store.people.find("olga").password
    for attack in ATTACKS:
        store.people.add(Person(attack, "owner", password=kept))
    visit = person(ATTACKS[1])
    assert all(is_tame(visit.get(path).text) for path in PAGES)
    assert {row["name"] for row in visit.get("/api/people").json()["people"]} >= set(ATTACKS)


@pytest.mark.parametrize("name", [attack for attack in ATTACKS if attack != "javascript:alert(1)"])
def test_such_names_are_refused_at_the_door(person, name) -> None:
    olga = person("olga")
    assert olga.call("POST", "/api/invites", role="annotator", name=name).status_code == 422


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("frame", ["{}", "# {}", "- {}", "**{}**", "`{}`", "```\n{}\n```", "1. {}", "*{}*"])
def test_guidelines_hold_no_markup_of_their_author(frame, attack) -> None:
    html = to_html(frame.format(attack))
    tags = re.findall(r"<[^>]*>", html)
    allowed = r"</?(h[1-6]|p|ul|ol|li|strong|em|code|pre)>"
    assert all(re.fullmatch(allowed, tag) for tag in tags)


def test_json_cannot_end_a_script_or_a_line(site) -> None:
    body = site.get("/api/next?n=8").content
    assert json.loads(body)["items"][7]["text"].startswith("\u2028")


def test_a_project_may_be_copied_with_all_of_it(hostile, tmp_path) -> None:
    shutil.copytree(hostile, tmp_path / "copy")
    with Project.open(tmp_path / "copy") as project:
        assert project.config.name == ATTACKS[1]
