"""A trained model as one file of C99, for programs and devices without Python.

The file has the parameters as constants and nothing that changes: no allocation, no state, and so
any number of threads may call it at once. Hidden layers use two arrays on the stack in turns.
`c_math` has the C of activations and mathematical functions.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastnn.catalog import activations
from fastnn.catalog.activations import ActivationName
from fastnn.data import checks
from fastnn.files import c_math
from fastnn.files.container import replace_file
from fastnn.network import Network

if TYPE_CHECKING:
    from fastnn.estimators import MLPClassifier, MLPRegressor

CType: TypeAlias = Literal["float64", "float32", "int8"]
#: types of coefs in C -> the type of arithmetic there
REALS = {"float64": "double", "float32": "float", "int8": "float"}

_KEYWORDS = frozenset(
    "auto break case char const continue default do double else enum extern float for goto if "
    "inline int long register restrict return short signed sizeof static struct switch typedef "
    "union unsigned void volatile while".split()
)


def to_c(
    model: Network | MLPClassifier | MLPRegressor,
    path: str | os.PathLike[str] | None = None,
    *,
    dtype: CType | None = None,
    name: str = "model",
    libm: bool = True,
    main: bool = True,
) -> str:
    """A trained model as the source of one file of C99.

    The file has the function ``void NAME_predict(const T *x, T *y)`` for one row, with T float or
    double: ``x`` are NAME_N_FEATURES numbers, ``y`` NAME_N_OUTPUTS as `predict` gives them, or
    `predict_proba` of a classifier. A classifier's has ``int NAME_label(const T *x)``, too, the
    index of `predict`'s label in `classes_`; for several labels of a row it is
    ``void NAME_labels(const T *x, int *labels)``, 0 or 1 for each.

    Parameters
    ----------
    model : Network, MLPClassifier or MLPRegressor
        A network as it is, or an estimator after its fit.
    path : path-like, optional
        Where to write the source, too. A file there is replaced in one step.
    dtype : {"float64", "float32", "int8"}, optional
        Of coefs and arithmetic; by default the model's own. With ``"int8"`` each unit's coefs are
        whole numbers from -127 to 127 times a scale, which takes a quarter of the memory of
        float32; everything else is float32.
    name : str
        What all names in the file begin with, as a C identifier.
    libm : bool
        Whether to call <math.h>. If not, the file has exp, tanh and the like itself, and links
        without ``-lm``.
    main : bool
        Whether to add a program, compiled if NAME_MAIN is defined: it reads rows of numbers,
        between them spaces or commas, from its input, and prints the outputs of each.

    Returns
    -------
    str
        ASCII.

    Raises
    ------
    TypeError
        If model is none.
    sklearn.exceptions.NotFittedError
        For an estimator before its fit.
    ValueError
        If a parameter is not finite or too large for the type, or another argument is bad.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> from fastnn import Network
    >>> from fastnn import to_c
    >>> source = to_c(Network([2, 8, 1], "tanh", random_state=0), dtype="float32", name="xor")
    >>> [line for line in source.splitlines() if line.endswith(";")][0]
    'void xor_predict(const float *x, float *y);'
    """
    prefix = check_name("name", name)
    libm, main = checks.boolean("libm", libm), checks.boolean("main", main)
    parts = _parts_of(model)
    if dtype is None:
        checked: str = parts.dtype.name
    else:
        checked = checks.choice("dtype", dtype, {known: known for known in REALS})
    source = _source(parts, checked, prefix, libm, main)
    if path is not None:
        _write(path, source)
    return source


def check_name(argument: str, name: Any) -> str:
    """name, as what names in C can begin with.

    Raises
    ------
    TypeError, ValueError
        In a line that names the argument.
    """
    if not isinstance(name, str):
        raise TypeError(f"{argument} must be a C identifier, got {checks.shown(name)}")
    if not re.fullmatch("[A-Za-z][A-Za-z0-9_]*", name) or name in _KEYWORDS:
        raise ValueError(
            f"{argument} must be a C identifier, letters, digits and _ after a letter, and no "
            f"keyword, got {checks.shown(name)}"
        )
    return str(name)


def quantised(coefs: NDArray[Any]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Coefs as whole numbers from -127 to 127, and the scale of each unit.

    Parameters
    ----------
    coefs : ndarray, (fan_in, fan_out)

    Returns
    -------
    ndarray of int8, (fan_in, fan_out)
    ndarray of float32, (fan_out,)
        By which they are multiplied.
    """
    wide = coefs.astype(np.float64)
    scales = (np.abs(wide).max(axis=0) / 127).astype(np.float32)
    scales[scales == 0] = 1
    # a scale that is no normal number may be rounded far down
    whole = np.clip(np.rint(wide / scales), -127, 127)
    return whole.astype(np.int8), scales


