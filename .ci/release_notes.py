"""The changelog's part of a release: `python .ci/release_notes.py v0.1.0`.

Fails unless version, tag, changelog and citation agree, and prints what the changelog says of it.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADING = re.compile(r"^## \[?([^\]\s]+)\]?(?: - (\d{4}-\d\d-\d\d))?$", re.MULTILINE)


def found(pattern: str, name: str) -> str:
    """What a file says, by the first group of a pattern that one line of it must match."""
    matches: list[str] = re.findall(pattern, (ROOT / name).read_text(encoding="utf-8"), re.M)
    if len(matches) != 1:
        raise SystemExit(f"{name}: {len(matches)} lines are like {pattern}")
    return matches[0]


def parts(text: str) -> dict[str, tuple[str, str]]:
    """Of each version in a changelog: its date ("" before the release) and its text."""
    headings = list(HEADING.finditer(text))
    ends = [heading.start() for heading in headings[1:]] + [len(text)]
    return {
        heading[1]: (heading[2] or "", text[heading.end() : end].strip())
        for heading, end in zip(headings, ends, strict=True)
    }


def notes(tag: str) -> str:
    version = found(r'^__version__ = "(.+)"$', "fastnn/__init__.py")
    if tag != f"v{version}":
        raise SystemExit(f"the tag {tag} is not v{version}, the version of this source tree")
    cited = found(r"^version: (.+)$", "CITATION.cff")
    if cited != version:
        raise SystemExit(f"CITATION.cff says {cited}, not {version}")
    date, text = parts((ROOT / "CHANGELOG.md").read_text(encoding="utf-8")).get(version, ("", ""))
    if not (date and text):
        raise SystemExit(f"CHANGELOG.md has no part `## {version} - YYYY-MM-DD`")
    return text


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    print(notes(sys.argv[1]))
