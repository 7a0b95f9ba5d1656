"""What exported C computes with: a row for each activation, and mathematical functions.

The C is written for double: `real` stands for the type, and constants get the suffix of float
where that is the type. `f_exp` and the like are functions that the file has itself or, if they are
not among the texts here, those of <math.h>. The formulas are those of kernels/simd/math.h and
activations.h, and so are the coefficients of the polynomials. NaN passes through everything, and
no number is converted to int that does not fit.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Mapping

# name -> the body of a function of one weighted sum z, or for softmax of the n sums z[];
# None: there is nothing to compute
ACTIVATIONS: dict[str, str | None] = {
    "identity": None,
    "sigmoid": """
    const real e = f_exp(z < 0.0 ? z : -z);
    return (z < 0.0 ? e : 1.0) / (1.0 + e);
""",
    "tanh": """
    return f_tanh(z);
""",
    "relu": """
    return z < 0.0 ? 0.0 : z;
""",
    "softmax": """
    real top = z[0], sum = 0.0;
    for (int i = 1; i < n; i++) top = z[i] > top ? z[i] : top;
    for (int i = 0; i < n; i++) {
        z[i] = f_exp(z[i] - top);
        sum += z[i];
    }
    for (int i = 0; i < n; i++) z[i] /= sum;
""",
    "exp": """
    return f_exp(z);
""",
    # z is bounded below, as 0 times infinity is NaN; the product is 0 long before
    "silu": """
    const real e = f_exp(z < 0.0 ? z : -z);
    return z < 0.0 ? (z < -1.0e4 ? -1.0e4 : z) * (e / (1.0 + e)) : z / (1.0 + e);
""",
    "elu": """
    return z > 0.0 ? z : f_expm1(z);
""",
    "leaky_relu": """
    return z > 0.0 ? z : 0.01 * z;
""",
    "selu": """
    return z > 0.0 ? 1.0507009873554805 * z : 1.7580993408473768 * f_expm1(z);
""",
    # both gates as max(0, z) + y P(y) with y = -|z|, whose second term is 0 below -40
    "gelu": """
    const real below = z < 0.0 ? z : -z;
    const real y = below < -40.0 ? -40.0 : below;
    return (z < 0.0 ? 0.0 : z) + y * f_normal_tail(y);
""",
    "gelu_tanh": """
    const real below = z < 0.0 ? z : -z;
    const real y = below < -40.0 ? -40.0 : below;
    const real e = f_exp(y * (1.5957691216057308 + y * y * 0.07135481627260025));
    return (z < 0.0 ? 0.0 : z) + y * (e / (1.0 + e));
""",
    # tanh(log(1 + e)) = n / (n + 2) with n = e (e + 2), which is 1 to the last bit from 20 on
    "mish": """
    const real t = z < -1.0e4 ? -1.0e4 : z;
    const real e = f_exp(t > 20.0 ? 20.0 : t);
    const real n = e * (e + 2.0);
    return t > 20.0 ? t : t * (n / (n + 2.0));
""",
    "softplus": """
    return (z < 0.0 ? 0.0 : z) + f_log1p(f_exp(z < 0.0 ? z : -z));
""",
}

# ---- functions that the file has itself, with <math.h> or without -------------------------------

_WITH_LIBM = {
    "normal_tail": """
/* P(y) for y <= 0, with P the standard normal distribution */
static real f_normal_tail(real y)
{
    return 0.5 * f_erfc(y * -0.7071067811865476);
}
""",
}

_WITHOUT_LIBM = {
    "power_of_2": """
/* 2^n of normal size */
static real f_power_of_2(int n)
{
    union {
        $bits bits;
        real value;
    } power;
    power.bits = ($bits)(n + $bias) << $mantissa;
    return power.value;
}
""",
    "exp_parts": """
