//! `tidings doctor llm`: how an LLM's answer streams.

use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Uri, header};
use serde_json::{Map, Value, json};
use tidings_client::Request;

use super::{
    case::{Case, Role},
    exchange::{Ask, Way, exchange},
    finding::Finding,
    observation::{End, Event, Seen},
    report::{self, Report},
    rules,
};
use crate::{
    cli::DoctorLlm,
    exit::{Exit, UsageError},
};

/// The time limit for a small answer.
const PATIENCE: Duration = Duration::from_secs(90);

/// Enough words to see a rhythm, and so few that they cost almost nothing.
const PROMPT: &str = "Count from one to twenty in words, separated by spaces. Nothing else.";
const MAX_TOKENS: u32 = 64;

/// From this many tokens on, their rhythm can be judged.
const ENOUGH_TOKENS: usize = 8;

pub(super) async fn run(flags: DoctorLlm) -> anyhow::Result<Exit> {
    let url = Request::get(&flags.url).map_err(|error| UsageError(error.to_string()))?;
    let dialect = Dialect::of(url.url());
    let key = flags.key_env.as_deref().map(|name| {
        std::env::var(name)
            .map_err(|_| UsageError(format!("--key-env: the environment has no variable {name}")))
    });
    let ask = dialect.ask(url.url(), key.transpose()?.as_deref(), &flags.model)?;
    let way = Way::new(url.url(), flags.connect_to, None)?;
    let answer = exchange(&ask, &way).await;
    if let End::Unreachable(reason) = &answer.end {
        report::unreachable(&flags.url, reason, flags.report.form());
        return Ok(Exit::Unreachable);
    }
    let next = after_abort(&ask, &way, &answer, dialect).await;
    let mut case = Case::new(ask.url.clone());
    case.seen.push((Role::Plain, answer.clone()));
    case.not_measured = vec![
        ("whether an aborted answer is still billed", "see the provider's usage page".into()),
        ("resuming", "the APIs of LLMs cannot resume; a gateway in front may add it".into()),
    ];
    let mut findings = rules::judge_head(&case);
    if answer.is_stream() {
        findings.extend(judge(dialect, &answer, next.as_ref()));
    }
    findings.sort_by_key(|finding| finding.severity);
    let numbers = numbers(dialect, &answer, next.as_ref());
    let (url, fail_on) = (&*flags.url, flags.report.fail_on);
    Report { url, case: &case, findings: &findings, numbers: &numbers, fail_on }.print(flags.report.form());
    Ok(super::exit(&findings, fail_on))
}

/// Aborts an answer at its first token and asks again. If a server goes on with an answer that nobody reads, and has
/// room for one answer at a time, the next answer must wait.
async fn after_abort(ask: &Ask, way: &Way, answer: &Seen, dialect: Dialect) -> Option<Seen> {
    let first = dialect.tokens(answer).first()?.at;
    drop(exchange(&Ask { within: first + Duration::from_millis(200), ..ask.clone() }, way).await);
    let next =
        exchange(&Ask { within: (first * 4 + Duration::from_secs(4)).min(PATIENCE), ..ask.clone() }, way)
            .await;
    Some(next)
}

/// The format of a server's events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    /// `POST …/chat/completions`, which ends with `[DONE]`.
    ChatCompletions,
    /// `POST …/responses`, which ends with `response.completed`.
    Responses,
    /// `POST …/messages`, which ends with `message_stop`.
    Messages,
}

impl Dialect {
    fn of(url: &Uri) -> Dialect {
        match url.path().trim_end_matches('/').rsplit('/').next() {
            Some("messages") => Dialect::Messages,
            Some("responses") => Dialect::Responses,
            _ => Dialect::ChatCompletions,
        }
    }