# ---- models -------------------------------------------------------------------------------------


class _Parts(NamedTuple):
    """What the C is made from.

    Attributes
    ----------
    kind : str
        Of the model, for the file's first line.
    layer_units : list of int
    activations : list of str
    coefs, intercepts : list of ndarray
    dtype : dtype
    sorts : bool
        Whether outputs are sorted.
    classes : list or None
        Of a classifier.
    several : bool
        Whether a row may have several of them.
    """

    kind: str
    layer_units: list[int]
    activations: list[ActivationName]
    coefs: list[NDArray[Any]]
    intercepts: list[NDArray[Any]]
    dtype: np.dtype[Any]
    sorts: bool
    classes: list[Any] | None = None
    several: bool = False

    @property
    def both(self) -> bool:
        """Whether one output stands for two classes."""
        return self.classes is not None and self.layer_units[-1] == 1

    @property
    def n_outputs(self) -> int:
        return 2 if self.both else self.layer_units[-1]


def _parts_of(model: Any) -> _Parts:
    if isinstance(model, Network):
        sorts = model.loss_function == "quantile"
        return _Parts(
            "Network", list(model.layer_units), list(model.activations), list(model.coefs_),
            list(model.intercepts_), model.dtype, sorts and model.layer_units[-1] > 1,
        )  # fmt: skip
    # not by way of sklearn.neural_network, where patch_sklearn may have put fastnn's
    from sklearn.neural_network import _multilayer_perceptron as originals
    from sklearn.utils.validation import check_is_fitted

    if not isinstance(model, (originals.MLPClassifier, originals.MLPRegressor)):
        hint = "; of a pipeline give the last step" if hasattr(model, "steps") else ""
        raise TypeError(
            "model must be a Network, MLPClassifier or MLPRegressor, got "
            f"{checks.shown(model)}{hint}"
        )
    check_is_fitted(model)
    return _parts_of_estimator(model, isinstance(model, originals.MLPClassifier))


def _parts_of_estimator(model: Any, is_classifier: bool) -> _Parts:
    from fastnn.estimators import arrays

    coefs, intercepts = (
        list(map(np.asarray, model.coefs_)),
        list(map(np.asarray, model.intercepts_)),
    )
    units = arrays.units_of(coefs, intercepts).tolist()
    # scikit-learn's own check was in fit, and the parameter may have changed
    hidden = checks.choice("activation", model.activation, activations.HIDDEN_SPELLINGS)
    out = activations.SPELLINGS[model.out_activation_]
    return _Parts(
        "MLPClassifier" if is_classifier else "MLPRegressor",
        units,
        [hidden] * (len(units) - 2) + [out],
        coefs,
        intercepts,
        arrays.float_type(*coefs, *intercepts),
        getattr(model, "loss", "") == "quantile" and units[-1] > 1,
        list(model.classes_) if is_classifier else None,
        is_classifier and units[-1] > 1 and out == "sigmoid",
    )


# ---- the file -----------------------------------------------------------------------------------

_TITLE = """\
/* {kind} {units} ({activations}), {dtype}; written by fastnn.
 *
 * C99. Nothing is allocated and nothing kept: any number of threads may call it at once.
 */
"""

