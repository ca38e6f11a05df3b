"""The page of the walk in a headless browser: every step is visited, what is shown is compared with the Tensors' numbers."""

from __future__ import annotations

import os
import re
import shutil

import numpy as np
import pytest
from helpers import constant, host, leaf

import tinygrad_norm as tn
from tinygrad_norm import nn

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
api = pytest.importorskip("playwright.sync_api") if os.environ.get("REQUIRE_BROWSER") != "1" else None
if api is None:
    import playwright.sync_api as api
if CHROMIUM is None and os.environ.get("REQUIRE_BROWSER") != "1":
    pytest.skip("no browser: Debian's package chromium", allow_module_level=True)
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"]


@pytest.fixture(scope="module")
def browser():
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def opened(browser, tmp_path):
    """Opens the page of a walk; at the end nothing may have been written to the console, or asked of a network."""
    wrong: list[str] = []
    pages = []

    def open_page(walk, width=1280, scheme="light"):
        file = tmp_path / "walk.html"
        walk.save(file)
        page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda r: None if r.url.startswith(("file:", "data:")) else wrong.append(r.url))
        page.goto(file.as_uri())
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert wrong == []


def numbers(figure) -> np.ndarray:
    """The numbers of a table, as they are written."""
    rows = figure.locator("tr").all()
    return np.array([[float(td.inner_text()) for td in row.locator("td").all()] for row in rows])


def place(page, name: str) -> tuple:
    """The value and the gradient that are shown for an input, or the result."""
    section = page.locator(
        "section.place", has=page.locator("figcaption", has_text=re.compile(rf"^(gradient of|made here for) {name}\b"))
    )
    return section.locator("figure").nth(0), section.locator("figure").nth(1)


def test_a_small_graph_step_by_step_with_the_keys(opened) -> None:
    a, b = leaf([[2.0, -1.5]]), leaf([[3.0, 0.25]])
    with tn.explore() as walk:
        c = a * b
        d = c + a
        d.sum().backward()
    page = opened(walk)
    assert page.locator("#graph li .label").all_inner_texts() == ["a", "b", "c = mul", "d = add", "sum"]
    titles = []
    for _ in walk.steps:
        titles.append(page.locator("#now").inner_text())
        page.keyboard.press("ArrowRight")
    steps = ["forward: mul", "forward: add", "forward: sum", "backward: sum", "backward: add", "backward: mul"]
    steps += ["backward: a", "backward: b"]
    assert titles == [f"Step {i} of 8: {title}" for i, title in enumerate(steps, 1)]
    page.keyboard.press("Home")
    value, gradient = place(page, "input")
    np.testing.assert_array_equal(numbers(value), host(a))
    assert "not there yet" in gradient.inner_text()
    assert "return input * other" in page.locator("pre").first.inner_text()
    assert page.locator(".where").inner_text().startswith("c = a * b")
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    assert page.locator("h2").inner_text() == "backward: mul"
    value, gradient = place(page, "input")
    np.testing.assert_array_equal(numbers(value), host(a))
    np.testing.assert_array_equal(numbers(gradient), host(b))
    value, gradient = place(page, "result")
    np.testing.assert_array_equal(numbers(gradient), np.ones((1, 2)))
    page.locator("#graph li", has_text="a").first.locator("button").click()
    assert page.locator("h2").inner_text() == "backward: a"
    assert "2" in page.locator(".sum").inner_text()
    value, gradient = place(page, "a")
    np.testing.assert_allclose(numbers(gradient), host(a.grad), rtol=1e-4)


