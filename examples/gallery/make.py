"""Make the pictures of the gallery anew: run every example with its defaults and keep its figures, in few colours.

python examples/gallery/make.py              # or only some: make.py 07 12
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image  # comes with matplotlib

HERE = Path(__file__).parent
EXTRA = {"03_dropout": ["rates"], "lenet": ["curves", "least_certain"], "mlp_digits": ["curves"]}


def main() -> None:
    """Run all, or those whose names begin as was asked, one after the other."""
    for script in sorted(HERE.parent.glob("*.py")):
        if script.stem == "common" or (sys.argv[1:] and not script.stem.startswith(tuple(sys.argv[1:]))):
            continue
        with tempfile.TemporaryDirectory() as folder:
            print(f"\n== {script.name}", flush=True)
            subprocess.run([sys.executable, str(script), "--out", folder], check=True)
            for name in ["figure", *EXTRA.get(script.stem, [])]:
                if (figure := Path(folder) / f"{name}.png").exists():
                    target = HERE / f"{script.stem}{'' if name == 'figure' else '_' + name}.png"
                    Image.open(figure).convert("RGB").quantize(64).save(target, optimize=True)


if __name__ == "__main__":
    main()
