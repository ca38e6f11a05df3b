"""Make walk.gif, the moving picture of the interactive walk: a LeNet trained for a moment, one image forward and back.

python examples/gallery/walk.py      (needs `pip install playwright` and a Chromium)
"""

from __future__ import annotations

import io
import shutil
import tempfile
from pathlib import Path

from PIL import Image  # comes with matplotlib
from playwright.sync_api import sync_playwright

import tinygrad_norm as tn
from tinygrad_norm import data, nn, optim

WIDTH, HEIGHT = 1180, 640


def trained() -> nn.Module:
    """A small LeNet after two epochs of the digits."""
    tn.manual_seed(0)
    features = nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2))
    net = nn.Sequential(features, nn.Flatten(), nn.Linear(96, 10))
    optimizer = optim.SGD(net.parameters(), lr=0.1)
    loader = data.DataLoader(data.digits(train=True), batch_size=64, shuffle=True)
    for _ in range(2):
        for images, labels in loader:
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(images), labels).backward()
            optimizer.step()
    return net


def main() -> None:
    """Walk, look at every step, and keep what is seen."""
    net = trained()
    images, labels = next(iter(data.DataLoader(data.digits(train=False), batch_size=8)))
    with tn.explore(names=net) as walk:
        loss = nn.functional.cross_entropy(net(images), labels)
        loss.backward()
    frames = []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = Path(folder) / "LeNet, forward and back.html"
        walk.save(file)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(file.as_uri())
        for step in range(0, len(walk.steps), 2):
            page.evaluate(f"show({step})")
            frames.append(Image.open(io.BytesIO(page.screenshot())).convert("RGB").quantize(32))
        browser.close()
    target = Path(__file__).parent / "walk.gif"
    frames[0].save(target, save_all=True, append_images=frames[1:], duration=1500, loop=0, optimize=True)
    print(f"{len(frames)} frames, {target.stat().st_size:,} bytes in {target}")


if __name__ == "__main__":
    main()
