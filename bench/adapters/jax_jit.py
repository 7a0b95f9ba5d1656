"""JAX: the whole epoch, or for full batches the whole loop, in one jitted call that donates."""

import functools
import os

import jax
import jax.numpy as jnp
import numpy as np

VERSION = jax.__version__
LR = 0.05


class Adapter:
    def __init__(self, task):
        jax.config.update("jax_enable_x64", task.dtype == np.float64)
        self.task = task
        self.X = jnp.asarray(task.X)
        self.y = jnp.asarray(task.labels if task.loss == "log_loss" else task.targets)
        self.key = jax.random.key(0)
        if task.loss == "tutorial":
            self.loop = jax.jit(tutorial_loop, donate_argnums=0)
        else:
            self.epoch = jax.jit(
                functools.partial(epoch, loss=task.loss, batch=task.batch),
                static_argnames="shuffle", donate_argnums=0,
            )  # fmt: skip

    def reset(self, layers):
        params = [(jnp.array(W), jnp.array(b)) for W, b in layers]
        zeros = [jax.tree.map(jnp.zeros_like, params) for _ in range(2)]
        self.state = (
            params if self.task.loss == "tutorial" else (params, *zeros, jnp.zeros((), int))
        )

    def train(self, n, shuffle):
        if self.task.loss == "tutorial":
            self.state = self.loop(self.state, self.X, self.y, n)
        else:
            for _ in range(n):
                self.key, key = jax.random.split(self.key)
                self.state = self.epoch(self.state, self.X, self.y, key, shuffle=shuffle)
        jax.block_until_ready(self.state)

    def layers(self):
        params = self.state if self.task.loss == "tutorial" else self.state[0]
        return [(np.asarray(W), np.asarray(b)) for W, b in params]

    def threads(self):
        return None if "multi_thread_eigen=true" in os.environ["XLA_FLAGS"] else 1


def forward_loss(params, x, y, loss):
    for W, b in params[:-1]:
        x = jax.nn.relu(x @ W + b)
    z = x @ params[-1][0] + params[-1][1]
    if loss == "log_loss":
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(z), y[:, None], 1))
    return jnp.mean(jax.nn.softplus(z) - y * z)


def epoch(state, X, y, key, *, loss, batch, shuffle):
    rows = len(X)
    order = jax.random.permutation(key, rows) if shuffle else jnp.arange(rows)

    def step(state, index):
        params, m, v, t = state
        grads = jax.grad(forward_loss)(params, X[index], y[index], loss)
        t = t + 1
        rate = 1e-3 * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, grads)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, grads)
        params = jax.tree.map(
            lambda p, m, v: p - (rate * m / (jnp.sqrt(v) + 1e-8)).astype(p.dtype), params, m, v
        )
        return (params, m, v, t), None

    return jax.lax.scan(step, state, order.reshape(-1, batch))[0]


def tutorial_loop(params, X, y, n):
    def step(_, params):
        a = [X]
        for W, b in params:
            a.append(jax.nn.sigmoid(a[-1] @ W + b))
        delta = (a[-1] - y) * a[-1] * (1 - a[-1])
        new = []
        for i in range(len(params) - 1, -1, -1):
            W, b = params[i]
            new.append((W - LR * (a[i].T @ delta), b - LR * delta.mean(0)))
            if i > 0:
                delta = (delta @ W.T) * a[i] * (1 - a[i])
        return new[::-1]

    return jax.lax.fori_loop(0, n, step, params)
