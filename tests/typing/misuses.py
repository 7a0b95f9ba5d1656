"""A program with misuses, one in each line marked `# error`: type checkers report each of them.

tests/test_typing.py checks it. It is not run.
"""

import numpy as np

import fastnn
from fastnn import (
    BaggedMLPClassifier,
    BaggedMLPRegressor,
    MLPClassifier,
    MLPRegressor,
    Network,
    NetworkEnsemble,
)
from fastnn.callbacks import Callback, Recorder, ValidationLoss
from fastnn.plotting import ActivationDisplay, animate
from fastnn.tutorial import activation, create_nn, l2_cost, sigm, train

X, y = np.zeros((4, 2)), np.zeros(4)
net = Network([2, 4, 1])

# names
net.fit(X, y, solver="adma")  # error
net.partial_fit(X, y, solver="newton")  # error
Network([2, 4, 1], "rleu")  # error
Network([2, 4, 1], ["tanh", "sigmod"])  # error
Network([2, 4, 1], out_activation="logits")  # error
Network([2, 4, 1], loss="binary_crossentropy")  # error
Network([2, 4, 1], loss="huber", delta="1")  # error
Network([2, 4, 1], loss=(np.abs,))  # error
Network([2, 4, 1], init="xavier")  # error
Network.from_params(np.zeros(3), [2, 1], "sigmoid", loss="squared")  # error
activation("rleu")  # error
ActivationDisplay.from_names("tanh", "rleu")  # error
print(fastnn.callbacks.EarlyStopping)  # error

# arguments
Network(4)  # error
Network([2, 4, 1], dtype="float16")  # error
Network([2, 4, 1], dtype=np.int64)  # error
Network([2, 4, 1], hidden_layer_sizes=(4,))  # error
Network([2, 4, 1], random_state="0")  # error
net.fit(X)  # error
net.fit(X, y, epochs=10)  # error
net.fit(X, y, max_iter="100")  # error
net.fit(X, y, batch_size="full")  # error
net.loss(X, y, 0.1)  # error
net.fit(X, y, weights=y)  # error
net.fit(X, y, validation_data=(X, y))  # error
net.fit(X, y, X_val=X, y_val=y, scoring=0.5)  # error
net.fit(X, y, X_val=X, y_val=y, n_iter_no_change=0.5)  # error

# attributes
print(net.coef_)  # error
net.n_jobs = "all"  # error
net.n_job = 2  # error
net.learning_rate = 0.1  # error
net.dtype = X.dtype  # error
print(net.predict(X).shap)  # error


# callbacks
class TwoArguments(Callback):
    def __call__(self, net: Network, epoch: int) -> bool:  # error
        return epoch > 10


def of_a_number(loss: float) -> bool:
    return loss < 0.01


net.fit(X, y, callback=of_a_number)  # error
net.fit(X, y, callback="progress")  # error
net.fit(X, y, callback=ValidationLoss)  # error
ValidationLoss(X, y, patience=3)  # error
Recorder(10)  # error
animate(net, "learning.gif")  # error

# the module
fastnn.patch_sklearn("MLPClassifier")  # error
fastnn.set_num_threads("2")  # error
fastnn.Netwrok([2, 4, 1])  # error
patched: bool = fastnn.patch_sklearn()  # error

# the tutorial and the estimators
create_nn([2, 4, 1], "sigm")  # error
train(create_nn([2, 1], sigm), X, y)  # error
train(create_nn([2, 1], sigm), X, y, l2_cost, epochs="10")  # error
MLPClassifier(solver="adma")  # error
MLPClassifier(activation="sigmoid")  # error
MLPClassifier(class_weight="equal")  # error
MLPRegressor(class_weight="balanced")  # error
MLPRegressor(hidden_layers=(4,))  # error
MLPRegressor(scoring=0.5)  # error
MLPRegressor().fit(X, y, validation_data=(X, y))  # error
MLPRegressor().fit(X)  # error

# ensembles
NetworkEnsemble("3", [2, 4, 1])  # error
NetworkEnsemble(3, [2, 4, 1], "tanhh")  # error
BaggedMLPClassifier(solver="adma")  # error
BaggedMLPRegressor((4,))  # error
BaggedMLPRegressor(estimator=MLPRegressor())  # error
