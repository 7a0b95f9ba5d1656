"""One file a competitor, each written as its own users would write it fast.

An adapter module has VERSION and an `Adapter(task)` with

- `reset(layers)`: start from these [(W, b), ...], the solver afresh;
- `train(n, shuffle)`: n epochs (of a full batch: n steps);
- `layers()`: [(W, b), ...] as NumPy arrays;
- `threads()`: how many threads the library says it uses, or None.

`task` is a `worker.Task`: units, batch, dtype, loss, X, labels, targets. Minimised is the mean
loss, by Adam (1e-3, 0.9, 0.999, 1e-8), or for the tutorial's nets by its own gradient descent.
"""
