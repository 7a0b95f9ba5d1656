"""fit_many over the workers of a cluster."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Literal

import dask
from numpy.typing import ArrayLike

from fastnn import documentation, many
from fastnn.dask import rounds
from fastnn.data import checks
from fastnn.network import Network
from fastnn.training.side_by_side import Failure


def fit_many(
    nets: Sequence[Network],
    X: ArrayLike,
    y: ArrayLike,
    *,
    rows: Sequence[ArrayLike | None] | None = None,
    rows_val: Sequence[ArrayLike | None] | None = None,
    sample_weight: ArrayLike | None = None,
    layout: Literal["samples", "nets"] = "samples",
    n_tasks: int | None = None,
    errors: Literal["raise", "keep"] = "raise",
    **options: Any,
) -> list[Failure | None]:
    """Train many networks on the workers of a cluster, some in each task.

    Each ends with the bits that `fastnn.fit_many` with the same layout gives it in one process.
    That is what is called where there is no active `distributed.Client`. X and y are sent to each
    worker once.

    Parameters
    ----------
    {of many}
    layout : {"samples", "nets"}
        As of `fastnn.fit_many`, without "auto", whose choice depends on how many networks a call
        has.
    n_tasks : int >= 1, optional
        Into how many tasks the networks are dealt out; None is four for each thread of a worker.
    {errors and options}

    Returns
    -------
    list of None or FloatingPointError or ZeroDivisionError
        For each network, None or why its fit ended before its time.

    Raises
    ------
    TypeError, ValueError
        For bad input, before any network changes.
    FloatingPointError, ZeroDivisionError
        If networks diverged, unless errors is "keep".
    RuntimeError
        If Dask could not compute a task. It says how many networks are trained; the others are as
        they were, after Ctrl-C too.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Network
    >>> from fastnn.dask import fit_many
    >>> X = np.linspace(-1, 1, 90)[:, np.newaxis]
    >>> nets = [Network([1, 8, 1], "tanh", random_state=i) for i in range(3)]
    >>> fit_many(nets, X, np.sin(3 * X), learning_rate_init=[0.1, 0.03, 0.01])
    [None, None, None]
    """
    if n_tasks is not None:
        n_tasks = checks.whole_number("n_tasks", n_tasks)
    for name in ("n_jobs", "callback", "progress"):
        if name in options:
            raise TypeError(f"fit_many over workers takes no {name}")
    checks.choice("layout", layout, {name: name for name in ("samples", "nets")})
    client = rounds.present_client()
    data: dict[str, Any] = {"X": X, "y": y, "sample_weight": sample_weight}
    if client is None:
        return many.fit_many(
            nets, **data, rows=rows, rows_val=rows_val, layout=layout, errors=errors, **options
        )
    nets = many.networks_of(nets)
    checks.choice("errors", errors, {"raise": "raise", "keep": "keep"})
    many.jobs_of(nets, X, y, rows, rows_val, sample_weight, options, layout)  # refuses bad input
    if n_tasks is None:
        n_tasks = 4 * max(1, sum(client.nthreads().values()))
    each = {"rows": rows, "rows_val": rows_val, "layout": layout, **options}
    shared = {name: dask.delayed(one, pure=False, traverse=False) for name, one in data.items()}
    ask = dask.delayed(_fit_some, pure=False)
    deals = [range(i, len(nets), n_tasks) for i in range(min(n_tasks, len(nets)))]
    tasks = []
    for deal in deals:
        own = {name: _of(name, values, deal) for name, values in each.items()}
        tasks.append(ask([nets[i] for i in deal], shared, own))
    failures, n_done = dict[int, Failure](), 0
    futures = client.compute(tasks)
    try:
        for deal, future in zip(deals, futures, strict=True):
            trained, failed = future.result()
            for i, net, failure in zip(deal, trained, failed, strict=True):
                nets[i].__setstate__(net.__getstate__())
                n_done += 1
                if failure is not None:
                    failures[i] = failure
    except rounds.FAILURES as error:
        raise RuntimeError(
            f"a task failed, {type(error).__name__}: {error}; {n_done} of {len(nets)} networks "
            "are trained, and the others are as they were"
        ) from error
    finally:
        client.cancel(futures)
    return many.report(failures, len(nets), errors)


_entries = documentation.entries(
    documentation.sections(many.fit_many.__doc__).get("Parameters", "")
)


def _entries_of(*names: str) -> str:
    return "\n".join(_entries.get(name, "") for name in names)


fit_many.__doc__ = documentation.complete(
    fit_many.__doc__,
    **{
        "of many": _entries_of("nets", "X", "y", "rows", "rows_val", "sample_weight"),
        "errors and options": _entries_of("errors", "**options"),
    },
)


def _of(name: str, values: Any, deal: range) -> Any:
    """What of an argument goes to these networks."""
    is_each = isinstance(values, list) or (name.startswith("rows") and values is not None)
    return [values[i] for i in deal] if is_each else values


def _fit_some(
    nets: list[Network], data: dict[str, Any], options: dict[str, Any]
) -> tuple[list[Network], list[Failure | None]]:
    nets = copy.deepcopy(nets)  # a task may be done again
    return nets, many.fit_many(nets, **data, **options, n_jobs=1, errors="keep")