    fn ask(self, url: &Uri, key: Option<&str>, model: &str) -> anyhow::Result<Ask> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::ACCEPT, HeaderValue::from_static("text/event-stream"));
        if let Some(key) = key {
            let (name, value) = match self {
                Dialect::Messages => ("x-api-key", key.to_owned()),
                _ => ("authorization", format!("Bearer {key}")),
            };
            let mut value = HeaderValue::try_from(value).context("the API key cannot be sent in a header")?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let messages = json!([{ "role": "user", "content": PROMPT }]);
        let body = match self {
            Dialect::ChatCompletions => {
                json!({ "model": model, "stream": true, "max_tokens": MAX_TOKENS, "messages": messages })
            }
            Dialect::Messages => {
                headers.insert("anthropic-version", HeaderValue::from_static("2023-06-01"));
                json!({ "model": model, "stream": true, "max_tokens": MAX_TOKENS, "messages": messages })
            }
            Dialect::Responses => {
                json!({ "model": model, "stream": true, "max_output_tokens": MAX_TOKENS, "input": PROMPT })
            }
        };
        let body = Bytes::from(body.to_string());
        Ok(Ask { method: Method::POST, url: url.clone(), headers, body, within: PATIENCE })
    }

    /// The events that carry text.
    fn tokens(self, seen: &Seen) -> Vec<Event<'_>> {
        seen.events().filter(|event| self.text(event.data).is_some_and(|text| !text.is_empty())).collect()
    }

    fn text(self, data: &str) -> Option<String> {
        let data: Value = serde_json::from_str(data).ok()?;
        let text = match self {
            Dialect::ChatCompletions => &data["choices"][0]["delta"]["content"],
            Dialect::Messages => &data["delta"]["text"],
            Dialect::Responses if data["type"] == "response.output_text.delta" => &data["delta"],
            Dialect::Responses => &Value::Null,
        };
        text.as_str().map(str::to_owned)
    }

    /// The event that marked the answer as complete.
    fn terminal(self, seen: &Seen) -> Option<String> {
        let of = |event: Event<'_>| {
            if event.data.trim() == "[DONE]" {
                return Some("[DONE]".to_owned());
            }
            let data: Value = serde_json::from_str(event.data).ok()?;
            match self {
                Dialect::ChatCompletions => {
                    let reason = data["choices"][0]["finish_reason"].as_str()?;
                    Some(format!("finish_reason {reason}"))
                }
                Dialect::Messages => (data["type"] == "message_stop").then(|| "message_stop".into()),
                Dialect::Responses => data["type"]
                    .as_str()
                    .filter(|name| {
                        matches!(*name, "response.completed" | "response.incomplete" | "response.failed")
                    })
                    .map(str::to_owned),
            }
        };
        seen.events().filter_map(of).last()
    }
}

fn judge(dialect: Dialect, answer: &Seen, next: Option<&Seen>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let found = |rule, measured: String| Finding::of(rule, measured, "one small completion");
    let is_error = |event: &Event<'_>| {
        let data: Option<Value> = serde_json::from_str(event.data).ok();
        event.event_type == "error"
            || data.is_some_and(|data| !data["error"].is_null() || data["type"] == "error")
    };
    if let Some(error) = answer.events().find(is_error) {
        let text: String = error.data.chars().take(120).collect();
        findings.push(found("llm-error-in-stream", text));
    }
    if let (None, End::Complete | End::Broken(_)) = (dialect.terminal(answer), &answer.end) {
        findings.push(found("llm-no-terminal-event", format!("the answer ended: {:?}", answer.end)));
    }
    let tokens = dialect.tokens(answer);
    if tokens.len() >= ENOUGH_TOKENS {
        let pieces = pieces(&tokens);
        let first = tokens[0].at;
        let measured = format!(
            "{} tokens in {pieces} pieces, the first after {:.1} s",
            tokens.len(),
            first.as_secs_f64()
        );
        let began = answer.head.as_ref().map_or(Duration::ZERO, |head| head.at);
        if pieces <= 2 {
            // A fast model may send all tokens at almost the same time.
            let finding = found("llm-not-streamed", measured);
            let has_waited = first.max(began) > Duration::from_millis(500);
            findings.push(if has_waited { finding } else { finding.consistent() });
        } else if tokens.len() / pieces >= 4 {
            findings.push(found("llm-coalesced", measured));
        }
        let waited = next.map(|next| dialect.tokens(next).first().map_or(next.ended, |token| token.at));
        if let Some(waited) = waited.filter(|waited| *waited > first * 2 + Duration::from_secs(1)) {
            let measured = format!(
                "first token after {:.1} s, after an aborted answer {:.1} s",
                first.as_secs_f64(),
                waited.as_secs_f64()
            );
            findings.push(found("llm-abort-ignored", measured).consistent());
        }
    }
    findings
}

