//! The HTML page, in a real browser: what it shows is what the JSON has, nothing leaves it, nothing
//! in a report can run in it, and it can be read on a phone, in the dark, and with the keyboard.

mod browser;
mod figures;
mod pages;

use std::fs;

use serde_json::{Value, json};

use browser::{Browser, PHONE, SCREEN, SMALL_SCREEN};
use pages::Page;

use crate::support::{Process, eventually, loadgen};

const PAGES: [fn() -> Page; 10] = [
    pages::run,
    pages::mixed,
    pages::ramp,
    pages::search,
    pages::bare,
    pages::hostile,
    pages::comparison,
    pages::compared_ramps,
    pages::long,
    pages::failed,
];

#[test]
fn every_page_renders_without_errors_or_network_requests() {
    let Some(mut browser) = Browser::start() else { return };
    for page in PAGES.map(|page| page()) {
        browser.open(&page.file);
        let text = browser.evaluate("document.querySelector('main').innerText");
        assert!(text.as_str().is_some_and(|text| text.len() > 300), "{text}");
        let policy = "getComputedStyle(document.body).marginTop === '0px'";
        assert_eq!(browser.evaluate(policy), true, "the policy keeps the style out");
        assert_eq!(browser.complaints(), [] as [Value; 0], "{:?}", page.file);
        assert_eq!(browser.requests(), [format!("file://{}", page.file.display())]);
    }
}

#[test]
fn pages_show_the_figures_of_the_json() {
    let Some(mut browser) = Browser::start() else { return };
    for page in [pages::run(), pages::mixed(), pages::changing(), pages::ramp(), pages::search()] {
        browser.open(&page.file);
        let all = "[...document.querySelectorAll('[data-path]')]\
                   .map(e => [e.dataset.path, e.value, e.textContent])";
        let shown = browser.evaluate(all);
        let shown: Vec<_> =
            shown.as_array().expect("a list").iter().map(figures::Shown::read).collect();
        figures::assert_equal(&shown, &page.json);
        figures::assert_complete(&shown, &page.json);
        figures::assert_tips(&browser.evaluate(figures::TABLES_AND_TIPS));
        let inside = browser.evaluate("JSON.parse(document.getElementById('report').textContent)");
        assert!(figures::is_same(&inside, &page.json), "the JSON inside");
    }
}

#[test]
fn a_long_run_has_bands_its_worst_seconds_and_a_heat_map() {
    let Some(mut browser) = Browser::start() else { return };
    let page = pages::long();
    browser.open(&page.file);
    let shown = browser.evaluate(
        "[...document.querySelectorAll('[data-path]')].map(e => [e.dataset.path, e.value, e.textContent])",
    );
    let shown: Vec<_> =
        shown.as_array().expect("a list").iter().map(figures::Shown::read).collect();
    figures::assert_equal(&shown, &page.json);
    let bands = "document.querySelectorAll('.plot path.band').length";
    assert!(browser.evaluate(bands).as_u64() > Some(0), "a long series is a band");
    let worst = "[...document.querySelectorAll('tr.group')].find(tr => \
                 tr.textContent.includes('highest arrival p99')).nextElementSibling.cells[0].textContent";
    assert_eq!(browser.evaluate(worst), "10:00");
    let cells = "document.querySelectorAll('.heat path').length";
    assert!(browser.evaluate(cells).as_u64() > Some(1), "the heat map has several colours");
    let columns = "document.querySelectorAll('.heat .stop').length";
    assert_eq!(browser.evaluate(columns), 75);
}

#[test]
fn the_contents_lead_to_every_section_and_are_not_on_a_phone() {
    let Some(mut browser) = Browser::start() else { return };
    for page in [pages::run(), pages::ramp()] {
        browser.emulate(SCREEN, "light");
        browser.open(&page.file);
        let broken = "[...document.querySelectorAll('.contents a')]\
                      .filter(a => !document.getElementById(a.hash.slice(1))).length";
        assert_eq!(browser.evaluate(broken), 0);
        let same = "document.querySelectorAll('.contents a').length === \
                    document.querySelectorAll('main > section').length";
        assert_eq!(browser.evaluate(same), true);
        let height = "document.querySelector('.contents').offsetHeight";
        assert!(browser.evaluate(height).as_u64() > Some(10));
        browser.emulate(PHONE, "light");
        assert_eq!(browser.evaluate(height), 0);
    }
}

