"""50 steps of solvers and activations as PyTorch does them, to 1e-6 in float64; optional."""

import numpy as np
import pytest

from fastnn import Network

torch = pytest.importorskip("torch", reason="the extra bench has PyTorch")

TINY = 1e-30  # of epsilons, which the two add at different places
SOLVERS = {
    "adamw": (
        {"weight_decay": 0.3, "decay_intercepts": True, "epsilon": TINY},
        lambda p, lr: torch.optim.AdamW(p, lr, weight_decay=0.3, eps=TINY),
    ),
    "nadam": ({"epsilon": TINY}, lambda p, lr: torch.optim.NAdam(p, lr, eps=TINY)),
    "rmsprop": (
        {"rho": 0.95, "epsilon": TINY},
        lambda p, lr: torch.optim.RMSprop(p, lr, alpha=0.95, eps=TINY),
    ),
    "rprop": ({"take_back": False}, lambda p, lr: torch.optim.Rprop(p, lr)),
    "adam": ({"epsilon": TINY}, lambda p, lr: torch.optim.Adam(p, lr, eps=TINY)),
    "sgd": (
        {"momentum": 0.8, "nesterovs_momentum": False},
        lambda p, lr: torch.optim.SGD(p, lr, momentum=0.8),
    ),
}
ACTIVATIONS = {
    "leaky_relu": lambda: torch.nn.LeakyReLU(0.01),
    "elu": torch.nn.ELU,
    "selu": torch.nn.SELU,
    "silu": torch.nn.SiLU,
    "gelu": torch.nn.GELU,
    "gelu_tanh": lambda: torch.nn.GELU(approximate="tanh"),
    "mish": torch.nn.Mish,
    "softplus": torch.nn.Softplus,
    "tanh": torch.nn.Tanh,
}


@pytest.fixture
def data(rng):
    X = rng.randn(60, 4)
    return X, np.stack([np.sin(X[:, 0]), X[:, 1] * X[:, 2]], axis=1)


def twin_of(net, activation):
    """The same net in PyTorch."""
    layers = []
    for coef, intercept in zip(net.coefs_, net.intercepts_, strict=True):
        linear = torch.nn.Linear(*coef.shape, dtype=torch.float64)
        with torch.no_grad():
            linear.weight[:] = torch.from_numpy(coef.T.copy())
            linear.bias[:] = torch.from_numpy(intercept.copy())
        layers += [linear, ACTIVATIONS[activation]()]
    return torch.nn.Sequential(*layers[:-1])


def steps(twin, optimizer, X, y, n_steps, clip_norm=0.0):
    """Losses before each of n_steps steps on all rows."""
    curve, (X, y) = [], map(torch.from_numpy, (X, y))
    for _ in range(n_steps):
        optimizer.zero_grad()
        loss = 0.5 * (twin(X) - y).square().sum(dim=1).mean()
        loss.backward()
        if clip_norm:
            torch.nn.utils.clip_grad_norm_(twin.parameters(), clip_norm)
        optimizer.step()
        curve.append(loss.item())
    return curve


def follow(data, activation, solver, clip_norm=0.0, rate=0.01):
    X, y = data
    options, new_optimizer = SOLVERS[solver]
    net = Network([4, 9, 6, 2], activation, random_state=0)
    twin = twin_of(net, activation)
    curve = steps(twin, new_optimizer(twin.parameters(), rate), X, y, 50, clip_norm)
    net.fit(X, y, solver=solver, learning_rate_init=rate, max_iter=50, batch_size=60,
            clip_norm=clip_norm, **options)  # fmt: skip
    np.testing.assert_allclose(net.loss_curve_, curve, rtol=1e-6)
    want = [p.detach().numpy().T for p in twin.parameters()]
    got = [a for pair in zip(net.coefs_, net.intercepts_, strict=True) for a in pair]
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("solver", SOLVERS)
def test_solvers(data, solver):
    follow(data, "tanh", solver)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations(data, activation):
    follow(data, activation, "adamw")


@pytest.mark.parametrize("solver", ["sgd", "adamw", "rmsprop"])
def test_clipping(data, solver):
    """With gradients so long that PyTorch's 1e-6, which it adds to their length, is nothing."""
    X, y = data
    follow((X, 1000 * y), "tanh", solver, clip_norm=50.0)
