"""50 steps of solvers, activations, losses, clipping and one-cycle as PyTorch does them, to 1e-6
in float64; optional."""

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


def summed(loss):
    """A loss of (outputs before their activation, targets), over the outputs, mean over rows."""
    return lambda z, y: loss(z, y) / len(y)


# loss -> Network's arguments, the targets made of numbers, PyTorch's loss or its formula
LOSSES = {
    "absolute_error": ({}, lambda y: y, summed(torch.nn.L1Loss(reduction="sum"))),
    "huber": ({"delta": 0.4}, lambda y: y, summed(torch.nn.HuberLoss(delta=0.4, reduction="sum"))),
    "quantile": (
        {"quantile": [0.2, 0.9]}, lambda y: y[:, :1],
        lambda z, y: torch.maximum(*(s * (y - z) for s in torch.tensor(
            [[0.2, 0.9], [-0.8, -0.1]], dtype=y.dtype))).sum(dim=1).mean(),
    ),
    "log_cosh": ({}, lambda y: y, lambda z, y: (z - y).cosh().log().sum(dim=1).mean()),
    "gamma": (
        {}, np.exp, lambda z, y: (y * (-z).exp() + z - y.log() - 1).sum(dim=1).mean(),
    ),
    "poisson": (
        {}, lambda y: np.exp(y).round(), lambda z, y: (
            z.exp() - y * z - y + torch.xlogy(y, y)).sum(dim=1).mean(),
    ),
    "binary_log_loss": (
        {}, lambda y: (y > 0).astype(float), summed(torch.nn.BCEWithLogitsLoss(reduction="sum")),
    ),
    "log_loss": ({}, lambda y: np.eye(2)[(y[:, 0] > 0).astype(int)], torch.nn.CrossEntropyLoss()),
}  # fmt: skip


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


def half_square(out, y):
    return 0.5 * (out - y).square().sum(dim=1).mean()


def steps(twin, optimizer, X, y, n_steps, clip_norm=0.0, loss_of=half_square, schedule=None):
    """Losses before each of n_steps steps on all rows."""
    curve, (X, y) = [], map(torch.from_numpy, (X, y))
    for _ in range(n_steps):
        optimizer.zero_grad()
        loss = loss_of(twin(X), y)
        loss.backward()
        if clip_norm:
            torch.nn.utils.clip_grad_norm_(twin.parameters(), clip_norm)
        optimizer.step()
        if schedule:
            schedule.step()
        curve.append(loss.item())
    return curve


def follow(data, activation, solver, clip_norm=0.0, rate=0.01, loss_of=half_square, loss=None,
           new_schedule=None, **more):  # fmt: skip
    X, y = data
    options, new_optimizer = SOLVERS[solver]
    net = Network([4, 9, 6, 2], activation, random_state=0, **(loss or {}))
    twin = twin_of(net, activation)
    optimizer = new_optimizer(twin.parameters(), rate)
    schedule = new_schedule(optimizer) if new_schedule else None
    curve = steps(twin, optimizer, X, y, 50, clip_norm, loss_of, schedule)
    net.fit(X, y, solver=solver, learning_rate_init=rate, max_iter=50, batch_size=60,
            clip_norm=clip_norm, **options, **more)  # fmt: skip
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


@pytest.mark.parametrize("loss", LOSSES)
def test_losses(data, loss):
    arguments, targets, loss_of = LOSSES[loss]
    X, y = data
    follow((X, targets(y)), "tanh", "adam", loss_of=loss_of, loss={"loss": loss, **arguments})


def test_label_smoothing(data):
    _, targets, _ = LOSSES["log_loss"]
    X, y = data
    follow((X, targets(y)), "tanh", "adam", loss={"loss": "log_loss"}, label_smoothing=0.2,
           loss_of=torch.nn.CrossEntropyLoss(label_smoothing=0.2))  # fmt: skip


@pytest.mark.parametrize("solver", ["adam", "adamw", "rmsprop", "nadam"])
def test_one_cycle(data, solver):
    def new(optimizer):
        return torch.optim.lr_scheduler.OneCycleLR(
            optimizer, 0.01, total_steps=50, cycle_momentum=False
        )

    follow(data, "tanh", solver, new_schedule=new, learning_rate="one_cycle")
