"""Every public name is documented by numpydoc's rules, and its examples run."""

import doctest
import importlib
import importlib.util
import inspect
import re
import warnings

import pytest

import fastnn
from fastnn import documentation

ROOMS = [name for name, room in fastnn._LAZY.items() if room is None]

# numpydoc's checks that are taste, with what speaks against them; all others hold
TASTE = {
    "ES01": "a summary may say all there is",
    "SA01": "the site's pages have their neighbours beside them",
}
# of the oracle, those that compute what the books have formulas for; the rest is memory, packing,
# threads and short ways of the kernels that it stands for, and has a summary each
ORACLE = (
    "activate", "dense_forward", "derivative", "draw_uniform", "forward", "loss_and_grad",
    "propagate_delta", "shuffle", "softmax", "solver_update", "train_epoch",
)  # fmt: skip
SUMMARY = ("GL", "SS")  # the checks of it
# what examples need that is not in the extra "test"
OPTIONAL = ("dask", "keras", "torch")


def import_room(room):
    """A public module; Dask may be missing."""
    if room == "dask":
        pytest.importorskip("dask")
    return importlib.import_module(f"fastnn.{room}") if room else fastnn


def names_of(room):
    """The public names of a module as dotted paths."""
    module = import_room(room)
    return [".".join(filter(None, ("fastnn", room, name))) for name in module.__all__]


def find(path):
    """The object of a dotted path, as it is stored in its class."""
    owner, name = path.rsplit(".", 1)
    room, *within = owner.removeprefix("fastnn").removeprefix(".").split(".")
    if room in ROOMS or not room:
        place = import_room(room)
    else:
        place, within = fastnn, [room, *within]
    for one in within:
        place = getattr(place, one)
    if not inspect.isclass(place):
        return getattr(place, name)
    return next(vars(cls)[name] for cls in place.__mro__ if name in vars(cls))


def members_of(path):
    """The public methods and properties that a class of fastnn's adds or replaces."""
    cls = find(path)
    found = []
    for name in dir(cls):
        owner = next((one for one in cls.__mro__ if name in vars(one)), None)
        if name.startswith("_") or owner is None or not owner.__module__.startswith("fastnn"):
            continue
        member = vars(owner)[name]
        is_described = inspect.isroutine(member) or hasattr(member, "__get__")
        # scikit-learn makes its set_..._request of each class
        if is_described and not is_scikit_learns(member, cls, name):
            found.append(f"{path}.{name}")
    return found


def is_scikit_learns(member, cls, name):
    """Whether it is made by scikit-learn, or has the docstring of its method, the very object."""
    if type(member).__module__.startswith("sklearn.utils._metadata"):
        return True
    theirs = (vars(one).get(name) for one in cls.__mro__ if one.__module__.startswith("sklearn"))
    docs = [getattr(one, "__doc__", None) for one in theirs if one is not None]
    return any(doc is not None and doc is member.__doc__ for doc in docs)


def is_documented_by_the_module(path):
    """Whether it is data: a type, or a pair of functions."""
    thing = find(path)
    return not (inspect.isclass(thing) or inspect.isroutine(thing) or isinstance(thing, property))


def examples_of(doc):
    return doctest.DocTestParser().get_examples(doc or "")


def every(kind):
    """(room, path) of all public names, "top", and of the members of classes, "members"."""
    found = []
    for room in ("", *ROOMS):
        if room == "dask" and importlib.util.find_spec("dask") is None:
            continue
        for path in names_of(room):
            if path == "fastnn.__version__" or is_documented_by_the_module(path):
                continue
            if kind == "top":
                found.append(path)
            elif inspect.isclass(find(path)):
                found += members_of(path)
    # under one of its paths each
    unique = {}
    for path in found:
        unique.setdefault(id(find(path)), path)
    return list(unique.values())


# ---- what there must be -------------------------------------------------------------------------


def test_rooms_name_what_is_public():
    for room in ROOMS:
        if room == "dask" and importlib.util.find_spec("dask") is None:
            continue
        module = import_room(room)
        assert module.__doc__
        for path in names_of(room):
            if is_documented_by_the_module(path):
                assert f"`{path.rsplit('.', 1)[1]}`" in module.__doc__


