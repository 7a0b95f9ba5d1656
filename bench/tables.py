"""Writes the tables of README.md and docs/benchmarks.md: `python bench/tables.py`.

They come from bench/results/; nothing is measured. run.py, peers.py and estimators.py call it
with --save, after they have stored what they measured. --check changes nothing and fails where
a page does not show what is stored.
"""

import argparse
import itertools
import sys

import stored
from peers import BEST_OF, PEERS, ceiling

ROOT = stored.HERE.parent
README, PAGE = ROOT / "README.md", ROOT / "docs" / "benchmarks.md"
# the machine of the README's figures, if it is among the stored ones; else the first
SHOWN = ("zen4", "avx512")
WIDE = 256


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; are they up to date?")
    options = parser.parse_args()
    if not options.check:
        write()
        return
    old = [path.name for path, text in written().items() if path.read_text("utf-8") != text]
    if old:
        sys.exit(f"not what is stored: {', '.join(old)}; write it by python bench/tables.py")


def write():
    """Put all tables where they belong."""
    for path, text in written().items():
        path.write_text(text, encoding="utf-8")


def written():
    """The two pages as they should be: path -> text."""
    kept = {name: stored.load(name) for name in stored.ROWS}
    parts = {
        README: {
            "speed": speed(shown(kept["speed"])),
            "peers": peers_in_short(shown(kept["peers"])),
            "estimators": estimators_in_short(shown(kept["estimators"])),
        },
        PAGE: {
            "machines": machines(kept),
            "speed": "\n\n".join(map(speed, kept["speed"])),
            "peers": peers(kept["peers"]),
            "estimators": "\n\n".join(map(estimators, kept["estimators"])),
        },
    }
    pages = {}
    for path, tables in parts.items():
        text = path.read_text(encoding="utf-8")
        for mark, table in tables.items():
            text = put(text, mark, table)
        pages[path] = text
    return pages


def put(text, mark, table):
    """The text with another table between two marks."""
    before, rest = text.split(f"<!-- {mark} -->\n")
    after = rest.split(f"<!-- end of {mark} -->")[1]
    return f"{before}<!-- {mark} -->\n{table}\n<!-- end of {mark} -->{after}"


def shown(kept):
    """The results of the machine that README.md is about."""
    here = [one for one in kept if (one["machine"]["kind"], one["machine"]["build"]) == SHOWN]
    return (here or kept)[0]


def duration(us):
    """Microseconds, or milliseconds where these would have more than three digits."""
    return f"{us:.3g} µs" if us < 999.5 else f"{us / 1e3:.3g} ms"


def ratio_text(ratio):
    return f"{ratio['median']:.1f}x ({ratio['min']:.1f}-{ratio['max']:.1f})"


def name_of(machine):
    return f"{machine['CPU']} ({machine['kind']}), {machine['build']} build"


def versions(machine):
    return f"{machine['compiler']}, NumPy {machine['NumPy']}, {machine['date']}"


def speed(one):
    """The tutorial's networks against NumPy on one machine."""
    lines = [
        "| network, 500 samples | faster | NumPy, a step | fastnn | step by step |",
        "|---|---|---|---|---|",
    ]
    for row in one["results"]:
        us = row["us_a_step"]
        lines.append(
            f"| {row['topology']}, {row['dtype']} | **{ratio_text(row['ratio']['fastnn'])}** | "
            f"{duration(us['numpy'])} | {duration(us['fastnn'])} | "
            f"{ratio_text(row['ratio']['fastnn by step'])} |"
        )
    machine = one["machine"]
    return "\n".join([
        *lines, "",
        f"Median (min-max) of ratios taken in alternation on one pinned core. "
        f"{name_of(machine)}, {versions(machine)}.",
    ])  # fmt: skip


# ---- against other libraries --------------------------------------------------------------------


def one_thread(one):
    return [row for row in one["results"] if row["threads"] == 1]


def library_versions(rows):
    return {
        PEERS[name][0]: peer["version"]
        for row in rows
        for name, peer in row["peers"].items()
        if name in PEERS and name not in ("fastnn_", "torch_compiled", "numpy_")
    }


def peers_in_short(one):
    """README.md's: how many times as long others take, in a sentence."""
    rows = [row for row in one_thread(one) if row["dtype"] == "float32"]
    ratios = {
        PEERS[name][0]: [row["peers"][name]["ratio"]["median"] for row in rows
                         if name in row["peers"]]
        for name in ("scikit_learn", *BEST_OF)
    }  # fmt: skip
    wide = [
        min(row["peers"][name]["ratio"]["median"] for name in BEST_OF if name in row["peers"])
        for row in rows
        if max(map(int, row["workload"].split("-")[1:])) >= WIDE
        and any(name in row["peers"] for name in BEST_OF)
    ]
    found = [f"{name} {span(r)}" for name, r in ratios.items() if r]
    text = f"In float32, others take so many times as long for a batch: {', '.join(found)}."
    if wide:
        text += (
            f"\nThe wider the layers, the less: with {WIDE} units and more, the fastest of them "
            f"takes {span(wide)} times as long."
        )
    return text + f"\n({name_of(one['machine'])}, one core, {one['machine']['date']}.)"


