"""examples/service.py over HTTP: the model's own answers, and a reason for what is refused."""

import contextlib
import http.client
import io
import json
import random
import re
import runpy
import subprocess
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import COMPILED_ONLY, PYTHON

from fastnn import MLPClassifier, MLPRegressor, Network

for needed in ("fastapi", "safetensors", "uvicorn"):
    pytest.importorskip(needed)

pytestmark = [
    COMPILED_ONLY,  # as it is to be fast
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

PROGRAM = Path(__file__).parent.parent / "examples" / "service.py"
JSON, ARROW = "application/json", "application/vnd.apache.arrow.stream"
MANY = 2500  # rows, read and predicted in a thread

rng = np.random.RandomState(0)
X, Y = rng.rand(60, 3), rng.rand(60, 2)
LABELS = np.array(["a", "b", "\u00e9"])[rng.randint(3, size=60)]
BINARY = (X[:, 0] > 0.5).astype(int)
ROWS = rng.standard_normal((MANY, 3))


def net(units, y, **options):
    return Network(units, "tanh", random_state=0, **options).fit(X, y, max_iter=4)


def estimator(cls, y, x=X, **options):
    return cls(hidden_layer_sizes=(4,), max_iter=4, random_state=0, **options).fit(x, y)


FRAME = pd.DataFrame(X, columns=["a", "b", "c"])
MODELS = {
    "Network": lambda: net([3, 4, 1], Y[:, 0]),
    "float32": lambda: net([3, 4, 2], Y, dtype="float32"),
    "softmax": lambda: net([3, 4, 3], np.eye(3)[BINARY], loss="log_loss"),
    "quantiles": lambda: net([3, 4, 2], Y[:, 0], loss="quantile", quantile=[0.1, 0.9]),
    "wide": lambda: Network([3, 700, 700, 1], random_state=0),  # a row or more in a thread
    "three classes": lambda: estimator(MLPClassifier, LABELS),
    "two classes": lambda: estimator(MLPClassifier, BINARY),
    "booleans": lambda: estimator(MLPClassifier, BINARY > 0),
    "objects": lambda: estimator(MLPClassifier, LABELS.astype(object)),
    "several labels": lambda: estimator(MLPClassifier, (X > 0.5).astype(int)),
    "a data frame": lambda: estimator(MLPClassifier, LABELS, FRAME),
    "regression": lambda: estimator(MLPRegressor, Y[:, 0]),
    "two outputs": lambda: estimator(MLPRegressor, Y, X.astype("float32")),
}

# Starting a service takes two seconds: this one has all models, each under its own path, and one
# of them once more with little allowed and without pyarrow.
SEVERAL = """
import importlib.util, os, sys
import fastapi, uvicorn

def app(path, **variables):
    spec = importlib.util.spec_from_file_location("service", sys.argv[1])
    service = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(service)
    os.environ.update(variables, FASTNN_MODEL=path)
    return service.create_app()

every = fastapi.FastAPI()
for i, path in enumerate(sys.argv[2:]):
    every.mount(f"/{i}", app(path))
pyarrow, sys.modules["pyarrow"] = sys.modules.get("pyarrow"), None
every.mount("/small", app(sys.argv[2], FASTNN_MAX_ROWS="50", FASTNN_MAX_BYTES="2000"))
del sys.modules["pyarrow"]  # scikit-learn looks, too
if pyarrow is not None:
    sys.modules["pyarrow"] = pyarrow
uvicorn.run(every, port=0)
"""


@contextlib.contextmanager
def running(*command):
    """The port of a service, which must end without a complaint."""
    child = subprocess.Popen([*PYTHON, "-P", *command], stderr=subprocess.PIPE, text=True)
    log = []
    try:
        for line in child.stderr:
            log.append(line)
            if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
                yield int(found[1])
                break
        else:
            pytest.fail("".join(log))
    finally:
        child.terminate()
        log.append(child.communicate()[1])
    if re.search("error|warning|traceback", "".join(log), re.IGNORECASE):
        pytest.fail("".join(log))


@pytest.fixture(scope="module")
def models():
    with np.errstate(all="ignore"):
        return {name: make() for name, make in MODELS.items()}


@pytest.fixture(scope="module")
def services(models, tmp_path_factory):
    """(port, name -> path)."""
    folder = tmp_path_factory.mktemp("models")
    files = [str(folder / f"{i}.fastnn") for i in range(len(models))]
    for model, file in zip(models.values(), files, strict=True):
        model.save(file)
    with running("-c", SEVERAL, str(PROGRAM), *files) as port:
        yield port, {"small": "/small", **{name: f"/{i}" for i, name in enumerate(models)}}


class Client:
    """One connection, kept alive."""

    def __init__(self, port, path=""):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.path = path

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.connection.close()

    def __call__(self, method, path, body=None, **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.connection.request(method, self.path + path, body, named)
        response = self.connection.getresponse()
        return response.status, response.read()

    def predict(self, rows):
        body = rows if isinstance(rows, (bytes, str)) else json.dumps({"rows": rows})
        status, answer = self("POST", "/predict", body, content_type=JSON)
        return status, json.loads(answer)


@pytest.fixture
def client(services):
    """name of a model -> its Client."""
    port, paths = services
    with contextlib.ExitStack() as stack:
        yield lambda name="Network": stack.enter_context(Client(port, paths[name]))


def answers(model, rows):
    """What must come back."""
    if hasattr(model, "feature_names_in_"):
        rows = pd.DataFrame(rows, columns=model.feature_names_in_)
    right = {"predictions": model.predict(rows)}
    if isinstance(model, MLPClassifier):
        right["probabilities"] = model.predict_proba(rows)
    return right


def assert_same(found, right):
    assert found.keys() == right.keys()
    for name, values in right.items():
        assert found[name] == values.tolist()
        if values.dtype.kind == "f":  # -0 and 0 are equal
            assert np.array(found[name], values.dtype).tobytes() == values.tobytes()


@pytest.mark.parametrize("name", MODELS)
def test_answers_are_the_models_own(client, models, name):
    ask = client(name)
    for rows in (ROWS[:1], ROWS[:7], ROWS, np.arange(6).reshape(2, 3)):
        status, found = ask.predict(rows.tolist())
        assert status == 200
        assert_same(found, answers(models[name], rows.astype(float)))


def test_many_clients_at_once(services, models):
    port, paths = services
    kinds = ["Network", "three classes", "two outputs"]
    right = {name: {n: answers(models[name], ROWS[:n]) for n in (1, 3, MANY)} for name in kinds}
    done, errors = [], []

    def ask(i):
        name = kinds[i % 3]
        try:
            with Client(port, paths[name]) as client:
                for j in range(12):
                    n = MANY if j == 5 else 1 + 2 * (j % 2)
                    status, found = client.predict(ROWS[:n].tolist())
                    assert status == 200
                    assert_same(found, right[name][n])
                    done.append(n)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(done) == 144


# ---- what is refused ----------------------------------------------------------------------------


BAD = {
    "nothing": ("", 422, "Expecting value"),
    "no JSON": ('{"rows": [[1, 2, 3]', 422, "Expecting ',' delimiter"),
    "no UTF-8": (b'{"rows": [["\xff"]]}', 422, "invalid start byte"),
    "too deep": ("[" * 100_000, 422, "recursion"),
    "no object": ("[[1, 2, 3]]", 422, r'not {"rows": \[\[...\], ...\]}'),
    "no rows": ('{"row": [[1, 2, 3]]}', 422, r'not {"rows": \[\[...\], ...\]}'),
    "a row alone": ('{"rows": [1, 2, 3]}', 422, r'not {"rows": \[\[...\], ...\]}'),
    "a text for rows": ('{"rows": "123"}', 422, r'not {"rows": \[\[...\], ...\]}'),
    "texts for rows": ('{"rows": ["123"]}', 422, r'not {"rows": \[\[...\], ...\]}'),
    "none": ([], 422, "a row has 3 features, got no rows"),
    "an empty row": ([[]], 422, "a row has 3 features, got 0"),
    "too narrow": ([[1, 2], [1, 2]], 422, "a row has 3 features, got 2"),
    "too wide": ([[1, 2, 3, 4]], 422, "a row has 3 features, got 4"),
    "ragged": ([[1, 2, 3], [1, 2]], 422, "a row has 3 features, got 2 and 3"),
    "a text": ([[1, 2, "three"]], 422, "must be real number, not str"),
    "a number as text": ([[1, 2, "3"]], 422, "must be real number, not str"),
    "null": ([[1, 2, None]], 422, "must be real number, not NoneType"),
    "too many dimensions": ([[[1], [2], [3]]], 422, "must be real number, not list"),
    "an object": ([[1, 2, {}]], 422, "must be real number, not dict"),
    "NaN": ([[1, 2, float("nan")]], 422, "(?i)nan"),
    "infinity": ([[1, 2, float("inf")]], 422, "(?i)inf"),
    "too large a number": ('{"rows": [[1, 2, 1e999]]}', 422, "(?i)inf"),
    "a large whole number": ([[1, 2, 10**400]], 422, "int too large"),
    "a huge whole number": (f'{{"rows": [[1, 2, {"9" * 9999}]]}}', 422, "integer string conver"),
    "too many rows": ([[1, 2, 3]] * 10_001, 413, "more than 10,000 rows"),
    "too many bytes": (b" " * 1_000_000, 413, "more than 964,096 bytes"),
}


@pytest.mark.parametrize("name", ["Network", "a data frame"])
@pytest.mark.parametrize("case", BAD)
def test_bad_rows_are_refused_with_a_reason(client, models, case, name):
    body, status, words = BAD[case]
    ask = client(name)
    found, answer = ask.predict(body)
    assert found == status
    assert answer.keys() == {"detail"}
    assert re.search(words, answer["detail"])
    assert "\n" not in answer["detail"]
    assert len(answer["detail"]) < 350
    status, answer = ask.predict(ROWS[:1].tolist())  # by the same connection
    assert status == 200
    assert_same(answer, answers(models[name], ROWS[:1]))


def test_what_other_models_refuse(client):
    status, answer = client("float32").predict([[1, 2, 1e300]])
    assert status == 422
    assert answer["detail"].endswith("(too large for float32); every value must be finite")
    status, answer = client("regression").predict([[1e308, -1e308, 1e308]])
    assert status in (200, 422)  # by the signs of the coefs
    for sign in (1, -1):
        status, answer = client("two outputs").predict([[sign * 1.7e308] * 3] * 2)
        if status == 422:
            assert "Out of range float values" in answer["detail"]
        else:
            assert np.isfinite(answer["predictions"]).all()


def test_other_requests_are_refused(client):
    ask = client()
    one = json.dumps({"rows": [[1, 2, 3]]})
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/json5", ""):
        status, answer = ask("POST", "/predict", one, content_type=kind)
        assert status == 415
        assert json.loads(answer)["detail"].startswith("send application/json")
    status, _ = ask("POST", "/predict", one, content_type=JSON, content_encoding="gzip")
    assert status == 415
    for kind in ("Application/JSON", "application/json; charset=utf-8"):
        assert ask("POST", "/predict", one, content_type=kind)[0] == 200
    assert ask("POST", "/predict", one)[0] == 200
    assert ask("GET", "/predict")[0] == 405
    assert ask("GET", "/nothing")[0] == 404


def test_limits_and_a_service_without_pyarrow(client):
    ask = client("small")
    assert ask.predict([[1, 2, 3]] * 50)[0] == 200
    status, answer = ask.predict([[1, 2, 3]] * 51)
    assert (status, answer["detail"]) == (413, "there are more than 50 rows")
    status, answer = ask.predict(b" " * 2001)
    assert (status, answer["detail"]) == (413, "the body has more than 2,000 bytes")
    status, answer = ask("POST", "/predict", b"", content_type=ARROW)
    assert status == 415
    assert "no pyarrow for Arrow" in json.loads(answer)["detail"]


def test_a_body_without_end_is_not_read(client):
    ask = client("small")
    ask.connection.putrequest("POST", "/small/predict")
    ask.connection.putheader("transfer-encoding", "chunked")
    ask.connection.endheaders()
    ask.connection.send(b"1000\r\n" + bytes(0x1000) + b"\r\n")
    response = ask.connection.getresponse()
    assert response.status == 413
    response.read()


def test_a_client_that_leaves(services, client):
    port, paths = services
    ask = client("wide")
    before = metrics(ask)
    with Client(port, paths["wide"]) as other:
        other.connection.putrequest("POST", f"{paths['wide']}/predict")
        other.connection.putheader("content-length", "100")
        other.connection.endheaders(b"{")
    for _ in range(1000):
        left = metrics(ask).get('requests_total{status="400"}', 0)
        if left:
            break
    assert left == before.get('requests_total{status="400"}', 0) + 1


# ---- Arrow --------------------------------------------------------------------------------------


def stream(columns, batch_rows=None, **options):
    pyarrow = pytest.importorskip("pyarrow")
    table, sink = pyarrow.table(columns), io.BytesIO()
    with pyarrow.ipc.new_stream(
        sink, table.schema, options=pyarrow.ipc.IpcWriteOptions(**options)
    ) as writer:
        writer.write_table(table, batch_rows)
    return sink.getvalue()


def by_arrow(ask, body):
    pyarrow = pytest.importorskip("pyarrow")
    status, answer = ask("POST", "/predict", body, content_type=ARROW)
    if status != 200:
        return status, json.loads(answer)["detail"]
    table = pyarrow.ipc.open_stream(answer).read_all()
    return status, {name: table[name].to_pylist() for name in table.column_names}


def columns(rows, names="abc"):
    return dict(zip(names, np.asarray(rows).T.copy(), strict=True))


@pytest.mark.parametrize("name", MODELS)
def test_arrow_gives_the_same(client, models, name):
    ask = client(name)
    for rows, size in ((ROWS[:1], None), (ROWS, 999), (ROWS[:9].astype("float32"), 4)):
        status, found = by_arrow(ask, stream(columns(rows), size))
        assert status == 200
        assert_same(found, answers(models[name], rows.astype(float)))
    mixed = {"a": np.arange(3, dtype="i1"), "b": ROWS[:3, 0], "c": np.arange(3, dtype="u4")}
    status, found = by_arrow(ask, stream(mixed))
    assert_same(found, answers(models[name], np.column_stack(list(mixed.values()))))


def test_columns_go_by_their_names(client, models):
    ask = client("a data frame")
    right = answers(models["a data frame"], ROWS[:5])
    assert_same(by_arrow(ask, stream(columns(ROWS[:5, ::-1], "cba")))[1], right)
    status, detail = by_arrow(ask, stream(columns(ROWS[:5], "abd")))
    assert status == 422
    assert '"c"' in detail


ONE = ROWS[:1]
BAD_ARROW = {
    "nothing": (lambda: b"", 422, "no rows"),
    "JSON": (lambda: b'{"rows": [[1, 2, 3]]}', 422, "no rows"),
    "cut": (lambda: stream(columns(ROWS))[:10_000], 422, "no rows"),
    "no batch": (lambda: stream(columns(ROWS[:0])), 422, "need at least one array"),
    "too narrow": (lambda: stream(columns(ONE[:, :2], "ab")), 422, "3 features, got 2"),
    "too wide": (lambda: stream(columns(ROWS[:1, [0, 1, 2, 2]], "abcd")), 422, "3 features, got"),
    "nulls": (lambda: stream({**columns(ONE), "c": [None]}), 422, "no rows"),
    "a null": (lambda: stream({**columns(ROWS[:2]), "c": [None, 1.0]}), 422, "(?i)null"),
    "texts": (lambda: stream({**columns(ONE), "c": ["1"]}), 422, "not supported: "),
    "truth values": (lambda: stream({**columns(ONE), "c": [True]}), 422, "not supported: "),
    "lists": (lambda: stream({**columns(ONE), "c": [[1.0]]}), 422, "not supported: "),
    "dates": (lambda: stream({**columns(ONE), "c": np.zeros(1, "M8[s]")}), 422, "not supported: "),
    "a dictionary": (
        lambda: stream({**columns(ONE), "c": pd.Categorical(["x"])}), 422, "no rows"),
    "NaN": (lambda: stream(columns(ONE * np.nan)), 422, "(?i)nan"),
    "infinity": (lambda: stream(columns(ONE * 0 + np.inf)), 422, "(?i)inf"),
    "zstd": (lambda: stream(columns(ROWS * 0), compression="zstd"), 422, "it is compressed"),
    "lz4": (lambda: stream(columns(ROWS * 0), compression="lz4"), 422, "it is compressed"),
    "too many rows": (lambda: stream(columns(np.zeros((10_001, 3)))), 413, "more than 10,000"),
    "too many in all": (lambda: stream(columns(np.zeros((12_000, 3))), 5000), 413, "than 10,000"),
    "too many bytes": (lambda: stream(columns(np.zeros((50_000, 3)))), 413, "964,096 bytes"),
}  # fmt: skip


@pytest.mark.parametrize("name", ["Network", "a data frame"])
@pytest.mark.parametrize("case", BAD_ARROW)
def test_bad_arrow_is_refused_with_a_reason(client, models, case, name):
    body, status, words = BAD_ARROW[case]
    ask = client(name)
    found, detail = by_arrow(ask, body())
    assert found == status, detail
    assert re.search(words, detail)
    assert "\n" not in detail
    assert len(detail) < 350
    assert_same(by_arrow(ask, stream(columns(ONE)))[1], answers(models[name], ONE))


def test_damaged_arrow_is_answered_or_refused(client, models):
    ask, draw, body = client(), random.Random(0), stream(columns(ROWS[:4]))
    statuses = set()
    for _ in range(300):
        damaged = bytearray(body)
        for _ in range(draw.choice([1, 2, 8])):
            damaged[draw.randrange(len(body))] = draw.randrange(256)
        status, _ = by_arrow(ask, bytes(damaged))
        statuses.add(status)
    assert statuses <= {200, 413, 422}
    assert_same(by_arrow(ask, body)[1], answers(models["Network"], ROWS[:4]))


# ---- what it tells, and how it starts -----------------------------------------------------------


def metrics(ask):
    status, text = ask("GET", "/metrics")
    assert status == 200
    lines = [line for line in text.decode().splitlines() if not line.startswith("#")]
    return {name.removeprefix("fastnn_"): float(n) for name, n in map(str.split, lines)}


def test_health_and_model(client, models):
    for name, model in models.items():
        ask = client(name)
        kind = type(model).__name__
        assert json.loads(ask("GET", "/health")[1]) == {
            "status": "ok", "kind": kind, "n_features": 3,
        }  # fmt: skip
        about = json.loads(ask("GET", "/model")[1])
        assert about.pop("summary") == str(model.summary())
        assert about.pop("kind") == kind
        classes = about.pop("classes")
        assert classes == (model.classes_.tolist() if isinstance(model, MLPClassifier) else [])
        assert about == model.metadata


def test_metrics_count_what_was_asked(services, client):
    ask = client("quantiles")
    before = metrics(ask)
    for n in (1, 2, 3, MANY):
        assert ask.predict(ROWS[:n].tolist())[0] == 200
    assert ask.predict([[1]])[0] == 422
    assert ask("POST", "/predict", "", content_type="text/plain")[0] == 415
    ask("GET", "/health")
    after = metrics(ask)
    more = {name: n - before.get(name, 0) for name, n in after.items()}
    assert more['requests_total{status="200"}'] == 4
    assert more['requests_total{status="422"}'] == 1
    assert more['requests_total{status="415"}'] == 1
    assert more["rows_total"] == 6 + MANY
    assert more["request_seconds_count"] == 6
    assert more["request_seconds_sum"] > 0
    buckets = [n for name, n in after.items() if "bucket" in name]
    assert len(buckets) == 14
    assert buckets == sorted(buckets)
    assert after['request_seconds_bucket{le="+Inf"}'] == after["request_seconds_count"]
    requests = sum(n for name, n in after.items() if name.startswith("requests_total"))
    assert requests == after["request_seconds_count"]


def test_the_program(models, tmp_path):
    path = tmp_path / "model.fastnn"
    models["three classes"].save(path)
    with running(str(PROGRAM), str(path), "--port", "0") as port, Client(port) as ask:
        status, found = ask.predict(ROWS.tolist())
        assert status == 200
        assert_same(found, answers(models["three classes"], ROWS))


def test_a_bad_file_ends_it_with_one_line(models, tmp_path, monkeypatch):
    damaged, unfitted = tmp_path / "damaged.fastnn", tmp_path / "unfitted.fastnn"
    models["Network"].save(damaged)
    data = bytearray(damaged.read_bytes())
    data[-5] ^= 1
    damaged.write_bytes(data)
    done = subprocess.run(
        [*PYTHON, "-P", str(PROGRAM), str(damaged)], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert re.fullmatch("error: .*damaged.*\n", done.stderr)
    MLPRegressor().save(unfitted)
    create_app = runpy.run_path(str(PROGRAM))["create_app"]
    for path, words in (
        (unfitted, "error: '.*' holds a MLPRegressor that is not fitted"),
        (tmp_path / "none", "error: .*No such file or directory: '.*none'"),
        (tmp_path, "error: .*Is a directory: .*"),
    ):
        monkeypatch.setenv("FASTNN_MODEL", str(path))
        with pytest.raises(SystemExit) as caught:
            create_app()
        assert re.fullmatch(words, caught.value.code)