#[test]
fn a_run_that_proves_nothing_has_nothing_green() {
    let Some(mut browser) = Browser::start() else { return };
    browser.open(&pages::failed().file);
    let green =
        "[...document.querySelectorAll('header .good, .tile.good')].map(e => e.textContent)";
    assert_eq!(browser.evaluate(green), json!([]));
    let first = "document.querySelector('.badge').className";
    assert_eq!(browser.evaluate(first), "badge bad");
}

#[test]
fn the_pipeline_is_a_row_on_a_screen_and_a_column_on_a_phone() {
    let Some(mut browser) = Browser::start() else { return };
    browser.open(&pages::run().file);
    let places = "[...document.querySelectorAll('.pipeline .node')].map(e => {
        const at = e.getBoundingClientRect();
        return [Math.round(at.left), Math.round(at.top)];
    })";
    for (size, changing) in [(SCREEN, 0), (PHONE, 1)] {
        browser.emulate(size, "light");
        let places = browser.evaluate(places);
        let places = places.as_array().expect("a list");
        assert_eq!(places.len(), 6, "{places:?}");
        let ascends = places.windows(2).all(|two| {
            let [a, b] = [&two[0], &two[1]];
            a[changing].as_i64() < b[changing].as_i64() && a[1 - changing] == b[1 - changing]
        });
        assert!(ascends, "{size:?}: {places:?}");
    }
}

/// Captions of the tables that are wider than their boxes.
const CUT_TABLES: &str = "[...document.querySelectorAll('.scroll')]
    .filter(box => box.scrollWidth > box.clientWidth + 1).map(box => box.getAttribute('aria-label'))";

#[test]
fn tables_are_not_cut_off_on_a_screen() {
    let Some(mut browser) = Browser::start() else { return };
    for page in [pages::run(), pages::mixed(), pages::ramp(), pages::search(), pages::comparison()]
    {
        for size in [SCREEN, SMALL_SCREEN] {
            browser.emulate(size, "light");
            browser.open(&page.file);
            let cut = browser.evaluate(CUT_TABLES);
            assert_eq!(cut, json!([]), "{:?} at {size:?}", page.file);
        }
    }
}

#[test]
fn strings_of_a_report_are_neither_executed_nor_markup() {
    let page = pages::hostile();
    let html = fs::read_to_string(&page.file).expect("the page");
    for attribute in ["src=", "href=", "url(", "@import", "<link", "<iframe", "<object", "<form"] {
        for (at, _) in html.match_indices(attribute) {
            let found: String = html[at..].chars().take(60).collect();
            // In text it stands escaped; as an attribute it leads nowhere but into the page.
            let known = ["href=\"#", "href=\"data:,\"", "<link rel=\"icon\"", "src=x"];
            assert!(known.iter().any(|known| found.starts_with(known)), "{found}");
        }
    }
    assert!(!html.contains("<img") && !html.contains("<svg onload"));
    let Some(mut browser) = Browser::start() else { return };
    browser.open(&page.file);
    assert_eq!(browser.evaluate("typeof window.harmed"), "undefined");
    assert_eq!(browser.evaluate("document.scripts.length"), 2);
    assert_eq!(browser.evaluate("document.querySelectorAll('img, [onload], [onerror]').length"), 0);
    for place in ["h1", ".question", ".findings span", "summary b", "section > p code"] {
        let text = browser.evaluate(&format!("document.querySelector('{place}').textContent"));
        let text = text.as_str().unwrap_or_default();
        assert!(text.contains("<script>window.harmed=1</script>"), "{place}: {text}");
        assert!(text.contains("{{json}}&amp;"), "{place}: {text}");
    }
}

#[test]
fn strings_of_a_comparison_are_neither_executed_nor_markup() {
    let page = pages::hostile_comparison();
    let html = fs::read_to_string(&page.file).expect("the page");
    assert!(!html.contains("<img") && !html.contains("<svg onload"));
    let Some(mut browser) = Browser::start() else { return };
    browser.open(&page.file);
    assert_eq!(browser.evaluate("typeof window.harmed"), "undefined");
    assert_eq!(browser.evaluate("document.scripts.length"), 2);
    assert_eq!(browser.complaints(), [] as [Value; 0]);
    for place in [".lead", "td a, th a", "summary b", ".facts dd", ".notes li"] {
        let text = browser.evaluate(&format!("document.querySelector('{place}').textContent"));
        let text = text.as_str().unwrap_or_default();
        assert!(text.contains("<script>window.harmed=1</script>"), "{place}: {text}");
    }
}

