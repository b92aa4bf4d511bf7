//! `tidings doctor`: finds out why an event stream does not arrive event by event.
//!
//! [`probes`] makes exchanges, and [`observation`] records them. All later steps know neither sockets nor clocks:
//! [`rules`] turn a [`case`] into findings, and [`report`] turns findings into text.

mod alternative;
mod case;
mod catalogue;
mod exchange;
mod fan;
mod finding;
mod fixes;
mod llm;
mod numbers;
mod observation;
mod origin;
mod probes;
mod report;
mod rules;
mod timing;
mod vendors;

use std::io::IsTerminal;

use anyhow::Context;

use self::{
    exchange::Way,
    finding::Finding,
    observation::Protocol,
    probes::{Target, examine},
    report::Report,
};
use crate::{
    cli::{Doctor, DoctorCommand, ReportForm, Severity},
    exit::{Exit, Hint, UsageError},
    net::request,
};

pub(crate) async fn run(mut doctor: Doctor) -> anyhow::Result<Exit> {
    match doctor.command.take() {
        Some(DoctorCommand::Origin(flags)) => return origin::run(flags).await.map(|()| Exit::Success),
        Some(DoctorCommand::Llm(flags)) => return llm::run(flags).await,
        None => {}
    }
    if let Some(name) = &doctor.explain {
        report::say(&report::explain(name).ok_or_else(|| unknown(name))?);
        return Ok(Exit::Success);
    }
    let url = doctor.url.as_deref().context("clap asks for a URL")?;
    let target = target(&doctor, url)?;
    let form = doctor.report.form();
    if form == ReportForm::Text && std::io::stderr().is_terminal() {
        eprintln!("Measuring {} …", patience(&doctor));
    }
    let shown = target.url.to_string();
    let case = match examine(target).await {
        Ok(case) => case,
        Err(error) => {
            report::unreachable(&shown, &format!("{error:#}"), form);
            return Ok(Exit::Unreachable);
        }
    };
    let findings = rules::judge(&case);
    let numbers = numbers::numbers(&case, &findings);
    let fail_on = doctor.report.fail_on;
    Report { url: &shown, case: &case, findings: &findings, numbers: &numbers, fail_on }.print(form);
    Ok(exit(&findings, fail_on))
}

fn exit(findings: &[Finding], fail_on: Severity) -> Exit {
    let fails = findings.iter().any(|finding| finding.severity <= fail_on);
    if fails { Exit::Failure } else { Exit::Success }
}

fn target(doctor: &Doctor, url: &str) -> anyhow::Result<Target> {
    let request = request::request(&doctor.request, url)?;
    let protocol = match (doctor.http1, doctor.http2) {
        (true, _) => Some(Protocol::Http1),
        (_, true) => Some(Protocol::Http2),
        _ => None,
    };
    if !matches!(request.url().scheme_str(), Some("http" | "https")) {
        return Err(UsageError(format!("{url:?}: its scheme is neither http nor https")).into());
    }
    Ok(Target {
        way: Way::new(request.url(), doctor.connect_to.clone(), protocol)?,
        url: request.url().clone(),
        method: request.method().clone(),
        headers: request.headers().clone(),
        body: request.body().clone(),
        idle: doctor.idle,
        long: doctor.long,
    })
}

fn patience(doctor: &Doctor) -> String {
    let longest = doctor.idle.into_iter().chain(doctor.long).max();
    match longest {
        None => "for up to 15 s".into(),
        Some(time) => format!("for up to {} s", time.as_secs() + 15),
    }
}

fn unknown(name: &str) -> anyhow::Error {
    anyhow::Error::new(UsageError(format!("{name:?} is neither a rule nor a fix")))
        .context(Hint("list them with: tidings doctor --explain all".into()))
}