/// The number of instants at which tokens arrived.
fn pieces(tokens: &[Event<'_>]) -> usize {
    // Tokens of a fast model are a few milliseconds apart. So tokens count as separate if they arrived by different
    // reads.
    let mut times: Vec<_> = tokens.iter().map(|token| token.at).collect();
    times.dedup_by(|next, last| next.saturating_sub(*last) < Duration::from_micros(300));
    times.len()
}

fn numbers(dialect: Dialect, answer: &Seen, next: Option<&Seen>) -> Map<String, Value> {
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let tokens = dialect.tokens(answer);
    let pieces = pieces(&tokens);
    let first_token = |seen| dialect.tokens(seen).first().map(|token| ms(token.at));
    let per_read = (pieces > 0).then(|| (tokens.len() as f64 / pieces as f64 * 100.0).round() / 100.0);
    let numbers = json!({
        "protocol": answer.protocol.map(super::Protocol::name),
        "dialect": format!("{dialect:?}"),
        "ttfb_ms": answer.head.as_ref().map(|head| ms(head.at)),
        "first_event_ms": answer.events().next().map(|event| ms(event.at)),
        "first_token_ms": first_token(answer),
        "tokens": tokens.len(),
        "tokens_per_read": per_read,
        "max_gap_ms": ms(rules::longest_silence(answer)),
        "terminal_event": dialect.terminal(answer),
        "first_token_after_abort_ms": next.and_then(first_token),
    });
    match numbers {
        Value::Object(numbers) => numbers.into_iter().filter(|(_, value)| !value.is_null()).collect(),
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::case::made::{CLEAN, answer};

    fn token(text: &str) -> String {
        format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n")
    }

    fn found(pieces: &[(u64, String)], end: End) -> Vec<&'static str> {
        let pieces: Vec<_> = pieces.iter().map(|(at, piece)| (*at, &**piece)).collect();
        let seen = answer(200, CLEAN, &pieces, end);
        judge(Dialect::ChatCompletions, &seen, None).iter().map(|finding| finding.rule).collect()
    }

    fn tokens(arrives: impl Fn(u64) -> u64) -> Vec<(u64, String)> {
        (0..12).map(|number| (arrives(number), token("one"))).collect()
    }

    fn with(mut pieces: Vec<(u64, String)>, last: &str) -> Vec<(u64, String)> {
        let at = pieces.last().map_or(0, |(at, _)| *at);
        pieces.push((at, last.into()));
        pieces
    }

    #[test]
    fn an_answer_that_comes_token_by_token_and_ends_is_clean() {
        assert!(found(&with(tokens(|n| 800 + n * 30), "data: [DONE]\n\n"), End::Complete).is_empty());
        let reason = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
        assert!(found(&with(tokens(|n| 800 + n * 30), reason), End::Complete).is_empty());
    }

    #[test]
    fn each_fault_of_an_answer_has_its_rule() {
        let done = "data: [DONE]\n\n";
        assert_eq!(found(&with(tokens(|_| 2000), done), End::Complete), ["llm-not-streamed"]);
        assert_eq!(found(&with(tokens(|n| n / 4 * 500), done), End::Complete), ["llm-coalesced"]);
        assert_eq!(found(&tokens(|n| n * 30), End::Complete), ["llm-no-terminal-event"]);
        let error = "data: {\"error\":{\"message\":\"overloaded\"}}\n\ndata: [DONE]\n\n";
        assert_eq!(found(&with(tokens(|n| n * 30), error), End::Complete), ["llm-error-in-stream"]);
    }

    #[test]
    fn an_answer_that_waits_for_an_aborted_one_is_found() {
        let seen = |first: u64| {
            let pieces = with(tokens(|n| first + n * 30), "data: [DONE]\n\n");
            let pieces: Vec<_> = pieces.iter().map(|(at, piece)| (*at, &**piece)).collect();
            answer(200, CLEAN, &pieces, End::Complete)
        };
        let rules = |next: &Seen| {
            let found = judge(Dialect::ChatCompletions, &seen(300), Some(next));
            found.iter().map(|finding| finding.rule).collect::<Vec<_>>()
        };
        assert!(rules(&seen(400)).is_empty());
        assert_eq!(rules(&seen(3000)), ["llm-abort-ignored"]);
    }

    #[test]
    fn the_url_names_the_dialect_and_each_has_its_tokens_and_its_end() {
        let of = |url: &'static str| Dialect::of(&Uri::from_static(url));
        assert_eq!(of("http://h/v1/chat/completions"), Dialect::ChatCompletions);
        assert_eq!(
            (of("http://h/v1/messages"), of("http://h/v1/responses/")),
            (Dialect::Messages, Dialect::Responses)
        );
        let body = "data: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"a\"}}\n\n\
                    data: {\"type\":\"response.output_text.delta\",\"delta\":\"a\"}\n\n\
                    data: {\"type\":\"message_stop\"}\n\ndata: {\"type\":\"response.completed\"}\n\n";
        let seen = answer(200, CLEAN, &[(1, body)], End::Complete);
        for (dialect, end) in
            [(Dialect::Messages, "message_stop"), (Dialect::Responses, "response.completed")]
        {
            assert_eq!((dialect.tokens(&seen).len(), dialect.terminal(&seen).as_deref()), (1, Some(end)));
        }
    }

    #[test]
    fn a_key_goes_into_the_header_that_the_dialect_wants() {
        let url = Uri::from_static("http://h/v1/messages");
        let ask = Dialect::of(&url).ask(&url, Some("k"), "m").unwrap();
        assert_eq!(ask.headers["x-api-key"], "k");
        assert!(!format!("{:?}", ask.headers).contains("\"k\""));
    }
}