def faults_of(path, validate):
    """(code, message) of all that numpydoc finds, without what is taste."""
    found = validate(path)["errors"]
    if path.startswith("fastnn.reference.") and path.split(".")[2] not in ORACLE:
        found = [(code, text) for code, text in found if code.startswith(SUMMARY)]
    return {(code, text) for code, text in found if code not in (*TASTE, "EX01")}


def faults_of_scikit_learn(path, validate):
    """What it finds in the docstring of scikit-learn's whose sections were taken over."""
    cls, _, name = path.rpartition(".")
    thing = find(path)
    if inspect.isclass(thing):
        same = (c for c in thing.__mro__ if c.__name__ == thing.__name__)
        theirs = next((c for c in same if c.__module__.startswith("sklearn.")), None)
        return faults_of(f"{theirs.__module__}.{theirs.__name__}", validate) if theirs else set()
    if cls == "fastnn.model_selection":
        return faults_of(f"sklearn.model_selection.{name}", validate)
    bases = find(cls).__mro__ if inspect.isclass(find(cls)) else ()
    for base in bases:
        if base.__module__.startswith("sklearn.") and name in vars(base):
            return faults_of(f"{base.__module__}.{base.__name__}.{name}", validate)
    return set()


@pytest.mark.parametrize("path", every("top") + every("members"))
def test_numpydoc(path):
    validate = pytest.importorskip("numpydoc.validate").validate
    faults = faults_of(path, validate)
    if faults:
        faults -= faults_of_scikit_learn(path, validate)
    assert not faults


@pytest.mark.parametrize("path", every("top"))
def test_classes_and_functions_have_examples(path):
    if path.startswith("fastnn.reference.") and path.rsplit(".", 1)[1] not in ORACLE:
        pytest.skip("not the oracle's arithmetic")
    assert examples_of(find(path).__doc__)


@pytest.mark.parametrize("path", every("members"))
def test_methods_are_in_an_example(path):
    """Their own, or one of their class or a base of it, that calls or defines them."""
    member, (owner, name) = find(path), path.rsplit(".", 1)
    if isinstance(member, property) or owner.startswith("fastnn.reference."):
        return
    cls = find(owner)
    # `from_network` is `from_estimator`
    names = {name, *(other for other in dir(cls) if getattr(cls, other) == getattr(cls, name))}
    code = "".join(one.source for c in cls.__mro__ for one in examples_of(c.__doc__))
    called = re.search(rf"(\.|\bdef )({'|'.join(names)})\(", code)
    assert called or examples_of(getattr(member, "__doc__", None))


# ---- examples run -------------------------------------------------------------------------------


def undocumented_attributes(names):
    """Attributes of what an example has made that its class says nothing of."""
    public = {find(path) for path in every("top") if inspect.isclass(find(path))}
    found = set()
    for thing in names.values():
        cls = type(thing)
        if cls not in public:
            continue
        parts = documentation.sections(cls.__doc__)
        known = {
            name.strip()
            for part in ("Parameters", "Attributes")
            for entry in documentation.entries(parts.get(part, ""))
            for name in entry.split(",")
        }
        has = {name for name in vars(thing) if not name.startswith("_")}
        found |= {f"{cls.__name__}.{name}" for name in has - known}
    return found


@pytest.fixture
def threads_as_before():
    yield
    fastnn.set_num_threads(None)


WRITES_A_FILE = re.compile(r'\b(save|load|load_with_fit|Checkpoint|check_path)\([^)]*"')


@pytest.mark.usefixtures("without_windows", "threads_as_before")
@pytest.mark.parametrize(
    "path",
    [one for one in every("top") + every("members") if examples_of(find(one).__doc__)],
)
def test_examples(path, tmp_path, monkeypatch):
    doc = find(path).__doc__
    for name in OPTIONAL:
        if re.search(rf">>> import {name}\b", doc):
            pytest.importorskip(name)
    if WRITES_A_FILE.search(doc):
        pytest.importorskip("safetensors")
    monkeypatch.chdir(tmp_path)  # some write files
    names = {}
    test = doctest.DocTestParser().get_doctest(doc, names, path, None, None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)  # Keras
        result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, clear_globs=False)
    assert (result.failed, result.attempted) == (0, len(examples_of(doc)))
    assert not undocumented_attributes(names)
