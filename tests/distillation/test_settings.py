from typing import Any

import pytest

from llm_al.distillation.settings import DistilSettings, read_settings
from llm_al.errors import ConfigError


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"student": "setfit"}, "the small student is 'setfit'; choose from: head, transformer"),
        ({"n_teachers": 0}, "distillation n_teachers is 0; it must be at least 1"),
        ({"max_rows": -1}, "distillation max_rows is -1; it must be at least 1"),
        ({"n_layers": 0}, "distillation n_layers is 0; it must be at least 1"),
        ({"human_weight": 0.0}, r"distillation human_weight is 0\.0; it must be above 0"),
        ({"student": "head", "n_layers": 2}, "n_layers belongs to a transformer; .* leave n_layers out"),
        ({"n_techers": 2}, "distillation has no option 'n_techers'; allowed: human_weight, max_rows, model, n_layers"),
    ],
)
def test_settings_that_cannot_be_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_settings(options)


def test_what_is_not_said_is_the_default() -> None:
    assert read_settings({"n_teachers": 2}) == DistilSettings(n_teachers=2)