_PREDICT = """
/* y[M_N_OUTPUTS], {outputs}, for x[M_N_FEATURES]; they must not overlap */
void m_predict(const real *x, real *y);
"""

_LABEL = """
/* the index of the class of x[M_N_FEATURES], the first of equal ones */
int m_label(const real *x);
"""

_LABELS = """
/* labels[M_N_OUTPUTS], 1 for each class that x[M_N_FEATURES] has, else 0 */
void m_labels(const real *x, int *labels);
"""

# In the order of the kernels' sums; the next unit's addition need not wait for this one's.
_DENSE = """
/* z[n_out]: the intercepts and x[n_in] times the coefs, (n_in, n_out) */
static void m_dense(const real *x, int n_in, const real *coefs, const real *intercepts,
                    int n_out, real *restrict z)
{
    for (int n = 0; n < n_out; n++) z[n] = intercepts[n];
    for (int k = 0; k < n_in; k++, coefs += n_out) {
        for (int n = 0; n < n_out; n++) z[n] += x[k] * coefs[n];
    }
}
"""

_DENSE_INT8 = """
/* z[n_out]: the intercepts and x[n_in] times the coefs, (n_in, n_out), times each unit's scale */
static void m_dense(const real *x, int n_in, const int8_t *coefs, const real *scales,
                    const real *intercepts, int n_out, real *restrict z)
{
    for (int n = 0; n < n_out; n++) z[n] = 0.0;
    for (int k = 0; k < n_in; k++, coefs += n_out) {
        for (int n = 0; n < n_out; n++) z[n] += x[k] * (real)coefs[n];
    }
    for (int n = 0; n < n_out; n++) z[n] = intercepts[n] + scales[n] * z[n];
}
"""

_SORT = """
/* by insertion */
static void m_sort(real *z, int n)
{
    for (int i = 1; i < n; i++) {
        const real one = z[i];
        int at = i;
        for (; at > 0 && z[at - 1] > one; at--) z[at] = z[at - 1];
        z[at] = one;
    }
}
"""

_LABEL_OF_ONE = """
int m_label(const real *x)
{
    (void)x;
    return 0;
}
"""

_LABEL_OF_TWO = """
int m_label(const real *x)
{
    real y[M_N_OUTPUTS];
    m_predict(x, y);
    return y[1] > 0.5;
}
"""

_LABEL_OF_MANY = """
int m_label(const real *x)
{
    real y[M_N_OUTPUTS];
    int best = 0;
    m_predict(x, y);
    for (int n = 1; n < M_N_OUTPUTS; n++) {
        if (y[n] > y[best]) best = n;
    }
    return best;
}
"""

_LABELS_OF_MANY = """
void m_labels(const real *x, int *labels)
{
    real y[M_N_OUTPUTS];
    m_predict(x, y);
    for (int n = 0; n < M_N_OUTPUTS; n++) labels[n] = y[n] > 0.5;
}
"""

_MAIN = """
#ifdef M_MAIN
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A line of the input: 1; 0 if it is too long or has a zero byte, -1 if there is none. */
static int m_line(char *line, int size)
{
    int n = 0, c = getchar();
    if (c == EOF) return -1;
    for (; c != '\\n' && c != EOF; c = getchar()) {
        if (c == '\\0' || n == size - 1) return 0;
        line[n++] = (char)c;
    }
    line[n] = '\\0';
    return 1;
}

/* Whether a line is M_N_FEATURES finite numbers, with spaces or one comma between them. */
static int m_row(const char *line, real *x)
{
    for (int k = 0; k < M_N_FEATURES; k++) {
        char *end;
        line += strspn(line, " \\t");
        if (k > 0 && *line == ',') line++;
        x[k] = STRTO(line, &end);
        if (end == line || strchr(" \\t\\r,", *end) == NULL || x[k] - x[k] != 0.0) return 0;
        line = end;
    }
    return line[strspn(line, " \\t\\r")] == '\\0';
}

int main(void)
{
    char line[32 * M_N_FEATURES + 64];
    real x[M_N_FEATURES], y[M_N_OUTPUTS];
    int whole;
    for (unsigned long row = 1; (whole = m_line(line, (int)sizeof line)) >= 0; row++) {
        if (whole && line[strspn(line, " \\t\\r")] == '\\0') continue;
        if (!whole || !m_row(line, x)) {
            fprintf(stderr, "line %lu is not %d finite numbers\\n", row, M_N_FEATURES);
            return 1;
        }
        m_predict(x, y);
        for (int n = 0; n < M_N_OUTPUTS; n++) {
            printf("%s%.DIGITSg", n > 0 ? " " : "", (double)y[n]);
        }
        putchar('\\n');
    }
    return ferror(stdin) || fflush(stdout) != 0 || ferror(stdout);
}
#endif
"""


