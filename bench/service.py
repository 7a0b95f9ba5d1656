"""How fast examples/service.py answers, and whether it is right: `python bench/service.py`.

The service has one core, the client another (or the same, where there is but one). So many
keep-alive connections each send a request as soon as they have the answer to the one before. Every
answer is compared with what `model.predict` and `predict_proba` give here: the same labels, the
same bits. Times are the client's, from sending to the whole answer; the service's own CPU time
tells what a busy machine hides. `--busy N` has N other programs compete for each of the two cores.

Exit status 1 for a wrong answer or, without --busy, fewer than 2,000 requests of a row a second or
a 99th percentile of 20 ms or more.

`--loaded`, instead, compares a row's `predict` of nets that were saved and of those loaded.
"""

import argparse
import asyncio
import contextlib
import copy
import io
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
import timeit
import urllib.request
import warnings
from pathlib import Path

import numpy as np
from run import cpuinfo
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

import fastnn
from fastnn import MLPClassifier, Network

ROOT = Path(__file__).resolve().parent.parent
ARROW = "application/vnd.apache.arrow.stream"
GOAL, LIMIT = 2_000, 0.020  # requests a second, seconds
NOISE = 1.05  # a median of ratios that is no slow-down yet


def trained():
    """Digits, and a 64-100-10 classifier of them."""
    X, y = load_digits(return_X_y=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return X, MLPClassifier((100,), max_iter=5, random_state=0).fit(X, y)


# ---- the service --------------------------------------------------------------------------------


@contextlib.contextmanager
def service(path, cores):
    """Its process, on its core, and its port; this process goes on on the other."""
    command = [sys.executable, str(ROOT / "examples" / "service.py"), str(path), "--port", "0"]
    pin(cores[0])  # children inherit it
    child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    pin(cores[1])
    try:
        port, said = None, []
        for line in child.stderr:
            said.append(line)
            if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
                port = int(found[1])
                break
        if port is None:
            raise SystemExit(f"the service does not start: {''.join(said)}")
        yield child, port
    finally:
        child.terminate()
        child.communicate()


def pin(core):
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})


def cpu_seconds(pid):
    """What a process has used; NaN where there is no /proc."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return float("nan")
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# ---- the client ---------------------------------------------------------------------------------


class Load:
    """Requests with what must come back, and what did."""

    def __init__(self, pairs, n_requests):
        self.pairs, self.left = pairs, iter(range(n_requests))
        self.seconds, self.wrong, self.open = [], [], 0
        self.done = asyncio.get_running_loop().create_future()


class Connection(asyncio.Protocol):
    """One that is kept alive: as little HTTP as the service's answers need."""

    def __init__(self, load):
        self.load, self.buffer = load, b""

    def connection_made(self, transport):
        self.transport = transport
        self.load.open += 1
        self.send()

    def send(self):
        i = next(self.load.left, None)
        if i is None:
            self.transport.close()
            return
        request, self.right = self.load.pairs[i % len(self.load.pairs)]
        self.start = time.perf_counter()
        self.transport.write(request)

    def data_received(self, data):
        self.buffer += data
        head, end, body = self.buffer.partition(b"\r\n\r\n")
        if not end or len(body) < int(re.search(rb"content-length: (\d+)", head)[1]):
            return
        self.load.seconds.append(time.perf_counter() - self.start)
        self.buffer = b""
        if not (head.startswith(b"HTTP/1.1 200 ") and self.right(body)):
            self.load.wrong.append(body[:200])
        self.send()

    def connection_lost(self, error):
        self.load.open -= 1
        if self.load.open == 0 and not self.load.done.done():
            self.load.done.set_result(error)


async def drive(port, pairs, n_connections, n_requests):
    """The Load, and seconds from the first request to the last answer."""
    load, loop = Load(pairs, n_requests), asyncio.get_running_loop()
    start = time.perf_counter()
    for _ in range(n_connections):
        await loop.create_connection(lambda: Connection(load), "127.0.0.1", port)
    error = await load.done
    if error is not None:
        raise error
    return load, time.perf_counter() - start


def as_json(X, model):
    right = {
        "predictions": model.predict(X).tolist(),
        "probabilities": model.predict_proba(X).tolist(),
    }
    return json.dumps({"rows": X.tolist()}).encode(), lambda body: json.loads(body) == right


def as_arrow(X, model):
    import pyarrow.ipc

    sink, labels, p = io.BytesIO(), model.predict(X), model.predict_proba(X)
    batch = pyarrow.record_batch({f"pixel {i}": column for i, column in enumerate(X.T)})
    with pyarrow.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)

    def right(body):
        found = pyarrow.ipc.open_stream(body).read_all()
        values = found["probabilities"].combine_chunks().flatten().to_numpy()
        same = np.array_equal(found["predictions"].to_numpy(), labels)
        return same and np.array_equal(values.reshape(p.shape), p)

    return sink.getvalue(), right


