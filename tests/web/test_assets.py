from pathlib import Path

import pytest

from llm_al.web.assets import Assets


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "static"
    (folder / "parts").mkdir(parents=True)
    (folder / "page.js").write_text("import './parts/a.js'")
    (folder / "parts" / "a.js").write_text("1")
    (folder / "look.css").write_text("p{}")
    (folder / "icon.svg").write_text("<svg/>")
    (folder / ".hidden").write_text("x")
    (folder / "__init__.py").write_text("x")
    return folder


@pytest.fixture
def site(alone, files):
    from dataclasses import replace

    alone.app.state.site = replace(alone.app.state.site, assets=Assets(files))
    return alone


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("page.js", "text/javascript; charset=utf-8"),
        ("parts/a.js", "text/javascript; charset=utf-8"),
        ("look.css", "text/css; charset=utf-8"),
        ("icon.svg", "image/svg+xml; charset=utf-8"),
    ],
)
def test_files_come_with_their_type_and_are_asked_for_again(site, path, kind) -> None:
    found = site.get(f"/static/{path}")
    assert (found.status_code, found.headers["content-type"]) == (200, kind)
    assert found.headers["cache-control"] == "no-cache"
    again = site.get(f"/static/{path}", headers={"If-None-Match": found.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_a_versioned_address_is_kept_for_ever(site) -> None:
    version = site.app.state.site.assets.version
    found = site.get(f"/static/v-{version}/parts/a.js")
    assert found.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert site.get(f"/static/v-{'0' * 12}/parts/a.js").headers["cache-control"] == "no-cache"


def test_the_version_changes_with_any_file(files) -> None:
    before = Assets(files).version
    assert Assets(files).version == before
    (files / "parts" / "a.js").write_text("2")
    assert Assets(files).version != before


@pytest.mark.parametrize(
    "path",
    [
        ".hidden",
        "__init__.py",
        "..%2fstatic/page.js",
        "%2e%2e/static/page.js",
        "parts",
        "parts/",
        "",
        "/page.js",
        "none.js",
    ],
)
def test_nothing_else_is_found(site, path) -> None:
    assert site.get(f"/static/{path}").status_code == 404
