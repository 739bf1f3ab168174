import numpy as np
import pytest
from scipy.special import expit

from llm_al.routers.logistic import Logistic, fit_logistic


def planted(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two features of which the first decides, and a one-hot class of no effect."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    onehot = (rng.random((n, 1)) < 0.1).astype(float)
    return np.hstack([x, onehot]), (rng.random(n) < expit(2.0 * x[:, 0] - 0.5)).astype(float)


def test_a_planted_effect_is_found() -> None:
    features, y = planted(4000)
    fitted = fit_logistic(features, y, np.ones(len(y)), n_classes=1)
    test, _ = planted(500, seed=1)
    np.testing.assert_allclose(fitted.predict(test), expit(2.0 * test[:, 0] - 0.5), atol=0.08)


def test_an_unknown_feature_counts_as_average_with_an_effect_of_its_own() -> None:
    features, y = planted(4000)
    is_unknown = np.random.default_rng(5).random(4000) < 0.3
    y[is_unknown] = np.random.default_rng(6).random(int(is_unknown.sum())) < 0.9
    features[is_unknown, 0] = np.nan
    fitted = fit_logistic(features, y, np.ones(len(y)), n_classes=1)
    assert fitted.predict(np.array([[np.nan, 0.0, 0.0]]))[0] == pytest.approx(0.9, abs=0.03)


def test_a_feature_that_was_never_unknown_may_be_unknown_later() -> None:
    features, y = planted(500)
    p = fit_logistic(features, y, np.ones(len(y)), n_classes=1).predict(np.full((1, 3), np.nan))
    assert 0.2 < p[0] < 0.7


def test_a_constant_feature_does_no_harm() -> None:
    features, y = planted(300)
    features[:, 1] = 7.0
    p = fit_logistic(features, y, np.ones(len(y)), n_classes=1).predict(features)
    assert np.isfinite(p).all()


def test_the_identity_recalibration_changes_nothing_and_a_slope_does() -> None:
    plain = Logistic((0.0,), (1.0,), (1.0, 0.0), (0.0,))
    features = np.array([[-3.0], [0.0], [2.0]])
    np.testing.assert_allclose(plain.predict(features), expit(features[:, 0]), atol=1e-9)
    # a = b = 2 doubles the logit.
    steep = Logistic((0.0,), (1.0,), (1.0, 0.0), (0.0,), (2.0, 2.0, 0.0))
    np.testing.assert_allclose(steep.predict(features), expit(2 * features[:, 0]), atol=1e-9)


def test_recalibration_keeps_the_order_of_scores() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 1))
    # Never surer than 70 %: no logistic curve has this shape.
    y = (rng.random(2000) < np.clip(0.3 + 0.2 * (x[:, 0] > 0), 0, 0.7)).astype(float)
    fitted = fit_logistic(x, y, np.ones(2000), n_classes=0)
    p = fitted.predict(np.sort(x, axis=0))
    assert (np.diff(p) >= 0).all() or (np.diff(p) <= 0).all()


def test_rows_with_weight_two_count_twice() -> None:
    features, y = planted(400)
    weights = np.where(y == 1, 2.0, 1.0)
    weighted = fit_logistic(features, y, weights / weights.mean(), n_classes=1).predict(features)
    plain = fit_logistic(features, y, np.ones(400), n_classes=1).predict(features)
    assert weighted.mean() > plain.mean() + 0.05
