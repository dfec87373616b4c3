"""The classifier of scikit-learn's kind: its own checks, a pipeline, a search."""

import numpy as np
import pytest

from adjoint.training import Population

datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn is not installed")
estimator_checks = pytest.importorskip("sklearn.utils.estimator_checks")
selection = pytest.importorskip("sklearn.model_selection")
pipeline = pytest.importorskip("sklearn.pipeline")
preprocessing = pytest.importorskip("sklearn.preprocessing")
estimators = pytest.importorskip("adjoint.sklearn")


def quick(**changes):
    return estimators.SpikingClassifier(
        **({"hidden": (20,), "epochs": 30, "random_state": 0} | changes)
    )


@pytest.mark.slow
def test_it_keeps_to_the_rules_of_estimators():
    estimator_checks.check_estimator(quick(), on_skip=None)


def test_moons_are_told_apart_in_a_pipeline():
    values, labels = datasets.make_moons(300, noise=0.1, random_state=0)
    names = np.array(["lower", "upper"])[labels]
    made = pipeline.make_pipeline(
        preprocessing.StandardScaler(), quick(encoder=Population(8, 20.0), duration=40.0)
    )
    made.fit(values[:200], names[:200])
    assert made.score(values[200:], names[200:]) > 0.9
    odds = made.predict_proba(values[200:])
    np.testing.assert_allclose(odds.sum(axis=1), 1.0, rtol=1e-12)
    np.testing.assert_array_equal(
        made[-1].classes_[odds.argmax(axis=1)], made.predict(values[200:])
    )


def test_a_search_over_its_parameters():
    values, labels = datasets.make_blobs(60, centers=3, random_state=0)
    grid = {"hidden": [(10,), (20, 10)]}
    search = selection.GridSearchCV(quick(epochs=80, batch=8), grid, cv=2).fit(values, labels)
    assert search.best_params_["hidden"] in [(10,), (20, 10)]
    assert search.best_score_ > 0.7


def test_the_same_seed_gives_the_same_bits():
    values, labels = datasets.make_blobs(40, centers=2, random_state=0)
    one, two = (quick(epochs=3, threads=t).fit(values, labels) for t in (1, 2))
    np.testing.assert_array_equal(one.model_.network.weight, two.model_.network.weight)
    assert one.n_iter_ == len(one.history_.loss) == 3


def test_one_class_is_refused():
    with pytest.raises(ValueError, match="y has one class, 'a'; expected samples of two or more"):
        quick().fit([[0.0], [1.0]], ["a", "a"])
