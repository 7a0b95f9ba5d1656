"""Training on Dask collections: more rows than memory holds, and the machines of a cluster.

`MLPClassifier` and `MLPRegressor` take Dask arrays and data frames in `fit`, `predict` and
`score`, and go through them partition by partition, where the partitions are; `fit_many` spreads
networks over the workers. The active `distributed.Client` computes, or without one Dask's
scheduler in this process. Neither the number of workers nor their order changes a bit: what
partitions give is added in their order.

Files: `partitions` holds what a partition is, and what is asked of each before a fit; `rounds` one
loss and gradient over all of them, and epochs that go from one to the next; `classes` the
estimators; `nets` fit_many. Dask is loaded here and nowhere else; it is the extra "dask".
"""

try:
    import dask.array as _array  # noqa: F401
except ImportError as error:
    from fastnn import pages as _pages

    raise _pages.missing("fastnn.dask needs Dask", "dask") from error

from fastnn.dask.classes import MLPClassifier, MLPRegressor
from fastnn.dask.nets import fit_many

__all__ = ["MLPClassifier", "MLPRegressor", "fit_many"]
