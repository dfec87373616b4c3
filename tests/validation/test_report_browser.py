"""The page of a report in a browser: it sorts, filters, fits a telephone, and prints.

Needs Chromium, its driver (on Debian: chromium, chromium-driver) and selenium.
"""

import base64
import shutil
import subprocess
from dataclasses import replace

import pytest

pytest.importorskip("jinja2", reason="the page needs jinja2")
pytest.importorskip("matplotlib", reason="the page needs matplotlib")
selenium = pytest.importorskip("selenium", reason="driving a browser needs selenium")

from planted import certificates  # noqa: E402
from selenium import webdriver  # noqa: E402
from selenium.common.exceptions import WebDriverException  # noqa: E402
from selenium.webdriver.chrome.options import Options  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402

from validation.case_suite import stored  # noqa: E402
from validation.judges import suite  # noqa: E402
from validation.report import write  # noqa: E402

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage",
)  # fmt: skip
NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def driver():
    binary = next(filter(None, map(shutil.which, NAMES)), None)
    if binary is None:
        pytest.skip("there is no browser: none of " + ", ".join(NAMES))
    driver_path = shutil.which("chromedriver")
    if driver_path is None:
        pytest.skip("there is no chromedriver")
    options = Options()
    options.binary_location = binary
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    try:
        driver = webdriver.Chrome(options=options, service=Service(driver_path))
    except WebDriverException as error:
        pytest.skip(f"the browser does not start: {error.msg}")
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    first, *others = stored.given_cases()
    cases = [replace(first, name='<img src="x" onerror="alert(1)">' + "long" * 20), *others]
    rows = list(suite.run(cases[:2], {"duality": suite.JUDGES["duality"]}))
    paths = write(certificates(cases), tmp_path_factory.mktemp("report"), rows=rows, forms=["html"])
    return paths["html"].as_uri()


@pytest.fixture
def browser(driver, url):
    """Return a browser with the page freshly loaded, at the size of a desk."""
    size(driver, 1200, 900)
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
    driver.get("about:blank")
    driver.get(url)
    return driver


def size(driver, width, height):
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def column(table, index):
    rows = table.find_elements(By.CSS_SELECTOR, "tbody tr")
    return [row.find_elements(By.XPATH, "*")[index].get_attribute("data-sort") for row in rows]


def shown(browser):
    rows = browser.find_elements(By.CSS_SELECTOR, "#backend-0 > .filtered tbody tr")
    return [row for row in rows if row.is_displayed()]


def test_it_loads_without_a_complaint(browser):
    assert "FAIL: Gradient certification" in browser.title
    complaints = [entry for entry in browser.get_log("browser") if entry["level"] != "INFO"]
    assert complaints == []
    assert browser.execute_script("return document.images.length") == 0
    loaded = "return performance.getEntriesByType('resource').length"
    assert browser.execute_script(loaded) == 0


def test_a_click_on_a_head_sorts(browser):
    table = browser.find_element(By.CSS_SELECTOR, "#backend-0 > .filtered table")
    heads = table.find_elements(By.CSS_SELECTOR, "thead th")
    labels = [head.text.strip() for head in heads]
    for label in ("error", "spikes", "case", "verdict", "slope"):
        index = labels.index(label)
        button = heads[index].find_element(By.TAG_NAME, "button")
        before = column(table, index)
        for direction in ("ascending", "descending"):
            button.click()
            marked = [head.get_attribute("aria-sort") for head in heads]
            assert [k for k, mark in enumerate(marked) if mark] == [index]
            assert marked[index] == direction
            after = column(table, index)
            assert sorted(after) == sorted(before)
            known = [value for value in after if value]
            key = str if label == "case" else float
            assert known == sorted(known, key=key, reverse=direction == "descending")
            assert after[len(known) :] == [""] * (len(after) - len(known))  # the unknown are last
    assert column(table, labels.index("slope")) != before


def test_heads_are_reached_by_keyboard(browser):
    from selenium.webdriver.common.keys import Keys

    head = browser.find_element(By.CSS_SELECTOR, "#backend-0 > .filtered thead th")
    head.find_element(By.TAG_NAME, "button").send_keys(Keys.ENTER)
    assert head.get_attribute("aria-sort") == "ascending"


