"""The site: sphinx-build -W -c examples/site . FOLDER, from the root of the repository (pip install ".[docs]").

Its pages are the README, the tour, the gallery, the notebook, and in this folder the walks and the reference. Docstrings are
plain text here, not reStructuredText: `as_text` shows formulas and tables as they stand, and examples as code.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import tinygrad_norm as tn  # noqa: E402

project, author, version = "tinygrad_norm", "the tinygrad_norm authors", tn.__version__
extensions = ["sphinx.ext.autodoc", "sphinx.ext.viewcode", "myst_nb"]
root_doc = "README"
include_patterns = ["README.md", "examples/*.md", "examples/tour/*.md", "examples/site/*", "examples/*.ipynb"]
include_patterns += ["tests/README.md", "tests/*/README.md"]
html_theme = "furo"
html_title = "tinygrad_norm"
html_show_copyright = False
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_timeout = 120
nb_execution_raise_on_error = True
autodoc_member_order = "alphabetical"
autodoc_typehints = "signature"
suppress_warnings = ["myst.xref_missing", "ref.python"]
MODULES = [
    f"tinygrad_norm{part}" for part in ("", ".nn", ".nn.functional", ".optim", ".optim.lr_scheduler", ".data", ".autograd")
]
CONTENTS = """

```{toctree}
:hidden:

examples/tour/README
examples/README
examples/first_steps
examples/site/walks
examples/site/reference
tests/README
tests/compare/README
tests/benchmarks/README
```
"""


def as_text(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """A docstring as reStructuredText: paragraphs with special characters escaped, indented ones and tables as they stand."""
    made: list[str] = []
    for paragraph in re.split(r"\n\s*\n", "\n".join(lines).strip("\n")):
        part = paragraph.split("\n")
        if part[0].lstrip().startswith(">>>"):
            made += ["", *(line.strip() for line in part)]
        elif any(line.startswith(" ") for line in part):
            made += ["", "::", "", *(f"    {line}" for line in part)]
        else:
            code = [re.sub(r"`([^`]+)`", r"``\1``", re.sub(r"([*|_\\])", r"\\\1", line)) for line in part]
            made += ["", *(re.sub(r"``[^`]+``", lambda m: m[0].replace("\\", ""), line) for line in code)]
    lines[:] = [*made, ""]


def add_contents(app: Any, docname: str, source: list[str]) -> None:
    """The README is the first page, and has the contents of the site; the tour has its stops."""
    if docname == "README":
        source[0] += CONTENTS
    if docname == "examples/tour/README":
        source[0] += "\n\n```{toctree}\n:hidden:\n:glob:\n\n[0-9]*\n```\n"


def finish(app: Any, exception: Exception | None) -> None:
    """The home page under the name that servers look for, and the walks."""
    if exception is None and app.builder.name == "html":
        from walks import write

        out = Path(app.outdir)
        things = {
            f"{module}.{name}": getattr(sys.modules[module], name) for module in MODULES for name in sys.modules[module].__all__
        }
        there = set(app.env.domaindata["py"]["objects"])
        shown = {id(things[name]) for name in there & set(things)}
        if missing := sorted(name for name, thing in things.items() if callable(thing) and id(thing) not in shown):
            raise RuntimeError(f"not in the reference: {', '.join(missing)}")
        shutil.copy(out / "README.html", out / "index.html")
        write(out / "walks")


def setup(app: Any) -> None:
    """What Sphinx calls."""
    app.connect("autodoc-process-docstring", as_text)
    app.connect("source-read", add_contents)
    app.connect("build-finished", finish)
