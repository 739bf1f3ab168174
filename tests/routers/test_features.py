import numpy as np
import pytest

from llm_al.routers.evidence import Evidence
from llm_al.routers.features import FeatureColumns


def case(label: str | None = "x", **fields: object) -> Evidence:
    return Evidence("a", label, 0.7, 3, 3, **fields)  # type: ignore[arg-type]


def tail(columns: FeatureColumns, *cases: Evidence) -> list[list[float]]:
    """The columns of voters and classes, behind those of signals."""
    n_signals = FeatureColumns().matrix(cases).shape[1]
    return columns.matrix(cases)[:, n_signals:].tolist()


def test_a_voter_speaks_for_or_against_the_label_or_not_at_all() -> None:
    columns = FeatureColumns(voters=("p", "q", "r"))
    (row,) = tail(columns, case(votes={"p": "x", "q": "y"}))
    assert row == [1.0, -1.0, 0.0, 0.0, 0.0, 0.0]


def test_a_voters_confidence_is_signed_by_its_vote() -> None:
    columns = FeatureColumns(voters=("p", "q"))
    (row,) = tail(columns, case(votes={"p": "x", "q": "y"}, confidences={"p": 0.9, "q": 0.9}))
    assert row[2:] == pytest.approx([np.log(9), -np.log(9)])


def test_a_model_speaks_by_its_share() -> None:
    columns = FeatureColumns(models=("m", "n"))
    assert tail(columns, case(model_shares={"m": 0.75})) == [[0.5, 0.0]]


def test_classes_are_one_hot_and_an_unseen_one_is_none_of_them() -> None:
    columns = FeatureColumns(classes=("x", "y"))
    assert tail(columns, case("y"), case("new"), case(None)) == [[0, 1], [0, 0], [0, 0]]


def test_only_what_is_unknown_is_nan() -> None:
    bare = FeatureColumns().matrix([case()])
    full = FeatureColumns().matrix(
        [
            case(
                confidence=0.5, student_label="x", student_proba=0.5, student_rival=0.5, neighbour_share=0.0,
                neighbour_rival=0.0, prompt_agreement=0.5, model_agreement=0.5, proba_margin=0.0, proba_entropy=0.0,
                signals=dict.fromkeys(("token_probability", "invalid_mass", "verbalised", "p_true"), 0.5),
            )
        ]
    )  # fmt: skip
    assert np.isnan(bare).sum() == 14
    assert not np.isnan(full).any()


def test_a_voter_that_hardly_ever_answers_gets_no_column() -> None:
    cases = [case(votes={"p": "x", "q": "x", **({"rare": "x"} if i == 0 else {})}) for i in range(100)]
    assert FeatureColumns.of(cases).voters == ("p", "q")


def test_a_lone_voter_always_agrees_with_itself_and_gets_no_column() -> None:
    assert FeatureColumns.of([case(votes={"p": "x"})] * 10).voters == ()