def test_sums_are_written_out_and_links_lead_to_where_a_value_came_from_and_went(opened) -> None:
    a, b = leaf(2.0), leaf(-3.0)
    with tn.explore() as walk:
        ((a * b) + a).backward()
    page = opened(walk)
    page.keyboard.press("End")
    while page.locator("h2").inner_text() != "backward: a":
        page.keyboard.press("ArrowLeft")
    assert page.locator(".sum").inner_text() == "What arrives: 1 from add + -3 from mul = -2"
    page.get_by_role("button", name="backward of mul").first.click()
    assert page.locator("h2").inner_text() == "backward: mul"
    page.locator("figure", has_text="result").get_by_role("button", name="add").first.click()
    assert page.locator("h2").inner_text() == "forward: add"
    page.get_by_role("button", name="mul (step 1)").first.click()
    assert page.locator("h2").inner_text() == "forward: mul"


def lenet() -> nn.Module:
    features = nn.Sequential(nn.Conv2d(1, 6, 5, padding=2), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5))
    return nn.Sequential(features, nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(400, 10))


@pytest.mark.parametrize(("width", "scheme"), [(1600, "light"), (360, "dark")])
def test_lenet_at_any_width_in_both_schemes(opened, width, scheme) -> None:
    net = lenet().to(tn.get_backend())
    images = tn.randn(64, 1, 28, 28)
    with tn.explore(names=net) as walk:
        out = net(images)
        nn.functional.cross_entropy(out, tn.arange(64) % 10).backward()
    page = opened(walk, width, scheme)
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", background)[:3])) < 150) == (scheme == "dark")
    for i in range(len(walk.steps)):
        assert page.locator("#now").inner_text().startswith(f"Step {i + 1} of {len(walk.steps)}: ")
        assert page.locator("#panel figure").count() >= 2
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("#graph li[aria-current=step]").is_visible()
        page.keyboard.press("ArrowRight")
    page.locator("#graph li", has_text="0.0.weight").locator("button").click()
    assert page.locator("h2").inner_text() == "backward: 0.0.weight"
    value, gradient = place(page, "0.0.weight")
    np.testing.assert_allclose(numbers(value), host(net[0][0].weight)[0, 0], atol=1e-5)
    np.testing.assert_allclose(numbers(gradient), host(net[0][0].weight.grad)[0, 0], atol=6e-6)
    slider = gradient.get_by_role("slider")
    slider.focus()
    page.keyboard.press("ArrowRight")
    assert "[1, 0, :, :]" in gradient.inner_text()
    np.testing.assert_allclose(numbers(gradient), host(net[0][0].weight.grad)[1, 0], atol=6e-6)
    facts = dict(re.findall(r"(mean|std|min|max) (-?[\d.e-]+)", gradient.inner_text()))
    grad = host(net[0][0].weight.grad).astype("float64")
    found = [float(facts[name]) for name in ("mean", "std", "min", "max")]
    np.testing.assert_allclose(found, [grad.mean(), grad.std(), grad.min(), grad.max()], rtol=1e-3)


def test_a_picture_is_read_by_mouse_and_by_keyboard_and_its_pixels_are_the_numbers(opened) -> None:
    x = leaf(np.linspace(-1, 1, 30 * 20).reshape(30, 20))
    with tn.explore() as walk:
        (x * 2).sum().backward()
    page = opened(walk)
    value, _ = place(page, "input")
    canvas = value.locator("canvas")
    box = canvas.bounding_box()
    canvas.click(position={"x": box["width"] * 2.5 / 20, "y": box["height"] * 4.5 / 30})
    assert value.locator(".picked").inner_text() == f"[4, 2] is {float(f'{x[4, 2].item():.5g}'):g}"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    assert value.locator(".picked").inner_text().startswith("[5, 3] is ")
    assert page.locator("#now").inner_text().startswith("Step 1 of")
    pixels = canvas.evaluate("c => Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data)")
    red, blue = (np.array(pixels).reshape(30, 20, 4)[..., i].astype(int) for i in (0, 2))
    far = abs(host(x)) > 0.01  # from white, by more than one of 255 shades
    assert np.array_equal((blue > red)[far], (host(x) < 0)[far])
    assert 0.5 < far.mean() < 1
    labelled = canvas.get_attribute("aria-label")
    assert "30 by 20 numbers" in labelled


