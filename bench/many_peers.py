"""What else trains many small nets at once, for `python bench/many.py --peers`.

Each peer trains K nets that differ in parameters and rows alone, given the rows of every step from
outside, so that it draws nothing. A net is a list of (W, b), nets are stacked along axis 0.
"""

import importlib.util
import time

import numpy as np

RATE, BETA_1, BETA_2, EPSILON = (
    1e-3,
    0.9,
    0.999,
    1e-8,
)  # Adam's, as fastnn's and all others' defaults


def rows_of_steps(nets, parts, batch, n_epochs):
    """Rows (K, steps, batch) of X, and their weights in the mean (steps, batch).

    The orders are those that `Network.fit` draws. A last batch that is short has weights of 0.
    """
    n = len(parts[0])
    steps = -(-n // batch)
    weights = np.zeros(steps * batch)
    weights[:n] = 1 / batch
    weights[(steps - 1) * batch : n] = 1 / (n - (steps - 1) * batch)
    rows = np.zeros((len(nets), n_epochs, steps * batch), np.int32)
    for k, (net, part) in enumerate(zip(nets, parts, strict=True)):
        random_state, order = net.copy()._random_state, np.arange(n)
        for epoch in range(n_epochs):
            if batch < n:
                random_state.shuffle(order)
            rows[k, epoch, :n] = part[order]
    rows = rows.reshape(len(nets), n_epochs * steps, batch)
    return rows, np.tile(weights.reshape(steps, batch), (n_epochs, 1))


def stacked(nets):
    """[(W, b)] of each layer, of all nets."""
    layers = range(len(nets[0].coefs_))
    return [
        (np.stack([net.coefs_[i] for net in nets]), np.stack([net.intercepts_[i] for net in nets]))
        for i in layers
    ]


class JaxVmap:
    """The whole fit in one jitted call: `vmap` over nets, `scan` over steps."""

    name = "JAX vmap"

    def __init__(self, dtype):
        import jax

        jax.config.update("jax_enable_x64", dtype == "float64")
        self.jax, self.dtype = jax, dtype

    def begin(self, nets, X, Y, rows, weights):
        """Compile; returns the seconds that it took, and a function that trains."""
        jax, jnp = self.jax, self.jax.numpy
        functions = {"relu": jax.nn.relu, "sigmoid": jax.nn.sigmoid, "identity": lambda z: z}
        activations = [functions[name] for name in nets[0].activations]

        def loss(params, x, y, w):
            for (W, b), activation in zip(params, activations, strict=True):
                x = activation(x @ W + b)
            return 0.5 * jnp.sum(w[:, None] * (x - y) ** 2)

        def fit(params, X, Y, rows, weights):
            def step(state, given):
                params, m, v, t = state
                index, w = given
                grads = jax.grad(loss)(params, X[index], Y[index], w)
                t = t + 1
                rate = RATE * jnp.sqrt(1 - BETA_2**t) / (1 - BETA_1**t)
                m = jax.tree.map(lambda m, g: BETA_1 * m + (1 - BETA_1) * g, m, grads)
                v = jax.tree.map(lambda v, g: BETA_2 * v + (1 - BETA_2) * g * g, v, grads)
                params = jax.tree.map(
                    lambda p, m, v: p - (rate * m / (jnp.sqrt(v) + EPSILON)).astype(p.dtype),
                    params, m, v,
                )  # fmt: skip
                return (params, m, v, t), None

            zeros = jax.tree.map(jnp.zeros_like, params)
            state = (params, zeros, zeros, jnp.zeros((), self.dtype))
            return jax.lax.scan(step, state, (rows, weights))[0][0]

        given = [
            [(jnp.asarray(W), jnp.asarray(b)) for W, b in stacked(nets)], jnp.asarray(X),
            jnp.asarray(Y), jnp.asarray(rows), jnp.asarray(weights, self.dtype),
        ]  # fmt: skip
        begin = time.perf_counter()
        compiled = jax.jit(jax.vmap(fit, (0, None, None, 0, None))).lower(*given).compile()
        took = time.perf_counter() - begin
        return took, lambda: jax.block_until_ready(compiled(*given))


class TorchBatched:
    """Batched products in eager PyTorch, a step at a time, with the fastest of its Adams."""

    name = "torch.bmm"

    def __init__(self, dtype):
        import torch

        torch.set_num_threads(1)
        self.torch = torch

    def begin(self, nets, X, Y, rows, weights):
        torch = self.torch
        functions = {"relu": torch.relu, "sigmoid": torch.sigmoid, "identity": lambda z: z}
        activations = [functions[name] for name in nets[0].activations]
        first = [(torch.tensor(W), torch.tensor(b)) for W, b in stacked(nets)]
        x_all, y_all = torch.tensor(X), torch.tensor(Y)
        index = torch.tensor(rows, dtype=torch.long)
        w_all = torch.tensor(weights, dtype=x_all.dtype)

        def train():
            params = [tuple(one.clone().requires_grad_() for one in layer) for layer in first]
            flat = [one for layer in params for one in layer]
            adam = torch.optim.Adam(flat, lr=RATE, betas=(BETA_1, BETA_2), eps=EPSILON, fused=True)
            for step in range(index.shape[1]):
                a, y = x_all[index[:, step]], y_all[index[:, step]]
                for (W, b), activation in zip(params, activations, strict=True):
                    a = activation(torch.baddbmm(b[:, None], a, W))
                loss = 0.5 * (w_all[step][:, None] * (a - y) ** 2).sum()
                adam.zero_grad()
                loss.backward()
                adam.step()
            return [tuple(one.detach().numpy() for one in layer) for layer in params]

        return 0.0, train


def peers():
    """Those that are installed."""
    known = {"jax": JaxVmap, "torch": TorchBatched}
    return [one for name, one in known.items() if importlib.util.find_spec(name)]
