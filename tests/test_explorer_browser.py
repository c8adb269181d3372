"""The explorer in a real browser: what a reader does with it, by mouse, by keyboard and with a screen reader's eyes."""

import importlib.util
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from tagsmith.cards.explorer import render_explorer

selenium = pytest.importorskip("selenium", reason="selenium drives the browser")
from selenium import webdriver  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

CHROMIUM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM.exists() and DRIVER.exists()), reason="needs Debian's packages chromium and chromium-driver"
)
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync"
)
HOSTILE = "</script><img src=x onerror=window.hacked=1><b>bold</b>"


def evolved() -> dict[str, Dataset]:
    """Forty seeds with five rounds each (one rejected at round 3), and rows of every awkward kind."""
    rows: list[dict[str, Any]] = []
    rejected = []
    topics = ["sorting", "poetry", "travel", "cooking"]
    constraints = ["length limit", "audience", "citation", "structure", "counterexample"]
    for seed in range(40):
        text = f"Explain {topics[seed % 4]} number {seed}."
        tags = [topics[seed % 4], "explanation"]
        parent = None
        for number in range(6):
            if number:
                tag = constraints[(seed + number) % 5]
                text = f"{text} Mind the {tag} of {seed + number}."
                tags = [*tags, tag]
            row = {
                "id": f"s{seed}r{number}",
                "parent_id": parent,
                "iteration": number,
                "instruction": text,
                "response": f"Answer {seed} of round {number}.",
                "tags": tags,
                "raw_tags": [tag.upper() for tag in tags],
                "injected_tags": [tags[-1]] if number else [],
                "utility": float(seed * 10 + number),
                "status": "ok",
                "reason": "",
                "messages": None,
            }
            if (seed, number) == (7, 3):
                rejected.append({**row, "status": "rejected", "reason": "missing_tag: not there", "raw_reply": "{oops"})
                break
            rows.append(row)
            parent = row["id"]
    plain = {**rows[0], "parent_id": None, "iteration": None, "injected_tags": None, "raw_tags": None, "utility": None}
    turns = [{"role": "user", "content": "First turn"}, {"role": "assistant", "content": "Second turn"}]
    rows += [
        {**plain, "id": "hostile", "instruction": HOSTILE, "response": HOSTILE, "tags": [HOSTILE, "sorting"]},
        {**plain, "id": "rtl", "instruction": "שלום \u202e עולם 👩‍👩‍👧 \u2028 x", "response": "", "tags": ["مرحبا"]},
        {**plain, "id": "chat", "instruction": None, "response": None, "messages": turns, "tags": ["chat"]},
        {**plain, "id": "orphan", "parent_id": "elsewhere", "instruction": "An orphan", "tags": []},
    ]
    final = [row for row in rows if row["iteration"] == 5]
    return {
        "default": Dataset.from_list(final),
        "rounds": Dataset.from_list(rows),
        "rejected": Dataset.from_list(rejected),
    }


TREE = {
    "name": "everything",
    "children": [
        {"name": "topics", "children": [{"name": "sorting"}, {"name": "poetry"}, {"name": "travel"}]},
        {"name": "constraints", "rows": 77, "children": [{"name": "audience"}, {"name": "citation"}]},
    ],
}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in FLAGS.split():
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('browser')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(str(DRIVER)))
    driver.execute_cdp_cmd("Network.enable", {})
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "explorer.html"
    html = render_explorer(f"Five rounds {HOSTILE}", evolved(), offline=True, tree=TREE)
    path.write_text(html, encoding="utf-8")
    return path


@pytest.fixture
def visit(browser: webdriver.Chrome, page: Path) -> Iterator[Callable[..., webdriver.Chrome]]:
    """Open the page at a hash, with a width and a colour scheme. After the test: no error, no request, no script."""

    def open_at(hash_: str = "", width: int = 1400, scheme: str = "light", path: Path = page) -> webdriver.Chrome:
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        browser.get("about:blank")
        browser.get(f"{path.as_uri()}#{hash_}")
        until(lambda: counted(browser) not in ("Opening…",))
        return browser

    browser.get_log("browser")
    browser.get_log("performance")
    yield open_at
    assert browser.execute_script("return window.hacked") is None
    assert [entry for entry in browser.get_log("browser") if entry["level"] != "DEBUG"] == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert [url for url in urls if not url.startswith(("file:", "about:"))] == []
    assert all("explorer" in url for url in urls if url.startswith("file:"))