def test_modules_fold_and_unfold_and_a_folded_step_stays_visible(opened) -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU()).to(tn.get_backend())
    with tn.explore() as walk:
        net(constant(np.ones((1, 2)), "float32")).sum().backward()
    page = opened(walk)
    heading = page.get_by_role("button", name="Sequential")
    assert heading.get_attribute("aria-expanded") == "true"
    heading.focus()
    page.keyboard.press("Enter")
    assert heading.get_attribute("aria-expanded") == "false"
    assert page.locator("#graph li:visible .label").all_inner_texts()[1:] == ["Sequential", "sum"]
    assert page.locator("#graph li.module svg rect").first.is_visible()
    heading.click()
    assert page.locator("#graph li:visible").count() == len(walk.rows)


def test_controls_by_mouse_and_keys(opened) -> None:
    with tn.explore() as walk:
        (leaf(2.0) * 3 + 1).backward()
    page = opened(walk)
    last = len(walk.steps)

    def at() -> int:
        return int(re.match(r"Step (\d+)", page.locator("#now").inner_text())[1])

    assert page.get_by_role("button", name="Step back").is_disabled()
    page.get_by_role("button", name="Next step").click()
    assert at() == 2
    page.get_by_role("button", name="Last step").click()
    assert at() == last
    assert page.get_by_role("button", name="Next step").is_disabled()
    page.get_by_role("slider", name="Step").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert at() == 2
    page.locator("body").click(position={"x": 2, "y": 2})
    page.keyboard.press("Home")
    page.keyboard.press("p")
    assert page.locator("#play").get_attribute("aria-pressed") == "true"
    page.wait_for_function(f"document.getElementById('now').textContent.startsWith('Step {last} ')", timeout=20_000)
    page.wait_for_function("document.getElementById('play').getAttribute('aria-pressed') === 'false'")
    controls = "Array.from(document.querySelectorAll('button, input, canvas'))"
    assert page.evaluate(f"{controls}.filter(e => !(e.textContent.trim() || e.ariaLabel)).length") == 0


@pytest.mark.filterwarnings("ignore:invalid value")
def test_edits_failures_and_nan_are_shown(opened) -> None:
    x = leaf([[1.0, 2.0], [3.0, 4.0]])
    with tn.explore() as walk:
        y = x * 2
        row = y[0]
        row.mul_(10)
        (row * y).sum().backward()
    page = opened(walk)
    while not page.locator("h2").inner_text().startswith("edit"):
        page.keyboard.press("ArrowRight")
    assert page.locator("h2").inner_text() == "edit in place: mul_"
    np.testing.assert_array_equal(numbers(page.locator("figure").first), [[20, 40], [6, 8]])
    assert "y: its history was mul, and is y = write_view now" in page.locator("#panel").inner_text()
    with tn.explore() as walk:
        e = x.exp()
        e.add_(1)
        with pytest.raises(RuntimeError):
            e.sum().backward()
    page = opened(walk)
    page.keyboard.press("End")
    assert page.locator("h2").inner_text() == "backward fails at exp"
    assert "modified by an inplace operation" in page.locator(".notice").inner_text()
    page.get_by_role("button", name="add_").click()
    assert page.locator("h2").inner_text() == "edit in place: add_"
    with tn.explore() as walk:
        (leaf([0.0, 4.0]).sqrt() * 0).sum().backward()
    page = opened(walk)
    page.get_by_role("button", name="backward: sqrt").click()
    assert "nan or inf arises" in page.locator(".notice").inner_text()
    assert place(page, "input")[1].locator("td.bad").all_inner_texts() == ["nan"]


def titles(page, count: int) -> dict[str, int]:
    """The steps by their titles; the first of each."""
    found: dict[str, int] = {}
    for i in range(count):
        page.evaluate(f"show({i})")
        found.setdefault(page.locator("h2").inner_text(), i)
    return found


