"""Temporary: the present compiled kernels under the coming signatures."""

import numpy as np

LOSS = {5: 1, 6: 2}


class Old:
    def __init__(self, module):
        self._module = module

    def __getattr__(self, name):
        return getattr(self._module, name)

    def typed_views(self, *arrays):
        return arrays

    def _step(self, step):
        from fastnn import kernels

        return np.asarray(step).view(kernels.STEP)[0]

    def train_epoch(
        self,
        params,
        packed,
        units,
        codes,
        step,
        x,
        columns,
        starts,
        y,
        order,
        workspace,
        team,
        cursor,
        curve,
        output,
    ):
        s = self._step(step)
        solver = {3: 0}.get(int(s["solver"]), int(s["solver"]))
        momentum = s["beta_1"] if solver == 2 else s["momentum"]
        self._module.train_epoch(
            params,
            packed,
            units,
            codes,
            LOSS.get(int(s["loss"]), int(s["loss"])),
            solver,
            float(s["learning_rate"]),
            float(momentum),
            float(s["beta_2"]),
            float(s["epsilon"]),
            float(s["alpha"]),
            bool(s["sum_coef_grads"]),
            bool(s["keep_going"]),
            x,
            columns,
            starts,
            y,
            order,
            int(s["batch_size"]),
            2e8,
            workspace,
            team,
            int(s["n_threads"]),
            np.asarray(cursor).view(np.intp),
            curve,
            output,
        )

    def loss_and_grad(self, params, units, codes, step, *rest):
        s = self._step(step)
        return self._module.loss_and_grad(
            params,
            units,
            codes,
            LOSS.get(int(s["loss"]), int(s["loss"])),
            float(s["alpha"]),
            *rest,
        )