def pairs_of(X, model, n_rows, arrow):
    """Whole requests, each with a function that tells whether an answer is right."""
    pairs = []
    rng = np.random.RandomState(0)
    for _ in range(max(5, min(1000, 20_000 // n_rows))):
        rows = X[rng.randint(len(X), size=n_rows)]
        body, right = (as_arrow if arrow else as_json)(rows, model)
        head = (
            "POST /predict HTTP/1.1\r\nhost: localhost\r\n"
            f"content-type: {ARROW if arrow else 'application/json'}\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        pairs.append((head.encode() + body, right))
    return pairs


# ---- what is measured ---------------------------------------------------------------------------


def measure(options, cores):
    """Whether the goals are reached."""
    X, model = trained()
    pairs = pairs_of(X, model, options.rows, options.arrow)
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        model.save(Path(folder) / "digits.fastnn")
        child, port = stack.enter_context(service(Path(folder) / "digits.fastnn", cores))
        for core in cores * options.busy:
            pin(core)
            others = subprocess.Popen([sys.executable, "-c", "while True: pass"])
            stack.callback(others.wait)
            stack.callback(others.kill)
        pin(cores[1])
        asyncio.run(drive(port, pairs, options.connections, len(pairs)))  # warm
        before = cpu_seconds(child.pid)
        load, seconds = asyncio.run(drive(port, pairs, options.connections, options.requests))
        cpu = (cpu_seconds(child.pid) - before) / options.requests
        url = f"http://127.0.0.1:{port}/metrics"
        with urllib.request.urlopen(url) as response:
            counted = re.findall(r'status="(\d+)"} (\d+)', response.read().decode())
    rate, p50, p99 = options.requests / seconds, *np.quantile(load.seconds, [0.5, 0.99])
    print(
        f"{options.requests:,} requests of {options.rows:,} rows, {options.connections} "
        f"connections, {'Arrow' if options.arrow else 'JSON'}: {rate:,.0f} a second, p50 "
        f"{1e3 * p50:.2f} ms, p99 {1e3 * p99:.2f} ms, slowest {1e3 * max(load.seconds):.1f} ms\n"
        f"{len(load.wrong)} wrong answers; CPU time of the service {1e6 * cpu:.0f} us a request, "
        f"so {1 / cpu:,.0f} a second of a core's own time; it counted {dict(counted)}"
    )
    if load.wrong:
        print(f"such as {load.wrong[0]}")
    right = not load.wrong and counted == [("200", str(options.requests + len(pairs)))]
    judged = options.rows == 1 and not options.busy and not options.smoke
    return right and (not judged or (rate >= GOAL and p99 < LIMIT))


def loaded(rounds):
    """Whether nets that were loaded predict a row as fast as those that were saved."""
    X, mlp = trained()
    net = Network([64, 100, 10], "relu", loss="log_loss", random_state=0)
    net.fit(X, np.eye(10)[mlp.predict(X)], max_iter=2)
    row, slower = X[:1].copy(), 0
    for saved in (net, mlp):
        pairs = []  # kept: where in memory parameters begin makes some per cent
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(8):
                saved.save(Path(folder) / "a.fastnn")
                pairs.append((saved, fastnn.load(Path(folder) / "a.fastnn")))
                saved = copy.deepcopy(saved)
        times = [], []
        for i in range(8 * rounds):
            for j in (0, 1) if i % 2 else (1, 0):
                predict = pairs[i // 2 % 8][j].predict
                times[j].append(timeit.timeit(lambda: predict(row), number=1000) * 1e3)  # noqa: B023
        ratios = np.divide(times[1], times[0])
        ratio = np.median(ratios)
        slower += ratio > NOISE
        print(
            f"{type(saved).__name__}.predict of a row: saved {np.median(times[0]):.2f} us, loaded "
            f"{np.median(times[1]):.2f} us, ratio {ratio:.3f} "
            f"(eight of ten {np.quantile(ratios, 0.1):.3f}-{np.quantile(ratios, 0.9):.3f})"
        )
    return not slower


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--rows", type=int, default=1, help="of a request (1)")
    parser.add_argument("--arrow", action="store_true", help="in place of JSON")
    parser.add_argument("--busy", type=int, default=0, help="programs that compete for each core")
    parser.add_argument("--loaded", action="store_true", help="saved and loaded nets alone")
    parser.add_argument("--smoke", action="store_true", help="does it all run?")
    options = parser.parse_args()
    options.requests = 500 if options.smoke else options.requests
    cores = [0, 0]
    if hasattr(os, "sched_getaffinity"):
        cores = (sorted(os.sched_getaffinity(0)) * 2)[-2:]
    good = True
    if not options.loaded:
        good = measure(options, cores)
    if options.loaded or options.smoke:
        pin(cores[1])
        good = loaded(1 if options.smoke else 25) or (options.smoke and good)
    load = ", ".join(f"{number:.1f}" for number in os.getloadavg())
    name = cpuinfo().get("model name", platform.machine())
    print(f"{name}, build {fastnn.kernels.ISA}, cores {cores}, load {load}")
    raise SystemExit(not good)


if __name__ == "__main__":
    main()
