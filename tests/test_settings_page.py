from pathlib import Path

from llm_al.config import ProjectConfig
from llm_al.settings_page import render

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"


def test_the_page_in_docs_is_the_one_that_the_model_writes():
    assert PAGE.read_text(encoding="utf-8") == render()


def test_every_key_of_every_section_has_a_row():
    page = render()
    for name, field in ProjectConfig.model_fields.items():
        for key in getattr(field.annotation, "model_fields", {}):
            if (name, key) not in (("llm", "price"), ("llm", "cascade")):
                assert f"| `{name}.{key}` |" in page