def _source(parts: _Parts, dtype: str, name: str, libm: bool, main: bool) -> str:
    real = REALS[dtype]
    functions = (
        (_DENSE_INT8 if dtype == "int8" else _DENSE)
        + c_math.activation_functions(parts.activations)
        + (_SORT if parts.sorts else "")
        + _predict(parts, dtype)
        + _labels(parts)
    )
    mathematics = c_math.mathematics(functions, real, libm)
    includes = []
    if libm and c_math.calls(functions):
        includes.append("#include <math.h>\n")
    if dtype == "int8" or (mathematics and not libm) or _holds_whole(parts.classes):
        includes.append("#include <stdint.h>\n")
    if main:
        strto, digits = ("strtof", "9") if real == "float" else ("strtod", "17")
        functions += _MAIN.replace("STRTO", strto).replace("DIGITS", digits)

    def in_c(text: str) -> str:
        return c_math.in_c(text, name, real, libm)

    title = _TITLE.format(
        kind=parts.kind,
        units="-".join(map(str, parts.layer_units)),
        activations=", ".join(parts.activations),
        dtype=dtype,
    )
    sizes = (
        f"\n#define M_N_FEATURES {parts.layer_units[0]}\n#define M_N_OUTPUTS {parts.n_outputs}\n"
    )
    return "".join(
        [
            title, *includes, in_c(sizes + _declarations(parts)), *_classes(parts.classes, name),
            *_tables(parts, dtype, name), in_c(mathematics + functions),
        ]
    )  # fmt: skip


def _declarations(parts: _Parts) -> str:
    outputs = "the outputs"
    if parts.classes is not None:
        outputs = "the probability of each class"
    elif parts.sorts:
        outputs = "the quantiles"
    label = "" if parts.classes is None else _LABELS if parts.several else _LABEL
    return _PREDICT.format(outputs=outputs) + label


def _predict(parts: _Parts, dtype: str) -> str:
    """The function, a call or two for each layer."""
    widths = parts.layer_units[1:-1]
    names = [("a", "b")[i % 2] for i in range(len(widths))]  # of the arrays of hidden layers
    lines = []
    if widths:
        arrays = [f"{array}[{max(widths[i::2])}]" for i, array in enumerate("ab") if widths[i::2]]
        lines.append(f"real {', '.join(arrays)};")
    source, sources = "x", [*names, "y + 1" if parts.both else "y"]
    for i, (into, function) in enumerate(zip(sources, parts.activations, strict=True)):
        n_in, n_out = parts.layer_units[i : i + 2]
        scales = f"m_scales_{i + 1}, " if dtype == "int8" else ""
        lines.append(
            f"m_dense({source}, {n_in}, m_coefs_{i + 1}, {scales}m_intercepts_{i + 1}, {n_out}, "
            f"{into});"
        )
        if function == "softmax":
            lines.append(f"m_softmax({into}, {n_out});")
        elif c_math.ACTIVATIONS[function] is not None:
            one = "y[1]" if into == "y + 1" else f"{into}[{'0' if n_out == 1 else 'i'}]"
            loop = "" if n_out == 1 else f"for (int i = 0; i < {n_out}; i++) "
            lines.append(f"{loop}{one} = m_{function}({one});")
        source = into
    if parts.both:
        lines.append("y[0] = 1.0 - y[1];")
    if parts.sorts:
        lines.append(f"m_sort(y, {parts.n_outputs});")
    body = "".join(f"    {line}\n" for line in lines)
    return f"\nvoid m_predict(const real *x, real *y)\n{{\n{body}}}\n"