def test_the_filter_hides_rows_and_details(browser):
    everything = shown(browser)
    form = browser.find_element(By.CSS_SELECTOR, "#backend-0 > .filtered form")
    form.find_element(By.TAG_NAME, "input").send_keys("double")
    (row,) = shown(browser)
    assert "double_exp" in row.text
    assert form.find_element(By.TAG_NAME, "output").text == f"1 of {len(everything)} shown"
    details = browser.find_elements(By.CSS_SELECTOR, "#backend-0 details")
    assert [d.get_attribute("id") for d in details if d.is_displayed()] == [
        row.get_attribute("data-about")
    ]
    form.find_element(By.TAG_NAME, "input").clear()
    form.find_element(By.CSS_SELECTOR, "option[value=skip]").click()
    verdicts = {row.get_attribute("data-verdict") for row in shown(browser)}
    assert verdicts == {"skip"}
    form.find_element(By.CSS_SELECTOR, "option[value='']").click()
    assert len(shown(browser)) == len(everything)


def test_a_link_opens_the_details_it_leads_to(browser):
    link = browser.find_element(By.CSS_SELECTOR, "#backend-0 .failures a")
    place = link.get_attribute("href").split("#")[1]
    inside = browser.find_element(By.ID, place)
    assert not inside.is_displayed()
    browser.execute_script("arguments[0].click()", link)
    assert inside.is_displayed()
    assert inside.find_element(By.TAG_NAME, "svg").size["height"] > 100


def test_all_details_open_and_close_at_once(browser):
    every = browser.find_elements(By.CSS_SELECTOR, "#backend-1 details")
    for which, open_ in (("true", True), ("false", False)):
        button = browser.find_element(By.CSS_SELECTOR, f"#backend-1 [data-open={which}]")
        browser.execute_script("arguments[0].click()", button)
        assert {bool(details.get_attribute("open")) for details in every} == {open_}


# What is wider than the window, but for what lies in a part that scrolls by itself.
OVERFLOWING = """
for (const details of document.querySelectorAll("details")) details.open = true;
const wide = [...document.querySelectorAll("body *")].filter((element) =>
  !element.closest("svg *") && !element.parentElement.closest(".scroll") &&
  element.getBoundingClientRect().right > window.innerWidth + 0.5);
return wide.map((element) => element.outerHTML.slice(0, 100));
"""


@pytest.mark.parametrize("width", [320, 360, 768])
def test_nothing_is_wider_than_a_narrow_screen(width, browser):
    size(browser, width, 700)
    assert browser.execute_script(OVERFLOWING) == []
    wide = "return document.documentElement.scrollWidth"
    assert browser.execute_script(wide) <= width
    scrolls = (
        "return [...document.querySelectorAll('.scroll')].filter(s => s.scrollWidth > "
        "s.clientWidth).every(s => getComputedStyle(s).overflowX === 'auto')"
    )
    assert browser.execute_script(scrolls)


def test_dark_and_light(browser):
    """Text, and the ink of pictures, follow the scheme that is preferred."""
    grounds = set()
    for scheme in ("light", "dark"):
        feature = {"name": "prefers-color-scheme", "value": scheme}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        style = "const s = getComputedStyle(arguments[0]); return [s.color, s.backgroundColor]"
        ink, ground = browser.execute_script(style, browser.find_element(By.TAG_NAME, "body"))
        grounds.add(ground)
        text = browser.find_element(By.CSS_SELECTOR, "svg text")
        assert browser.execute_script("return getComputedStyle(arguments[0]).fill", text) == ink
    assert len(grounds) == 2


# The driver takes what is in closed details for hidden, whatever the style sheet says.
HAS_SIZE = "return arguments[0].map((e) => e.checkVisibility() && e.offsetHeight > 0)"


def test_print_shows_all_details_without_scripts(browser, url, tmp_path):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get("about:blank")
        browser.get(url)
        assert not browser.find_elements(By.CSS_SELECTOR, "thead button")  # no script has run
        groups = browser.find_elements(By.CSS_SELECTOR, "details table")
        assert len(groups) > 10
        assert not any(browser.execute_script(HAS_SIZE, groups))
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
        assert all(browser.execute_script(HAS_SIZE, groups))
        assert not browser.find_element(By.CSS_SELECTOR, "form").is_displayed()
        check_pdf(browser, tmp_path)
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_print_shows_all_details_with_scripts(browser, tmp_path):
    check_pdf(browser, tmp_path)
    opened = browser.find_elements(By.CSS_SELECTOR, "details[open]")
    assert opened == []  # closed again after printing


def check_pdf(browser, folder):
    """Print, and look for what is said in details."""
    printed = browser.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})
    path = folder / "page.pdf"
    path.write_bytes(base64.b64decode(printed["data"]))
    assert path.read_bytes().startswith(b"%PDF")
    if shutil.which("pdftotext") is None:
        return
    text = subprocess.run(["pdftotext", path, "-"], capture_output=True, text=True, check=True)
    assert "gap to a release" in text.stdout
    assert "Groups of double_exp" in text.stdout
