"""Which page of the documentation explains an error: one table, and the address of all pages.

Messages name a page where there is more to say than a line holds. A page is named as its file in
docs/ is, without the ending.
"""

#: Comes before a page's name: the address of the site, with a slash at its end, once it has one.
BASE = ""

#: kind of error -> the page that explains it
PAGES = {
    "build": "how-to/troubleshooting",
    "diverged": "how-to/diverging",
    "extra": "how-to/troubleshooting",
    "file": "how-to/files",
    "targets": "how-to/choosing-a-loss",
    "threads": "how-to/troubleshooting",
}


def see(kind: str, message: str = "") -> str:
    """The message of an error, and the page that explains it; of no message, the page alone.

    Parameters
    ----------
    kind : str
        A key of PAGES.
    message : str
        One line without a full stop.
    """
    page = f"See docs: {BASE}{PAGES[kind]}" + ".html" * bool(BASE)
    return f"{message}. {page}" if message else page


def where() -> str:
    """Where the documentation is."""
    return BASE or "README.md and docs/ in a copy of fastnn's source"


def missing(what: str, extra: str) -> ImportError:
    """What is raised without an optional dependency.

    Parameters
    ----------
    what : str
        What needs which package, such as "ONNX needs onnx".
    extra : str
        What installs it.
    """
    return ImportError(
        see("extra", f'{what}: install the extra "{extra}", pip install ".[{extra}]" in a copy of '
            "fastnn's source")
    )  # fmt: skip