/* e^r - 1, with x = n ln 2 + r and |r| <= ln(2) / 2 (Cody and Waite, 1980); |x| < 1000 */
static real f_exp_parts(real x, int *n)
{
    *n = (int)(x * 1.4426950408889634 + (x < 0.0 ? -0.5 : 0.5));
    const real r = (x - (real)*n * $ln2_high) - (real)*n * $ln2_low;
$exp_polynomial
    return q * r * r + r;
}
""",
    "exp": """
/* e^x, in two factors: 2^n may be out of range where the product is not */
static real f_exp(real x)
{
    int n;
    if (x != x) return x;
    if (x < $exp_low) return 0.0;
    const real p = f_exp_parts(x > $exp_high ? $exp_high : x, &n) + 1.0;
    return p * f_power_of_2(n / 2) * f_power_of_2(n - n / 2);
}
""",
    "expm1": """
/* e^x - 1 for x <= 40 */
static real f_expm1(real x)
{
    int n;
    if (x != x) return x;
    if (x < -40.0) return -1.0;
    const real p = f_exp_parts(x, &n), power = f_power_of_2(n);
    return power * p + (power - 1.0);
}
""",
    "tanh": """
/* tanh |x| = m / (m + 2) with m = e^2|x| - 1; then the sign */
static real f_tanh(real x)
{
    const real size = x < 0.0 ? -x : x;
    const real m = f_expm1(size > 20.0 ? 40.0 : 2.0 * size);
    const real t = m / (m + 2.0);
    return x < 0.0 ? -t : t;
}
""",
    "log1p": """
/* log(1 + x) for 0 <= x <= 1, as x - s (x - R) with s = x / (2 + x) (as in fdlibm) */
static real f_log1p(real x)
{
    const real s = x / (2.0 + x), t = s * s;
$log1p_polynomial
    return x - s * (x - t * q);
}
""",
    "normal_tail": """
