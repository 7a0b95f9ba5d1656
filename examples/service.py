"""A web service of one model, from a file that `net.save` or `mlp.save` wrote.

    pip install ".[files,service]"      # and pyarrow, for Arrow
    python examples/service.py model.fastnn --port 8000
    curl localhost:8000/predict -H 'content-type: application/json' -d '{"rows": [[0.1, 2, 3]]}'

POST /predict takes {"rows": [[...], ...]} and gives {"predictions": [...]}, for a classifier with
"probabilities"; or, of type application/vnd.apache.arrow.stream, a column for each feature and for
each of these. GET /health says whether it is up, /model what the model is made of, /metrics counts
requests, rows and seconds of /predict for Prometheus, in each of the --workers for itself.

Predictions are `model.predict`'s, to the last bit. What cannot be predicted is refused with
{"detail": "the reason, in one line"}: 422, 413 if it is too much, 415 for another type. The
environment's FASTNN_MAX_ROWS (10,000) and FASTNN_MAX_BYTES (so many rows as JSON, 16 MiB at most)
limit a request; FASTNN_MODEL=model.fastnn is for `uvicorn --factory service:create_app`.
"""

import argparse
import array
import bisect
import collections
import itertools
import json
import os
import textwrap
import time

import numpy as np
import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

import fastnn

try:
    import pyarrow.ipc
except ImportError:
    pyarrow = None

# What takes less than about half a millisecond is done at once: a thread costs 0.06 ms. fastnn
# predicts without Python's lock, but nothing else moves while JSON is read, at 60 MB a second.
FEW_BYTES, FEW_PRODUCTS = 32_768, 2_000_000  # of a body; rows x parameters


def one_line(error):
    return textwrap.shorten(str(error), 300, placeholder=" ...")


def rows_of_json(body, service):
    document = json.loads(body.decode())
    rows = document.get("rows") if isinstance(document, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise ValueError('it is not {"rows": [[...], ...]}')
    service.check_shape(len(rows), {len(row) for row in rows})
    numbers = array.array("d", itertools.chain.from_iterable(rows))  # NumPy would take texts
    return np.frombuffer(numbers).reshape(len(rows), -1)


def to_json(answers):
    listed = {name: values.tolist() for name, values in answers.items()}
    return json.dumps(listed, allow_nan=False, separators=(",", ":"))


def rows_of_arrow(body, service):
    parts, n_rows = [], 0
    messages = pyarrow.ipc.MessageReader.open_stream(body)
    if any(is_compressed(message) for message in messages if message.type != "schema"):
        raise ValueError("it is compressed")  # a kilobyte may become 16 MB, and more
    for batch in pyarrow.ipc.open_stream(body):
        n_rows += batch.num_rows
        service.check_shape(n_rows, {batch.num_columns})
        batch.validate(full=True)  # who knows who wrote it
        if service.names:
            batch = batch.select(service.names)  # whatever their order
        parts.append(batch.to_tensor().to_numpy())
    return np.concatenate(parts, dtype=np.float64)


def is_compressed(message):
    """Whether a record batch is, by its metadata: tables of FlatBuffers."""
    data = message.metadata.to_pybytes()

    def number(at, size):
        return int.from_bytes(data[at : at + size], "little", signed=size == 4)

    def field(table, slot):  # its place, or that of the table if it has none
        vtable, at = table - number(table, 4), 4 + 2 * slot
        return table + (number(vtable + at, 2) if at < number(vtable, 2) else 0)

    header = field(number(0, 4), 2)
    batch = header + number(header, 4)
    return field(batch, 3) != batch


def to_arrow(answers):
    columns = {name: pyarrow.array(values.ravel()) for name, values in answers.items()}
    for name, values in answers.items():
        if values.ndim == 2:  # a list in each row
            columns[name] = pyarrow.FixedSizeListArray.from_arrays(columns[name], values.shape[1])
    batch, sink = pyarrow.record_batch(columns), pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


JSON, ARROW = "application/json", "application/vnd.apache.arrow.stream"
FORMATS = {JSON: (rows_of_json, to_json)}
FORMATS |= {ARROW: (rows_of_arrow, to_arrow)} if pyarrow else {}


class Service:
    def __init__(self, path, max_rows, max_bytes):
        self.model = fastnn.load(path)
        known, self.kind = self.model.metadata, type(self.model).__name__
        if not known:
            raise ValueError(f"{path!r} holds a {self.kind} that is not fitted")
        self.n_features, self.names = known["n_features"], known.get("feature_names") or ()
        self.max_rows = max_rows
        self.max_bytes = max_bytes or min(2**24, 4096 + 32 * max_rows * self.n_features)
        self.classes = self.model.classes_.tolist() if self.kind == "MLPClassifier" else []
        summary = self.model.summary()
        self.about = {"kind": self.kind, **known, "classes": self.classes, "summary": str(summary)}
        self.few_rows = FEW_PRODUCTS // summary.n_params
        vars(self.model).pop("feature_names_in_", None)  # each row without them would warn
        self.predict(np.zeros((1, self.n_features)), to_json)  # or it can predict no row

    def check_shape(self, n_rows, widths):
        if n_rows > self.max_rows:
            raise HTTPException(413, f"there are more than {self.max_rows:,} rows")
        if widths != {self.n_features}:
            got = " and ".join(map(str, sorted(widths)[:2])) or "no rows"
            raise ValueError(f"a row has {self.n_features} features, got {got}")

    def predict(self, X, write):
        answers = {"predictions": self.model.predict(X)}
        if self.classes:
            answers["probabilities"] = self.model.predict_proba(X)
        return write(answers)

    async def answer(self, request):  # -> the number of rows, the response
        kind = request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
        if kind not in FORMATS or "content-encoding" in request.headers:
            why = "; this service has no pyarrow for Arrow" if pyarrow is None else ""
            raise HTTPException(415, f"send {' or '.join(FORMATS)}, not encoded otherwise{why}")
        body, (read, write) = bytearray(), FORMATS[kind]
        async for chunk in request.stream():
            body += chunk
            if len(body) > self.max_bytes:  # the server drops the rest
                raise HTTPException(413, f"the body has more than {self.max_bytes:,} bytes")
        try:
            X = await run(len(body) <= FEW_BYTES, read, body, self)
        except (ValueError, TypeError, LookupError, OverflowError, RuntimeError, OSError) as error:
            raise HTTPException(422, f"no rows for this model: {one_line(error)}") from None
        try:
            content = await run(len(X) <= self.few_rows, self.predict, X, write)
        except ValueError as error:  # infinity, in X or in what is predicted
            raise HTTPException(422, one_line(error)) from None
        return len(X), Response(content, media_type=kind)


async def run(at_once, function, *args):
    return function(*args) if at_once else await run_in_threadpool(function, *args)


class Metrics:
    BOUNDS = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5)

    def __init__(self):
        self.requests, self.rows, self.seconds = collections.Counter(), 0, 0.0
        self.buckets = [0] * (len(self.BOUNDS) + 1)

    def count(self, status, n_rows, seconds):
        self.requests[status] += 1
        self.rows += n_rows
        self.seconds += seconds
        self.buckets[bisect.bisect_left(self.BOUNDS, seconds)] += 1

    def __str__(self):
        buckets = zip([*self.BOUNDS, "+Inf"], itertools.accumulate(self.buckets), strict=True)
        return "\n".join([
            "# TYPE fastnn_requests_total counter",
            *(f'fastnn_requests_total{{status="{s}"}} {n}' for s, n in self.requests.items()),
            "# TYPE fastnn_rows_total counter", f"fastnn_rows_total {self.rows}",
            "# TYPE fastnn_request_seconds histogram",
            *(f'fastnn_request_seconds_bucket{{le="{bound}"}} {n}' for bound, n in buckets),
            f"fastnn_request_seconds_sum {self.seconds}",
            f"fastnn_request_seconds_count {sum(self.buckets)}", "",
        ])  # fmt: skip


