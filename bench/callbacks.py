"""What listening to a fit costs: 2000 epochs of the tutorial's networks with and without callback.

Four ways alternate in one process on one pinned core: the compiled calls alone (one for all
epochs, as there was before there were callbacks), `Network.fit` without a callback, with one that
does nothing every 25 epochs, and with a `Recorder` that copies the parameters as often. All must
end in the same parameters. Ratios compare runs of the same round: their median, and what eight of
ten lie between. Exit status 1 if the callback costs more than 5%.

Then what a compiled call of one epoch takes, as between the pauses of a fit, and what taking up
the arrays takes, which a fit does once.

With --frames, instead, the CPU time of a frame of LivePlot and animate: all of it drawn, and only
what moves; two features as a plane, one as a curve.
"""

import argparse
import os
import statistics
import sys
import time

EVERY = 25
# what a callback every 25 epochs may cost, as a ratio to the fit without
LIMIT = 1.05


def pin():
    """Use one core, and no more BLAS threads; before NumPy is imported."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def ways(dtype, units, epochs):
    """name -> a function that trains, and returns seconds and parameters."""
    import numpy as np
    from sklearn.datasets import make_circles

    from fastnn import Network
    from fastnn.callbacks import Recorder
    from fastnn.training.run import TrainingRun

    X, y = make_circles(500, factor=0.5, noise=0.05, random_state=0)
    X, Y = X.astype(dtype), y.reshape(-1, 1).astype(dtype)
    training = {"solver": "sgd", "learning_rate_init": 0.05, "batch_size": len(X)}

    def new():
        return Network(units, init="uniform", random_state=0, dtype=dtype)

    def fit(make_callback):
        net, callback = new(), make_callback()
        begin = time.perf_counter()
        net.fit(X, Y, max_iter=epochs, callback=callback, callback_every=EVERY, **training)
        return time.perf_counter() - begin, net.params_

    def prepared(net):
        # what fit does before its compiled calls
        options = {"solver": "sgd", "learning_rate_init": 0.05}
        x, targets, step, *_ = net._check_training(X, Y, len(X), True, 0.0, options)
        run = TrainingRun(net._units, net._codes, step, net.dtype)
        return run, (net.params_, x, targets)

    def compiled():
        # and nothing of what callbacks need
        net = new()
        begin = time.perf_counter()
        run, data = prepared(net)
        curve = np.zeros(epochs)
        with run:
            run.epochs(*data, curve)
        net.loss_curve_ += curve.tolist()
        return time.perf_counter() - begin, net.params_

    def one_epoch_a_call(calls):
        """Microseconds of a call that trains for one epoch, and of begin, which it needs once."""
        run, data = prepared(new())
        times = [], []
        with run:
            for _ in range(calls):
                start = time.perf_counter()
                run.begin(*data, np.zeros(1))
                begun = time.perf_counter()
                run.again()  # which finds everything in the cache for the next
                again = time.perf_counter()
                run.again()
                times[0].append(time.perf_counter() - again)
                times[1].append(begun - start)
        return [1e6 * statistics.median(some) for some in times]

    return one_epoch_a_call, {
        "compiled calls alone": compiled,
        "fit": lambda: fit(lambda: None),
        f"fit, a callback every {EVERY}": lambda: fit(lambda: lambda net: None),
        f"fit, a Recorder every {EVERY}": lambda: fit(lambda: Recorder(every=EVERY)),
    }


def frames(rounds):
    """Print the milliseconds of CPU of a frame."""
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from sklearn.datasets import make_circles

    from fastnn import Network
    from fastnn.plotting.training.picture import TrainingPicture, steady_limits

    X, y = make_circles(500, factor=0.5, noise=0.05, random_state=0)
    for n_features in (2, 1):
        net = Network([n_features, 8, 8, 1], "tanh", loss="binary_log_loss", random_state=0)
        x = np.ascontiguousarray(X[:, :n_features])
        picture = TrainingPicture(net, x, y[:, None], max_iter=100)
        picture.figure.set_dpi(90)
        FigureCanvasAgg(picture.figure)
        net.fit(x, y, learning_rate_init=0.01, max_iter=50)
        limits = steady_limits(net.loss_curve_)
        times = {True: [], False: []}
        for whole in [True] + [True, False] * rounds:
            begin = time.process_time()
            picture.update(net, limits)
            picture.draw(whole=whole)
            times[whole].append(1e3 * (time.process_time() - begin))
        whole, part = statistics.median(times[True][1:]), statistics.median(times[False])
        print(
            f"a frame over {n_features} feature{'s' * (n_features > 1)}: {part:.0f} ms of CPU, "
            f"{whole:.0f} ms drawn whole: {whole / part:.1f} times as long"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--smoke", action="store_true", help="three rounds: does it all run?")
    parser.add_argument("--frames", action="store_true", help="time the frames of LivePlot")
    options = parser.parse_args()
    rounds = 3 if options.smoke else options.rounds
    pin()
    if options.frames:
        frames(min(rounds, 30))
        return
    import numpy as np

    failed = []
    for units in ([2, 4, 8, 1], [2, 4, 8, 16, 8, 4, 1]):
        for dtype in ("float64", "float32"):
            one_epoch_a_call, contestants = ways(dtype, units, 2000)
            runs = [{name: way() for name, way in contestants.items()} for _ in range(rounds)]
            first = next(iter(runs[0].values()))[1]
            for results in runs:
                for _, params in results.values():
                    np.testing.assert_array_equal(params, first)
            print(f"{'-'.join(map(str, units))}, {dtype}, 2000 epochs of 500 samples")
            for name in contestants:
                base = "fit" if name.startswith("fit,") else "compiled calls alone"
                ratios = sorted(r[name][0] / r[base][0] for r in runs)
                milliseconds = 1e3 * statistics.median(r[name][0] for r in runs)
                middle = statistics.median(ratios)
                low, high = ratios[len(ratios) // 10], ratios[-1 - len(ratios) // 10]
                figure = f"{middle:.3f}x ({low:.3f}-{high:.3f}) of {base}" * (name != base)
                print(f"  {name:<28} {milliseconds:7.2f} ms   {figure}")
                if "callback" in name and middle > LIMIT:
                    failed.append(f"{'-'.join(map(str, units))} {dtype}: {middle:.3f}x")
            epoch, begin = one_epoch_a_call(10 * rounds)
            print(f"  one epoch a call: {epoch:.2f} us, and {begin:.2f} us to begin, once")
    if failed and not options.smoke:
        sys.exit(f"callbacks cost more than {LIMIT:.2f}x: " + ", ".join(failed))


if __name__ == "__main__":
    main()