#[test]
fn the_page_of_a_comparison_has_both_sides_in_one_chart() {
    let Some(mut browser) = Browser::start() else { return };
    let page = pages::comparison();
    browser.open(&page.file);
    let badge = browser.evaluate("document.querySelector('.badge').textContent");
    assert!(badge.as_str().is_some_and(|badge| badge.contains("WORSE")), "{badge}");
    let lines = "[...document.querySelectorAll('figure')].map(f => \
                 [...new Set([...f.querySelectorAll('path')].map(p => p.classList[0]))])";
    let lines = browser.evaluate(lines);
    assert_eq!(lines, json!([[], ["base", "new"], ["base", "new"]]), "changes, arrival, response");
    for scheme in ["light", "dark"] {
        browser.emulate(SCREEN, scheme);
        browser.open(&page.file);
        assert_eq!(browser.evaluate(FAINT), json!([]), "{scheme}: text is hard to read");
    }
    browser.call("Emulation.setScriptExecutionDisabled", &json!({"value": true}));
    browser.open(&page.file);
    let cells = browser.evaluate("document.querySelectorAll('td data').length").as_u64();
    assert!(cells > Some(60), "{cells:?}");
}

#[test]
fn charts_can_be_read_with_the_keyboard() {
    let Some(mut browser) = Browser::start() else { return };
    browser.open(&pages::run().file);
    let focused = "document.activeElement.closest('.stop')?.getAttribute('aria-label') ?? ''";
    let mut label = Value::Null;
    for _ in 0..20 {
        browser.press("Tab");
        label = browser.evaluate(focused);
        if label != "" {
            break;
        }
    }
    assert!(label.as_str().is_some_and(|l| l.starts_with("p50: arrival ")), "{label}");
    let tip =
        "document.getElementById('tip').hidden ? '' : document.getElementById('tip').innerText";
    assert!(browser.evaluate(tip).as_str().is_some_and(|tip| tip.starts_with("p50")));
    browser.press("ArrowRight");
    let next = browser.evaluate(tip);
    assert!(next.as_str().is_some_and(|tip| tip.starts_with("p75")), "{next}");
    browser.press("End");
    assert!(browser.evaluate(tip).as_str().is_some_and(|tip| tip.starts_with("max")));
    browser.press("ArrowRight");
    assert!(browser.evaluate(tip).as_str().is_some_and(|tip| tip.starts_with("max")), "the end");
    browser.press("Escape");
    assert_eq!(browser.evaluate(tip), "");
    // Tab leaves the chart: the table beside it is next, and it scrolls by itself.
    browser.press("Tab");
    assert_eq!(browser.evaluate("document.activeElement.className"), "scroll");
    let reachable = "[...document.querySelectorAll('.plot > svg')].every(svg => \
                     svg.querySelectorAll(':scope > .stop[tabindex=\"0\"]').length === 1)";
    assert_eq!(browser.evaluate(reachable), true, "each chart is on the way of the Tab key once");
}

#[test]
fn pages_fit_a_phone_and_labels_do_not_overlap() {
    let Some(mut browser) = Browser::start() else { return };
    for page in PAGES.map(|page| page()) {
        for size in [PHONE, SCREEN] {
            browser.emulate(size, "light");
            browser.open(&page.file);
            browser
                .evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })");
            let width = browser.evaluate("document.documentElement.scrollWidth");
            assert_eq!(width, size.width, "{:?} is wider than {size:?}", page.file);
            let crowded = browser.evaluate(CROWDED);
            // A hostile name may be as long as it likes.
            if !page.file.ends_with("hostile.html") {
                assert_eq!(crowded, json!([]), "{:?} at {size:?}", page.file);
            }
            let small = "[...document.querySelectorAll('body *')].some(e => e.textContent.trim() && \
                         parseFloat(getComputedStyle(e).fontSize) < 12)";
            assert_eq!(browser.evaluate(small), false, "text is too small to read");
        }
    }
}

/// Labels of axes and rows that overlap each other or leave their card.
const CROWDED: &str = "[...document.querySelectorAll('.plot > svg')].flatMap(svg => {
  const card = svg.closest('figure').getBoundingClientRect();
  const boxes = [...svg.querySelectorAll('text')].map(t => [t.textContent, t.getBoundingClientRect()])
    .filter(([, b]) => b.width > 0);
  const outside = boxes.filter(([, b]) => b.left < card.left || b.right > card.right);
  const over = boxes.filter(([, a], n) => boxes.slice(n + 1).some(([, b]) =>
    a.left < b.right && b.left < a.right && a.top + 2 < b.bottom && b.top + 2 < a.bottom));
  return [...outside, ...over].map(([text]) => text);
})";