def _labels(parts: _Parts) -> str:
    if parts.classes is None:
        return ""
    if parts.several:
        return _LABELS_OF_MANY
    if parts.both:
        return _LABEL_OF_ONE if len(parts.classes) == 1 else _LABEL_OF_TWO
    return _LABEL_OF_MANY


# ---- numbers and labels -------------------------------------------------------------------------


def _tables(parts: _Parts, dtype: str, name: str) -> Iterator[str]:
    """The parameters, layer by layer."""
    real = np.dtype(np.float64 if dtype == "float64" else np.float32)
    for i, (coefs, intercepts) in enumerate(zip(parts.coefs, parts.intercepts, strict=True)):
        checked = checks.finite_array(f"coefs_[{i}]", coefs, real)
        offsets = checks.finite_array(f"intercepts_[{i}]", intercepts, real)
        if dtype == "int8":
            whole, scales = quantised(checked)
            yield _table("int8_t", f"{name}_coefs_{i + 1}", whole)
            yield _table("float", f"{name}_scales_{i + 1}", scales[np.newaxis])
        else:
            yield _table(REALS[dtype], f"{name}_coefs_{i + 1}", checked)
        yield _table(REALS[dtype], f"{name}_intercepts_{i + 1}", offsets[np.newaxis])


_FORMATS = {  # how numbers are written, what follows each, and how many a line
    "double": (".17g", "", 3), "float": (".9g", "f", 6), "int8_t": ("d", "", 18),
}  # fmt: skip


def _table(kind: str, name: str, rows: NDArray[Any]) -> str:
    """A constant array; each row begins a line."""
    form, suffix, n = _FORMATS[kind]
    lines = []
    for row in rows.tolist():
        texts = [_number(value, form) + suffix for value in row]
        lines += [", ".join(texts[at : at + n]) for at in range(0, len(texts), n)]
    values = ",\n".join(f"    {line}" for line in lines)
    return f"\nstatic const {kind} {name}[{rows.size}] = {{\n{values},\n}};\n"


def _number(value: float, form: str) -> str:
    text = format(value, form)
    return text if form == "d" or "." in text or "e" in text else f"{text}.0"


def _holds_whole(classes: list[Any] | None) -> bool:
    """Whether classes are whole numbers that int32_t holds."""
    return classes is not None and all(
        isinstance(one, (int, np.integer)) and not isinstance(one, bool) and abs(int(one)) < 2**31
        for one in classes
    )


def _classes(classes: list[Any] | None, name: str) -> list[str]:
    """The labels as a table, of whole numbers or of text, for the program that asks for one."""
    if classes is None:
        return []
    if _holds_whole(classes):
        items, kind, size = [str(int(one)) for one in classes], "int32_t", ""
    else:
        texts = [str(one).encode() for one in classes]
        items = [f'"{_escaped(text)}"' for text in texts]
        kind, size = "char", f"[{max(map(len, texts)) + 1}]"
    lines = "".join(f"    {item},\n" for item in items)
    declared = f"const {kind} {name}_classes[{len(items)}]{size}"
    return [f"\n/* the labels */\nextern {declared};\n{declared} = {{\n{lines}}};\n"]


def _escaped(text: bytes) -> str:
    """As in a string of C: letters, digits and spaces stay, all else is three octal digits."""
    return "".join(
        chr(byte) if (chr(byte).isalnum() and byte < 128) or byte == 32 else f"\\{byte:03o}"
        for byte in text
    )


# ---- writing ------------------------------------------------------------------------------------


def _write(path: str | os.PathLike[str], source: str) -> None:
    if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
        # a pipe or a device, which must not be replaced
        with open(path, "w", encoding="ascii", newline="\n") as file:
            file.write(source)
    else:
        replace_file(path, [source.encode("ascii")])
