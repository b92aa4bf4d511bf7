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
use http::{Uri, header::AUTHORIZATION};

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
    net::{request, token::Token},
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
    let shown = without_secrets(&target.url);
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

/// The URL for a report, without the values of secret parameters.
fn without_secrets(url: &Uri) -> String {
    let shown = url.to_string();
    let Some((place, query)) = shown.split_once('?') else { return shown };
    let parameter = |text: &str| {
        let mut read = form_urlencoded::parse(text.as_bytes());
        let is_hidden = |name: &str, value: &str| name == "ticket" || rules::is_secret(name, value);
        match read.next() {
            Some((name, value)) if is_hidden(&name, &value) => {
                format!("{}=…", text.split_once('=').map_or(text, |(name, _)| name))
            }
            _ => text.to_owned(),
        }
    };
    format!("{place}?{}", query.split('&').map(parameter).collect::<Vec<_>>().join("&"))
}

fn target(doctor: &Doctor, url: &str) -> anyhow::Result<Target> {
    let mut request = request::request(&doctor.request, url)?;
    if let Some(file) = doctor.token.token_file.clone() {
        if !request.headers().contains_key(AUTHORIZATION) {
            request = request.with_header(AUTHORIZATION, Token::File(file).header()?);
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_shows_no_secret_of_the_url() {
        let shown = |url: &str| without_secrets(&url.parse().unwrap());
        let jwt = format!("eyJ{}.{}.x", "a".repeat(30), "b".repeat(30));
        assert_eq!(
            shown("http://h/a?topic=b%20c&ticket=tdt_1&token=x"),
            "http://h/a?topic=b%20c&ticket=…&token=…"
        );
        assert_eq!(shown(&format!("http://h/?what={jwt}&c=")), "http://h/?what=…&c=");
        assert_eq!(shown("http://h/a"), "http://h/a");
    }
}