/* P(y) for -40 <= y <= 0, with P the standard normal distribution (Schonfelder, 1978) */
static real f_normal_tail(real y)
{
    const real r = 1.0 / ($normal_k - y), w = ($normal_k + y) * r;
$normal_polynomial
    return q * r * f_exp(-0.5 * y * y);
}
""",
}

# What differs between the types. A polynomial is a variable and coefficients, the highest first.
_FLOAT: dict[str, object] = {
    "bits": "uint32_t", "bias": 127, "mantissa": 23,
    "ln2_high": "0.693359375", "ln2_low": "-2.12194440e-4",
    "exp_low": "-104.0", "exp_high": "89.0", "normal_k": "3.33333333",
    "exp_polynomial": (
        "r", "0.0013926249079586229595", "0.0083632314812165317451", "0.041666554223524584098",
        "0.16666576674557560553", "0.5",
    ),
    "log1p_polynomial": (
        "t", "0.23224329224", "0.21706575801", "0.28592357994", "0.39999706332", "0.66666667321",
    ),
    "normal_polynomial": (
        "w", "-0.00013561223881", "0.00025852797139", "0.00093457896874", "-0.0019009224368",
        "-0.0080773219692", "0.0060538320997", "0.092534229313", "0.28849900864", "0.54859829672",
        "0.73990204388",
    ),
}  # fmt: skip
_DOUBLE: dict[str, object] = {
    "bits": "uint64_t", "bias": 1023, "mantissa": 52,
    "ln2_high": "6.93147180369123816490e-01", "ln2_low": "1.90821492927058770002e-10",
    "exp_low": "-746.0", "exp_high": "710.0", "normal_k": "5.5",
    "exp_polynomial": (
        "r", "2.5100470238808523288e-8", "2.7620198643234750489e-7", "2.7557268281679975787e-6",
        "0.000024801521064076527495", "0.00019841269863168477959", "0.0013888888917363077957",
        "0.0083333333333300388147", "0.04166666666662382856", "0.1666666666666666746",
        "0.50000000000000010311",
    ),
    "log1p_polynomial": (
        "t", "0.16164045611943532221", "0.088007384861446738822", "0.12001072809590712535",
        "0.1331414420965493615", "0.15385570064958623103", "0.18181789436132858169",
        "0.22222222717427862989", "0.28571428567108757162", "0.40000000000014582673",
        "0.66666666666666658561",
    ),
    "normal_polynomial": (
        "w", "2.6013491487333842748e-9", "-5.7284834863226477133e-9", "-2.2906842090881906431e-8",
        "5.0415987571369432187e-8", "1.7742309493703738343e-7", "-2.67907852310451998e-7",
        "-1.4836426875354914489e-6", "4.4639137971164352513e-7", "0.000012118753690630753367",
        "0.000016319986542941115926", "-0.000071414795692969453894", "-0.00032452265910987579765",
        "-0.00026960401354250890777", "0.0024429826767521777165", "0.013923510567397066995",
        "0.045097580814584298715", "0.10970308995858995247", "0.21787243285797904842",
        "0.36704906529362424585", "0.53559648906249422376", "0.68518342057433806625",
        "0.77376963427640676905",
    ),
}  # fmt: skip
_CONSTANTS = {"float": _FLOAT, "double": _DOUBLE}

# f_exp, m_tanh, M_N_OUTPUTS, real, or a constant
_WORD = re.compile(r"\b(?:f_(\w+)|(m_|M_)|(real)\b)|(?<![\w.])(\d+\.\d+(?:e[-+]?\d+)?)")
_CALL = re.compile(r"\bf_(\w+)")


def activation_functions(names: Iterable[str]) -> str:
    """The functions of these activations, each once, to be passed to `in_c`."""
    texts = []
    for name in dict.fromkeys(names):
        body = ACTIVATIONS[name]
        if body is not None:
            head = "void m_{}(real *z, int n)" if name == "softmax" else "real m_{}(real z)"
            texts.append(f"\nstatic {head.format(name)}\n{{{body}}}\n")
    return "".join(texts)


def calls(text: str) -> bool:
    """Whether `text` calls any mathematical function."""
    return _CALL.search(text) is not None


def mathematics(text: str, real: str, libm: bool) -> str:
    """The functions that `text` calls, and those that they call, to be passed to `in_c`."""
    known = _WITH_LIBM if libm else _WITHOUT_LIBM
    asked = _calls_of(text, known)
    return "".join(_with_constants(known[name], real) for name in known if name in asked)


def in_c(text: str, name: str, real: str, libm: bool) -> str:
    """A text as it stands in the file.

    Parameters
    ----------
    text : str
        With `real`, mathematical functions `f_exp`, other names of the file that begin with
        `m_`, macros that begin with `M_`, and constants of double.
    name : str
        The model's.
    real : {"float", "double"}
    libm : bool
        Whether functions that have no text here are those of <math.h>.
    """
    known = _WITH_LIBM if libm else _WITHOUT_LIBM
    suffix = "f" if real == "float" else ""

    def word(match: re.Match[str]) -> str:
        function, own, is_real, constant = match.groups()
        if function:
            return f"{name}_math_{function}" if function in known else f"{function}{suffix}"
        if own:
            return f"{name}_" if own == "m_" else f"{name.upper()}_"
        return real if is_real else f"{constant}{suffix}"

    return _WORD.sub(word, text)  # in one pass: the name may look like anything


def _calls_of(text: str, known: Mapping[str, str]) -> set[str]:
    found = {name for name in _CALL.findall(text) if name in known}
    for name in list(found):
        rest = known[name].replace(f"f_{name}(", "(")
        found |= _calls_of(rest, known)
    return found


def _with_constants(text: str, real: str) -> str:
    values = {
        name: _polynomial(*value) if isinstance(value, tuple) else value
        for name, value in _CONSTANTS[real].items()
    }
    return string.Template(text).substitute(values)


def _polynomial(variable: str, highest: str, *rest: str) -> str:
    lines = [f"real q = {highest};"]
    for coefficient in rest:
        sign, size = ("-", coefficient[1:]) if coefficient[0] == "-" else ("+", coefficient)
        lines.append(f"q = q * {variable} {sign} {size};")
    return "\n".join(f"    {line}" for line in lines)
