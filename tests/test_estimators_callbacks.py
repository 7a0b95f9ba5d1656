"""Callbacks of estimators: fastnn's own and scikit-learn's."""

# ---- callbacks ----------------------------------------------------------------------------------

callbacks = pytest.mark.skipif(VERSION < (1, 9), reason="scikit-learn has callbacks from 1.9 on")


class Recorder:
    """What a callback hears."""

    def __init__(self, stop_after=None, fail_at=None):
        self.events, self.stop_after, self.fail_at = [], stop_after, fail_at

    def setup(self, estimator, context):
        self.events.append("setup")

    def teardown(self, estimator, context):
        self.events.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.events.append(f"begin {context.task_name}")

    def on_fit_task_end(self, estimator, context, *, X, y, fitted_estimator):
        steps = sum(event.startswith("end") for event in self.events)
        if self.fail_at == steps:
            raise RuntimeError("no more")
        score = None if fitted_estimator is None else fitted_estimator.score(X, y)
        self.events.append(f"end {context.task_name}")
        self.score = score
        return steps + 1 == self.stop_after


@callbacks
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_callbacks_hear_of_every_step(solver):
    X, y = load_iris(return_X_y=True)
    recorder = Recorder()
    mlp = fastnn.MLPClassifier(solver=solver, max_iter=6, random_state=0)
    mlp.set_callbacks(recorder).fit(X, y)
    name = "iteration" if solver == "lbfgs" else "epoch"
    assert recorder.events == [
        "setup", "begin fit", *[f"begin {name}", f"end {name}"] * 6, "end fit", "teardown"
    ]  # fmt: skip
    assert recorder.score == mlp.score(X, y)
    alone = fastnn.MLPClassifier(solver=solver, max_iter=6, random_state=0).fit(X, y)
    np.testing.assert_array_equal(mlp.predict_proba(X), alone.predict_proba(X))
    pickle.dumps(mlp.set_callbacks())


@callbacks
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_callbacks_stop_and_fail(solver):
    X, y = load_iris(return_X_y=True)
    mlp = fastnn.MLPClassifier(solver=solver, max_iter=50, random_state=0)
    mlp.set_callbacks(Recorder(stop_after=4)).fit(X, y)
    assert mlp.n_iter_ == 4
    short = fastnn.MLPClassifier(solver=solver, max_iter=4, random_state=0).fit(X, y)
    np.testing.assert_allclose(mlp.predict_proba(X), short.predict_proba(X), rtol=1e-12)
    recorder = Recorder(fail_at=3)
    mlp.set_callbacks(recorder)
    with pytest.raises(RuntimeError, match="no more"):
        mlp.fit(X, y)
    assert recorder.events[-1] == "teardown"
    assert mlp.predict(X).shape == (150,)


@callbacks
def test_scikit_learns_own_callbacks():
    pytest.importorskip("rich")
    from sklearn.callback import ProgressBar, ScoringMonitor

    X, y = load_iris(return_X_y=True)
    monitor = ScoringMonitor(scoring="accuracy")
    mlp = fastnn.MLPClassifier(max_iter=5, random_state=0)
    mlp.set_callbacks(monitor, ProgressBar()).fit(X, y)
    scores = [row["accuracy"] for row in monitor.get_logs().data]
    assert len(scores) == 6  # five epochs, and the fit
    assert scores[-1] == mlp.score(X, y)