def span(ratios):
    low, high = (f"{r:.1f}" if r < 9.95 else f"{r:.0f}" for r in (min(ratios), max(ratios)))
    return low if low == high else f"{low} to {high}"


def peers(kept):
    """All tables of one thread, a table for each kind of core and build."""
    parts = []
    for one in kept:
        rows, machine = one_thread(one), one["machine"]
        facts = [
            f"**{name_of(machine)}**", f"caches {machine['caches']}", versions(machine),
            *(f"{name} {version}" for name, version in library_versions(rows).items()),
        ]  # fmt: skip
        parts += [", ".join(facts) + ":", "", *peers_table(rows), ""]
    # an epoch of a wide net takes that long anyway
    first = {
        name: [
            row["peers"][name]["first_s"]
            for row in itertools.chain(*map(one_thread, kept))
            if name in row["peers"] and max(map(int, row["workload"].split("-"))) <= 100
        ]
        for name in ("fastnn_", *BEST_OF)
    }
    others = [seconds for name in BEST_OF for seconds in first[name]]
    if others:
        parts.append(
            f"Making a net ready and training it for one epoch takes fastnn up to "
            f"{max(first['fastnn_']) * 1e3:.1f} ms, PyTorch and JAX {min(others):.2g} to "
            f"{max(others):.2g} s, compilation included (nets of up to 100 units a layer)."
        )
    return "\n".join(parts).rstrip()


def peers_table(rows):
    names = ("scikit_learn", *BEST_OF)
    lines = [
        "| network, batch | " + " | ".join(PEERS[name][0] for name in names)
        + " | fastnn | of peak | ceiling |",
        "|---|" + "---|" * (len(names) + 3),
    ]  # fmt: skip
    for row in rows:
        cells = [f"{row['workload']}, {row['batch']}, {row['dtype']}"]
        for name in names:
            peer = row["peers"].get(name)
            cells.append(f"{peer['ratio']['median']:.2f}x" if peer else "")
        ceilings = [ceiling(row, name) for name in names if name in row["peers"]]
        cells += [duration(row["peers"]["fastnn_"]["us"]), f"{row['share_of_peak']:.0%}"]
        cells.append(f"{min(ceilings):.2f}x" if ceilings else "")
        lines.append("| " + " | ".join(cells) + " |")
    return lines


# ---- in scikit-learn's place --------------------------------------------------------------------


def estimators_in_short(one):
    """README.md's: a sentence."""
    ratios = [row["ratio"] for row in one["results"]]
    searches = " and ".join(
        f"{row['ratio']:.1f} ({row['dtype']})" for row in one.get("searches", ())
    )
    search = f"; its GridSearchCV {searches}"
    return (
        f"Whole fits of scikit-learn's own data sets are {span(ratios)} times as fast as by its "
        f"classes\n(defaults, validation of input included){search if searches else ''}."
    )


def estimators(one):
    machine = one["machine"]
    learn = f"scikit-learn {machine['scikit-learn']}, " if "scikit-learn" in machine else ""
    lines = [
        *estimators_table(one["results"]).splitlines(), "",
        f"{name_of(machine)}, {learn}{versions(machine)}.", "",
        *(f"- {search_text(row)}" for row in one.get("searches", ())),
    ]  # fmt: skip
    return "\n".join(lines).rstrip()


def estimators_table(rows):
    """Fits of whole data sets, as Markdown."""
    lines = [
        "| data, samples x features | faster | fastnn, an epoch | scikit-learn | scores of both |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        low, high = row["spread"]
        fast, slow = (duration(1e3 * ms) for ms in row["ms_per_epoch"])
        lines.append(
            f"| {row['data']}, {row['samples']} x {row['features']}, {row['dtype']} "
            f"| **{row['ratio']:.1f}x ({low:.1f}-{high:.1f})** | {fast} | {slow} "
            f"| {row['score'][0]:.4f}, {row['score'][1]:.4f} |"
        )
    return "\n".join(lines)


def search_text(row):
    fast, slow = row["seconds"]
    low, high = row["spread"]
    return (
        f"GridSearchCV, {row['folds']} folds x {row['candidates']} candidates, digits 64-32-10, "
        f"10 epochs, {row['dtype']}: {fast:.3g} s, scikit-learn {slow:.3g} s, "
        f"**{row['ratio']:.1f}x ({low:.1f}-{high:.1f})**"
    )


def machines(kept):
    """Every file of results: where it comes from."""
    lines = [
        "| file | CPU | caches | build | compiler, Python, NumPy | fastnn | date |",
        "|---|---|---|---|---|---|---|",
    ]
    for benchmark, files in kept.items():
        for one in files:
            m = one["machine"]
            lines.append(
                f"| {stored.path_of(benchmark, m).name} | {m['CPU']} ({m['kind']}) "
                f"| {m['caches']} | {m['build']} "
                f"| {m['compiler']}, {m['Python']}, {m['NumPy']} | {m['fastnn']} "
                f"| {m['date']} |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