def test_what_a_step_shows_is_what_held_then(opened) -> None:
    w = leaf([1.0, 2.0])
    with tn.explore() as walk:
        for _ in range(2):
            w.grad = None
            (w * w).sum().backward()
    page = opened(walk)
    second = [i for i, s in enumerate(walk.steps) if s["kind"] == "forward"][2]
    page.evaluate(f"show({second})")
    assert "not there yet" in place(page, "input")[1].inner_text()
    assert "grad" not in page.locator("#graph").inner_text()  # what the first pass left is gone
    with tn.explore() as walk:
        h = w * 2.0
        h.add_(1)
        (h * h).sum().backward()
    page = opened(walk)
    at = titles(page, len(walk.steps))
    page.evaluate(f"show({[i for i, s in enumerate(walk.steps) if s['kind'] == 'backward'][-1]})")
    assert page.locator("h2").inner_text() == "backward: mul"
    np.testing.assert_array_equal(numbers(place(page, "result")[0]), [[2.0, 4.0]])  # as it was computed, before the edit
    page.evaluate(f"show({at['edit in place: add_']})")
    assert "from add (step 2)" in page.locator("figure").first.inner_text().replace("\n", " ")


def test_links_stay_in_their_pass_and_say_what_grad_returns(opened) -> None:
    x = leaf([1.0, 2.0])
    with tn.explore() as walk:
        (g,) = tn.grad((x**3).sum(), [x], create_graph=True)
        g.sum().backward()
    page = opened(walk)
    at = titles(page, len(walk.steps))
    page.evaluate(f"show({at['backward: pow']})")
    links = place(page, "input")[1].locator(".links").inner_text()
    assert links.count("returned by grad() for x") == 1
    assert ".grad of" not in links


def test_inf_that_came_in_is_not_said_to_arise_and_large_integers_are_exact(opened) -> None:
    a, b = leaf(np.inf), leaf(2.0)
    with tn.explore() as walk:
        (a * b).backward()
    page = opened(walk)
    for i in range(len(walk.steps)):
        page.evaluate(f"show({i})")
        assert page.locator(".notice").count() == 0
    index = constant([2**40, 123456789])
    with tn.explore() as walk:
        tn.where(index > 0, leaf([1.0, 2.0]), index.double()).sum().backward()
    page = opened(walk)
    assert "1099511627776" in page.locator("#panel").inner_text()


def test_batch_norm_shows_the_moments_that_its_vjp_asks_for(opened) -> None:
    x = leaf([[1.0], [3.0]], "float32")
    with tn.explore() as walk:
        nn.functional.batch_norm(x, None, None, training=True).sum().backward()
    page = opened(walk)
    at = titles(page, len(walk.steps))
    page.evaluate(f"show({at['backward: normalize']})")
    kept = page.locator("figure", has_text="kept for the vjp: mean")
    np.testing.assert_array_equal(numbers(kept), [[2.0]])


def test_wide_tables_scroll_by_key_and_names_are_read_on_a_phone(opened) -> None:
    x = leaf(np.random.default_rng(0).normal(size=(8, 8)))
    with tn.explore() as walk:
        nn.functional.max_pool2d((x * 0.001).reshape(1, 1, 8, 8), 2).sum().backward()
    page = opened(walk, 360)
    table = page.locator(".numbers").first
    table.focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("#now").inner_text().startswith("Step 1 of")
    page.evaluate(f"show({len(walk.steps) - 1})")
    widths = page.evaluate("Array.from(document.querySelectorAll('#graph .label')).map(e => e.clientWidth)")
    assert min(widths) > 60


def test_a_block_without_steps_says_so(opened) -> None:
    with tn.explore() as walk:
        constant([1.0]) * 2
    assert "Nothing was recorded" in opened(walk).locator("#panel").inner_text()