def create_app():
    try:
        limits = [int(os.environ.get(f"FASTNN_MAX_{what}", 0)) for what in ("ROWS", "BYTES")]
        service = Service(os.environ.get("FASTNN_MODEL", ""), limits[0] or 10_000, limits[1])
    except (ValueError, OSError, ImportError) as error:
        raise SystemExit(f"error: {one_line(error)}") from None
    app, metrics = FastAPI(title=f"fastnn: {service.kind}"), Metrics()

    @app.post("/predict")
    async def predict(request: Request) -> Response:
        start, status, n_rows = time.perf_counter(), 500, 0
        try:
            n_rows, response = await service.answer(request)
            status = 200
            return response
        except HTTPException as error:
            status = error.status_code
            raise
        except ClientDisconnect:
            status = 400
            return Response(status_code=400)  # nobody reads it
        finally:
            metrics.count(status, n_rows, time.perf_counter() - start)

    @app.get("/health")
    async def health() -> dict:
        return {"status": "ok", "kind": service.kind, "n_features": service.n_features}

    @app.get("/model")
    async def model() -> dict:
        return service.about

    @app.get("/metrics")
    async def show_metrics() -> Response:
        return Response(str(metrics), media_type="text/plain; version=0.0.4")

    return app


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", default=os.environ.get("FASTNN_MODEL"))
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--workers", type=int, default=1, help="processes (1)")
    options = parser.parse_args()
    if options.model is None:
        parser.error("give a file, or set FASTNN_MODEL")
    os.environ["FASTNN_MODEL"] = options.model  # for the workers
    create_app()  # a bad file ends here, before any worker
    uvicorn.run(
        "service:create_app", factory=True, app_dir=os.path.dirname(os.path.abspath(__file__)),
        host=options.host, port=options.port, workers=options.workers, access_log=False,
    )  # fmt: skip


if __name__ == "__main__":
    main()
