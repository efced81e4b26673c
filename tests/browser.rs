//! The HTML report in a real browser: nothing is wider than a phone, every plot has a size and keeps its labels, and it prints.
//!
//! The browser is `chromium-headless-shell`, `chromium` or Chrome on the `PATH`, or what `QUANTRACK_BROWSER` names.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::path::{Path, PathBuf};
use std::process::Command;

use quantrack_tests::Demo;
use serde_json::Value;

const BROWSERS: [&str; 4] =
    ["chromium-headless-shell", "chromium", "google-chrome", "chromium-browser"];

/// Shows the report at the width of a phone and of a screen, measures, and leaves what it measured as the page's text.
const MEASURE: &str = r#"<!doctype html><meta charset="utf-8"><body>
<iframe src="report.html" style="width:360px;height:800px"></iframe>
<iframe src="report.html" style="width:1280px;height:800px"></iframe>
<script>
const measure = frame => {
  const page = frame.contentDocument, root = page.documentElement;
  const plots = [...page.querySelectorAll('svg')].map(svg => {
    const box = svg.getBoundingClientRect();
    const cut = [...svg.querySelectorAll('text')].filter(text => {
      const inner = text.getBoundingClientRect();
      return inner.left < box.left - 1 || inner.right > box.right + 1 || inner.top < box.top - 1 || inner.bottom > box.bottom + 1;
    });
    const letters = Math.min(...[...svg.querySelectorAll('text.tick')].map(text => text.getBoundingClientRect().height));
    return { width: box.width, height: box.height, letters, cut: cut.map(text => text.textContent) };
  });
  const headings = [...page.querySelectorAll('h2')].map(heading => heading.textContent);
  return { width: root.clientWidth, needed: root.scrollWidth, height: root.scrollHeight, plots, headings };
};
onload = () => {
  const measured = [...document.querySelectorAll('iframe')].map(measure);
  document.body.textContent = 'BEGIN' + JSON.stringify(measured) + 'END';
};
</script>"#;

fn browser() -> Option<PathBuf> {
    let named = std::env::var_os("QUANTRACK_BROWSER").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = || {
        let mut all = BROWSERS
            .iter()
            .flat_map(|name| std::env::split_paths(&path).map(move |at| at.join(name)));
        all.find(|program| program.is_file())
    };
    named.or_else(on_path)
}

/// What the browser prints about `page` with these arguments.
fn browse(browser: &Path, arguments: &[&str], page: &Path) -> String {
    let profile = tempfile::TempDir::new().unwrap();
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(arguments)
        .arg(format!("file://{}", page.display()))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_report_is_readable_on_a_phone_on_a_screen_and_printed() {
    let Some(browser) = browser() else {
        eprintln!(
            "skipped: no browser for the report (Debian: apt install chromium-headless-shell)"
        );
        return;
    };
    let demo = Demo::new();
    // What a busy machine measures may be far from what it measured before.
    let tune = ["tune", "--out", ".", "--max-latency-deviation", "1000"];
    let output = demo.orchestrator(&tune).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let folder = demo.folder().canonicalize().unwrap();
    let (report, measuring) = (folder.join("report.html"), folder.join("measure.html"));
    assert!(report.is_file());
    std::fs::write(&measuring, MEASURE).unwrap();

    let page = browse(&browser, &["--virtual-time-budget=10000", "--dump-dom"], &measuring);
    let measured = page.split("BEGIN").nth(1).and_then(|rest| rest.split("END").next());
    let measured: Value =
        serde_json::from_str(measured.unwrap_or_else(|| panic!("nothing was measured: {page}")))
            .unwrap();
    let views = measured.as_array().unwrap();
    assert_eq!(views.len(), 2);
    for view in views {
        assert_eq!(view["needed"], view["width"], "the page is wider than its window: {view:#}");
        assert!(view["height"].as_f64().unwrap() > 1000.0, "{view:#}");
        let headings = view["headings"].as_array().unwrap();
        for expected in ["Accuracy against latency", "Why nothing is better", "Latency table"] {
            assert!(headings.iter().any(|heading| heading == expected), "{expected}: {headings:?}");
        }
        let plots = view["plots"].as_array().unwrap();
        assert!(plots.len() >= 2, "{view:#}");
        for plot in plots {
            assert!(plot["width"].as_f64().unwrap() > 250.0, "{plot:#}");
            assert!(plot["height"].as_f64().unwrap() > 40.0, "{plot:#}");
            assert!(plot["letters"].as_f64().unwrap() > 10.0, "too small to read: {plot:#}");
            assert_eq!(plot["cut"], Value::Array(Vec::new()), "labels are cut off: {plot:#}");
        }
    }

    let pdf = folder.join("report.pdf");
    let print = format!("--print-to-pdf={}", pdf.display());
    browse(&browser, &[&print, "--no-pdf-header-footer"], &report);
    let printed = std::fs::read(pdf).unwrap();
    assert!(printed.starts_with(b"%PDF"));
    let kind = b"/Type /Page\n";
    let pages = printed.windows(kind.len()).filter(|window| window == kind).count();
    assert!((1..=12).contains(&pages), "{pages} pages");
}
