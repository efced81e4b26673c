//! For CI servers: JUnit XML. A board is a suite, a model a case; inconclusive is skipped with the reason, a board that did
//! not do its work an error.

use std::io;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use super::{accuracy_sentence, change, interval};
use crate::nightly::accuracy::AccuracyReport;
use crate::nightly::report::{BoardReport, ModelReport, Report};
use crate::nightly::verdict::Verdict;

type Xml = Writer<Vec<u8>>;

/// The report as JUnit XML.
///
/// # Errors
/// None in practice: it is written to memory.
pub fn junit(report: &Report) -> io::Result<String> {
    let mut xml = Writer::new_with_indent(Vec::new(), b' ', 2);
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    xml.create_element("testsuites")
        .with_attribute(("name", "quantrack check"))
        .write_inner_content(|xml| {
            report.boards.iter().try_for_each(|board| suite(xml, board, &report.baseline))?;
            if report.accuracy.is_empty() { Ok(()) } else { accuracy(xml, &report.accuracy) }
        })?;
    let mut text = String::from_utf8(xml.into_inner()).map_err(io::Error::other)?;
    text.push('\n');
    Ok(text)
}

fn suite(xml: &mut Xml, board: &BoardReport, baseline: &str) -> io::Result<()> {
    let count =
        |verdict: Verdict| board.models.iter().filter(|model| model.verdict == verdict).count();
    let faults = usize::from(board.fault.is_some());
    xml.create_element("testsuite")
        .with_attribute(("name", clean(&board.board).as_str()))
        .with_attribute(("tests", (board.models.len() + faults).to_string().as_str()))
        .with_attribute(("failures", count(Verdict::Regression).to_string().as_str()))
        .with_attribute(("skipped", count(Verdict::Inconclusive).to_string().as_str()))
        .with_attribute(("errors", faults.to_string().as_str()))
        .write_inner_content(|xml| {
            board.models.iter().try_for_each(|model| case(xml, board, model, baseline))?;
            let Some(fault) = &board.fault else { return Ok(()) };
            let (name, cause) = ("board", clean(&fault.sentence()));
            element(xml, &board.board, name, |xml| message(xml, "error", &cause))
        })?;
    Ok(())
}

fn case(xml: &mut Xml, board: &BoardReport, model: &ModelReport, baseline: &str) -> io::Result<()> {
    let figures = model.effect.as_ref().map_or(String::new(), |effect| {
        format!("{} ({})", change(effect.change), interval(effect))
    });
    let why = clean(&model.why().unwrap_or_default());
    let mut said = match model.verdict {
        Verdict::Regression => format!("slower than the baseline: {figures}"),
        Verdict::Inconclusive => format!("inconclusive: {why}"),
        Verdict::Ok | Verdict::Improved | Verdict::LabFault => {
            format!("{} {figures}", model.verdict)
        }
    };
    if let Some(precautions) = model.missing_precautions.sentence(baseline) {
        said.push_str(&clean(&format!("; {precautions}")));
    }
    element(xml, &board.board, &clean(&model.model), |xml| outcome(xml, model.verdict, &said))
}

fn accuracy(xml: &mut Xml, all: &[AccuracyReport]) -> io::Result<()> {
    let count =
        |verdict: Verdict| all.iter().filter(|one| one.verdict == verdict).count().to_string();
    xml.create_element("testsuite")
        .with_attribute(("name", "accuracy"))
        .with_attribute(("tests", all.len().to_string().as_str()))
        .with_attribute(("failures", count(Verdict::Regression).as_str()))
        .with_attribute(("skipped", count(Verdict::Inconclusive).as_str()))
        .with_attribute(("errors", "0"))
        .write_inner_content(|xml| {
            all.iter().try_for_each(|one| {
                let said = clean(&accuracy_sentence(one));
                element(xml, "accuracy", &clean(&one.name), |xml| outcome(xml, one.verdict, &said))
            })
        })?;
    Ok(())
}

/// What a verdict is to a CI server.
fn outcome(xml: &mut Xml, verdict: Verdict, said: &str) -> io::Result<()> {
    match verdict {
        Verdict::Regression => message(xml, "failure", said),
        Verdict::Inconclusive => message(xml, "skipped", said),
        Verdict::Ok | Verdict::Improved | Verdict::LabFault => {
            xml.create_element("system-out").write_text_content(BytesText::new(said))?;
            Ok(())
        }
    }
}

/// A case of the suite of that name.
fn element(
    xml: &mut Xml,
    suite: &str,
    name: &str,
    content: impl FnOnce(&mut Xml) -> io::Result<()>,
) -> io::Result<()> {
    xml.create_element("testcase")
        .with_attribute(("classname", clean(suite).as_str()))
        .with_attribute(("name", name))
        .write_inner_content(content)?;
    Ok(())
}

fn message(xml: &mut Xml, kind: &str, text: &str) -> io::Result<()> {
    xml.create_element(kind).with_attribute(("message", text)).write_empty()?;
    Ok(())
}

/// Without what XML 1.0 cannot hold, escaped or not.
fn clean(text: &str) -> String {
    text.chars().filter(|&c| !c.is_control() || c == '\n').collect()
}
