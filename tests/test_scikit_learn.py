"""scikit-learn's own checks, for naive Bayes as a classifier and as a density. No failure is expected."""

from sklearn.utils.estimator_checks import parametrize_with_checks

from begat import NaiveBayes


@parametrize_with_checks([NaiveBayes(), NaiveBayes(task="classification"), NaiveBayes(task="density")])
def test_scikit_learn(estimator, check):
    check(estimator)