def until(check: Callable[[], Any], seconds: float = 10) -> Any:
    end = time.monotonic() + seconds
    while not (value := check()):
        assert time.monotonic() < end, "the page did not get there"
        time.sleep(0.02)
    return value


def counted(browser: webdriver.Chrome) -> str:
    return str(browser.execute_script("return document.getElementById('count').textContent"))


def one(browser: webdriver.Chrome, css: str) -> Any:
    return browser.find_element(By.CSS_SELECTOR, css)


def texts(browser: webdriver.Chrome, css: str) -> list[str]:
    script = "return [...document.querySelectorAll(arguments[0])].map(node => node.textContent)"
    return list(browser.execute_script(script, css))


def keys(browser: webdriver.Chrome, *pressed: str) -> None:
    for key in pressed:
        browser.switch_to.active_element.send_keys(key)


def row_number(browser: webdriver.Chrome, id_: str) -> int:
    """Where the page has the row with an id: found by searching for it."""
    browser.execute_script("location.hash = arguments[0]", f"q={id_}")
    until(lambda: id_ in browser.current_url and len(texts(browser, "#list li")) == 1)
    return int(one(browser, "#list li").get_attribute("id").removeprefix("row-"))


def test_search_filters_and_counts(visit):
    browser = visit()
    assert counted(browser) == "242 rows"
    one(browser, "body").send_keys("/")
    assert browser.switch_to.active_element.get_attribute("id") == "search"
    keys(browser, '"poetry number 1."')
    until(lambda: counted(browser) == "6 of 242 rows")
    assert texts(browser, "#list mark")[0] == "poetry number 1."
    keys(browser, Keys.ESCAPE)
    until(lambda: counted(browser) == "242 rows")


def test_tags_narrow_together_and_chips_take_them_away(visit):
    browser = visit()
    one(browser, "[data-key='tag:poetry']").click()
    assert counted(browser) == "60 of 242 rows"
    one(browser, "[data-key='tag:audience']").click()
    assert counted(browser) == "30 of 242 rows"
    assert "tag=poetry&tag=audience" in browser.current_url
    assert browser.switch_to.active_element.get_attribute("data-key") == "tag:audience"  # the focus stays
    one(browser, "#chips [data-key='chip:poetry']").click()
    assert counted(browser) == "118 of 242 rows"
    browser.back()
    until(lambda: counted(browser) == "30 of 242 rows")


def test_configs_reasons_rounds_and_tag_search(visit):
    browser = visit()
    one(browser, "[data-key='config:rejected']").click()
    assert counted(browser) == "1 of 242 rows"
    assert "missing_tag" in texts(browser, "#list .reason")[0]
    one(browser, "[data-key='config:rejected']").click()
    one(browser, "[data-key='reason:missing_tag']").click()
    assert counted(browser) == "1 of 242 rows"
    one(browser, "[data-key='reason:missing_tag']").click()
    one(browser, "[data-key='round:5']").click()
    assert counted(browser) == "39 of 242 rows"
    one(browser, "#tag-search").send_keys("counter")
    assert [name.rstrip("0123456789") for name in texts(browser, ".tag-bar")] == ["counterexample"]


def test_sorting_by_tags_length_and_any_number(visit):
    browser = visit("sort=most+tags")
    assert "7 tags" in texts(browser, "#list .facts")[0]
    visit("sort=utility, high to low")
    assert "number 39." in texts(browser, "#list .text")[0]
    visit("sort=shortest+instruction")
    assert "An orphan" in texts(browser, "#list .text")[0]