#[test]
fn colours_follow_the_preference_and_the_button() {
    let Some(mut browser) = Browser::start() else { return };
    let page = pages::run();
    let is_dark = |browser: &mut Browser| {
        let light = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g)[0]";
        browser.evaluate(&format!("{light} < 128")) == true
    };
    for (scheme, dark) in [("light", false), ("dark", true)] {
        browser.emulate(SCREEN, scheme);
        browser.open(&page.file);
        assert_eq!(is_dark(&mut browser), dark, "{scheme}");
        assert_eq!(browser.evaluate(FAINT), json!([]), "{scheme}: text is hard to read");
        browser.evaluate("document.getElementById('theme').click()");
        assert_eq!(is_dark(&mut browser), !dark, "the button turns {scheme} over");
        assert_eq!(browser.evaluate(FAINT), json!([]), "{scheme}, turned over: hard to read");
        assert_eq!(browser.complaints(), [] as [Value; 0]);
    }
}

/// Texts whose contrast with what is behind them is below 4.5, as WCAG 2 reckons it.
const FAINT: &str = "(() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgb = (colour, under) => {
    canvas.fillStyle = under; canvas.fillRect(0, 0, 1, 1);
    canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (c) => c.map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, n) => sum + v * [.2126, .7152, .0722][n], 0);
  const behind = (e) => {
    const own = getComputedStyle(e).backgroundColor;
    const under = e.parentElement ? behind(e.parentElement) : '#fff';
    return `rgb(${rgb(own, under).join(' ')})`;
  };
  const texts = [...document.querySelectorAll('main *, nav *, footer')].filter(e =>
    [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()));
  return texts.map(e => {
    const style = getComputedStyle(e);
    const back = behind(e);
    const [a, b] = [light(rgb(e.closest('svg') ? style.fill : style.color, back)), light(rgb(back, '#fff'))];
    return [(Math.max(a, b) + .05) / (Math.min(a, b) + .05), e.tagName, e.textContent];
  }).filter(([ratio]) => ratio < 4.5);
})()";

#[test]
fn pages_show_the_same_figures_without_their_script() {
    let Some(mut browser) = Browser::start() else { return };
    browser.call("Emulation.setScriptExecutionDisabled", &json!({"value": true}));
    browser.open(&pages::run().file);
    let count = |browser: &mut Browser, what: &str| {
        browser.evaluate(&format!("document.querySelectorAll('{what}').length")).as_u64()
    };
    assert!(count(&mut browser, "td > data") > Some(100));
    assert!(count(&mut browser, ".plot path") > Some(10));
}

#[test]
fn the_json_can_be_saved_from_the_page() {
    let Some(mut browser) = Browser::start() else { return };
    let page = pages::ramp();
    browser.open(&page.file);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let allow = json!({"behavior": "allow", "downloadPath": folder.path()});
    browser.call("Browser.setDownloadBehavior", &allow);
    browser.evaluate("document.getElementById('save').click()");
    let saved = eventually("the download", || {
        let text = fs::read_to_string(folder.path().join("report.json")).ok()?;
        serde_json::from_str::<Value>(&text).ok()
    });
    assert!(figures::is_same(&saved, &page.json));
    assert_eq!(browser.complaints(), [] as [Value; 0]);
}

#[test]
fn a_run_writes_a_page_and_a_json_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let name = |name: &str| folder.path().join(name).display().to_string();
    let (html, json) = (name("r.html"), name("r.json"));
    let words = format!("-R 100 -n 50 --stack embedded --allow-limited -q -o {html} -o {json}");
    let finished = Process::start("loadgen", &mut loadgen(&words)).finish();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let page = fs::read_to_string(html).expect("the page");
    assert!(page.starts_with("<!doctype html>"), "{page}");
    let (_, rest) = page.split_once("id=\"report\">").expect("the JSON inside");
    let (inside, _) = rest.split_once("</script>").expect("its end");
    let inside: Value = serde_json::from_str(inside).expect("JSON");
    let saved: Value =
        serde_json::from_str(&fs::read_to_string(json).expect("the JSON")).expect("JSON");
    assert_eq!(inside, saved);
    assert!(page.contains("loadgen --rate 100 --requests 50 --stack embedded"), "the command");
}