def test_arrow_keys_walk_the_list_and_over_pages(visit):
    browser = visit()
    one(browser, "#list").send_keys(Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    active = one(browser, "#list").get_attribute("aria-activedescendant")
    assert active == one(browser, "#list li:nth-child(3)").get_attribute("id")
    keys(browser, Keys.END, Keys.ARROW_DOWN)
    assert texts(browser, ".pager span") == ["Page 2 of 5"]
    assert browser.switch_to.active_element.get_attribute("id") == "list"
    keys(browser, Keys.ENTER)
    assert browser.switch_to.active_element.get_attribute("id") == "row-title"
    keys(browser, Keys.ESCAPE)
    assert not one(browser, "#detail").is_displayed()
    assert browser.switch_to.active_element.get_attribute("id") == "list"


def test_lineage_shows_what_changed(visit):
    browser = visit()
    number = row_number(browser, "s3r2")
    browser.execute_script("location.hash = arguments[0]", f"row={number}")
    until(lambda: texts(browser, ".lineage .step strong"))
    assert texts(browser, ".lineage .step strong") == ["source", *(f"round {n}" for n in range(1, 6))]
    assert texts(browser, "[aria-current] strong") == ["round 2"]
    assert texts(browser, ".prose")[0] == (
        "Explain cooking number 3. Mind the counterexample of 4. Mind the length limit of 5."
    )
    assert texts(browser, ".part ins")[0] == " Mind the length limit of 5."
    assert texts(browser, ".part .tag.injected") == ["length limit injected"]
    one(browser, "[data-key='marks']").click()
    assert texts(browser, ".part ins") == []
    one(browser, "[data-key='marks']").click()
    one(browser, "[data-key='lineage']").click()
    assert len(texts(browser, ".version")) == 6
    assert len(texts(browser, ".version ins")) == 5
    assert "lineage=1" in browser.current_url


def test_orphans_and_rejected_rows_tell_what_they_are(visit):
    browser = visit()
    orphan, failed = row_number(browser, "orphan"), row_number(browser, "s7r3")
    visit(f"row={orphan}")
    assert "parent elsewhere is not on this page" in texts(browser, ".lineage")[0]
    visit(f"row={failed}")
    assert "missing_tag: not there" in texts(browser, ".badges")[0]
    assert ["raw_reply", "{oops"] in [texts(browser, f".columns tr:nth-child({n}) > *") for n in range(1, 9)]


def test_conversations_and_raw_tags(visit):
    browser = visit()
    chat, evolved_row = row_number(browser, "chat"), row_number(browser, "s3r2")
    visit(f"row={chat}")
    assert texts(browser, ".turn") == ["userFirst turn", "assistantSecond turn"]
    visit(f"row={evolved_row}")
    assert texts(browser, ".raw dt") == ["COOKING", "EXPLANATION", "COUNTEREXAMPLE", "LENGTH LIMIT"]


def test_map_filters_by_click_and_by_key(visit):
    browser = visit("view=map")
    pills = browser.find_elements(By.CSS_SELECTOR, ".pill")
    names = [pill.get_attribute("aria-label").split(",")[0] for pill in pills]
    assert {"sorting", "audience", "explanation"} <= set(names)
    pills[names.index("sorting")].click()
    assert counted(browser).endswith("of 242 rows")
    assert pills[names.index("sorting")].get_attribute("aria-pressed") == "true"
    assert "tag=sorting" in browser.current_url
    assert texts(browser, "#map-notes strong") == ["sorting"]
    browser.execute_script("arguments[0].focus()", pills[names.index("sorting")])
    keys(browser, Keys.ARROW_LEFT if pills[names.index("sorting")].rect["x"] > 700 else Keys.ARROW_RIGHT)
    assert browser.switch_to.active_element.get_attribute("aria-label") != pills[names.index("sorting")].get_attribute(
        "aria-label"
    )
    keys(browser, Keys.ENTER)
    assert browser.current_url.count("tag=") == 2


def test_tree_follows_the_aria_pattern(visit):
    browser = visit("view=tree")
    items = "[role=treeitem]"
    assert len(texts(browser, items)) == 3  # the root and its two children
    browser.execute_script("document.querySelector('[role=treeitem]').focus()")

    def at() -> str:
        return str(browser.switch_to.active_element.get_attribute("data-path"))

    keys(browser, Keys.ARROW_DOWN)
    assert (at(), browser.switch_to.active_element.get_attribute("aria-expanded")) == ("0", "false")
    keys(browser, Keys.ARROW_RIGHT)
    assert browser.switch_to.active_element.get_attribute("aria-expanded") == "true"
    assert len(texts(browser, items)) == 6
    keys(browser, Keys.ARROW_RIGHT, Keys.ARROW_DOWN)
    assert at() == "0.1"
    keys(browser, Keys.ENTER)
    assert counted(browser) == "60 of 242 rows"  # poetry
    assert at() == "0.1"
    keys(browser, Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    assert (at(), len(texts(browser, items))) == ("0", 3)
    keys(browser, Keys.END)
    assert at() == "1"
    assert "77 rows" in browser.switch_to.active_element.text
    keys(browser, " ")
    rows = [set(row["tags"]) for name in ("rounds", "rejected") for row in evolved()[name]]
    assert counted(browser) == f"{sum(bool({'audience', 'citation'} & tags) for tags in rows)} of 242 rows"
    visit("view=tree&under=0.2")
    assert counted(browser) == "60 of 242 rows"
    assert len(texts(browser, items)) == 6


def test_a_view_can_be_linked(visit):
    browser = visit("q=mind&tag=audience&config=default&sort=longest+instruction&page=1")
    expected = (counted(browser), texts(browser, "#list li"))
    assert expected[0] == "39 of 242 rows"
    browser.refresh()
    until(lambda: counted(browser) == expected[0])
    assert texts(browser, "#list li") == expected[1]
    assert one(browser, "#search").get_attribute("value") == "mind"
    visit("tag=no+such+tag&row=99999&page=7&view=nonsense&sort=nonsense&config=none")
    assert counted(browser) == "0 of 242 rows"
    assert texts(browser, ".nothing") == ["No row passes these filters."]


def test_theme_follows_the_system_until_told_otherwise(visit):
    browser = visit(scheme="dark")
    assert one(browser, "html").get_attribute("data-theme") == "dark"
    one(browser, "#theme").click()
    assert one(browser, "html").get_attribute("data-theme") == "light"
    browser.execute_script("localStorage.removeItem('tagsmith-theme')")
    visit(scheme="light")
    assert one(browser, "#theme").get_attribute("aria-pressed") == "false"


def test_hostile_rows_stay_text(visit):
    browser = visit()
    hostile, rtl = row_number(browser, "hostile"), row_number(browser, "rtl")
    visit(f"row={hostile}&q=bold")
    assert HOSTILE in texts(browser, "h1")[0]
    assert texts(browser, ".prose")[:2] == [HOSTILE, HOSTILE]
    assert HOSTILE in texts(browser, ".part .tag > span")
    assert browser.find_elements(By.CSS_SELECTOR, "img, b") == []
    visit(f"row={rtl}")
    assert texts(browser, ".prose")[0] == "שלום \u202e עולם 👩‍👩‍👧 \u2028 x"
    assert one(browser, ".prose").get_attribute("dir") == "auto"
    # Even a script that got in somehow may not make markup.
    refused = "try { document.body.innerHTML += '<i>x</i>'; return false } catch { return true }"
    assert browser.execute_script(refused) is True
    browser.get_log("browser")


@pytest.mark.parametrize("hash_", ["", "view=map", "view=tree&under=0.1", "row=5", "row=5&lineage=1"])
def test_narrow_screens_never_scroll_sideways(visit, hash_):
    browser = visit(hash_, width=400)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 400
    assert browser.execute_script("return document.getElementById('detail').scrollWidth") <= 400


def test_an_old_browser_and_an_empty_release_say_so(visit, browser, tmp_path):
    empty = tmp_path / "explorer-empty.html"
    rows = Dataset.from_dict({"instruction": [], "tags": []})
    empty.write_text(render_explorer("Nothing", {"default": rows}, offline=False), encoding="utf-8")
    visit(path=empty)
    assert texts(browser, "#results") == ["There are no rows."]
    script = {"source": "delete window.DecompressionStream"}
    old = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", script)
    try:
        visit()
        assert "cannot unpack the rows" in one(browser, "#trouble").text
    finally:
        browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", old)


def axe_source() -> str:
    """axe-core, which two packages bundle; neither is imported, so that neither needs Playwright."""
    for package in ("axe_playwright_python", "axe_core_python"):
        found = importlib.util.find_spec(package)
        if found is not None and found.submodule_search_locations:
            return (Path(found.submodule_search_locations[0]) / "axe.min.js").read_text(encoding="utf-8")
    pytest.skip("axe-core is not installed (pip install axe-core-python)")


@pytest.mark.parametrize(
    ("hash_", "scheme"),
    [
        ("q=number+3.&tag=audience", "light"),
        ("q=number+3.&tag=audience", "dark"),
        ("q=number+3.&view=map&tag=audience", "dark"),
        ("q=number+3.&view=tree&under=0.1", "light"),
        ("q=number+3.&row=5", "light"),
        ("q=number+3.&row=5&lineage=1", "dark"),
    ],
)
def test_axe_finds_nothing_to_object_to(visit, hash_, scheme):
    source = axe_source()
    browser = visit(hash_, scheme=scheme)
    browser.execute_script(source)
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    found = browser.execute_async_script(
        "const done = arguments[1]; axe.run(document, arguments[0]).then(done, error => done({failed: String(error)}))",
        {"runOnly": tags, "resultTypes": ["violations"]},
    )
    assert "failed" not in found, found
    assert {rule["id"]: [node["html"][:120] for node in rule["nodes"][:3]] for rule in found["violations"]} == {}
    assert len(found["passes"]) > 20
