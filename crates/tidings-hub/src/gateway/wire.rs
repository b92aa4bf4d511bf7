//! The interfaces that SDKs speak: how an answer ends in each, and how an error looks.

use http::HeaderMap;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value, json};
use tidings_codec::{Event, EventType};

/// How many choices of one answer are told apart. OpenAI gives at most as many.
pub(super) const MAX_CHOICES: u32 = u128::BITS;

/// One of the interfaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interface {
    /// OpenAI's Chat Completions, which everyone speaks.
    ChatCompletions,
    /// OpenAI's Responses.
    Responses,
    /// Anthropic's Messages.
    Messages,
}

/// The state of the answer after an event of the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AnswerState {
    /// There is more to come.
    More,
    /// These choices of the answer are complete: one bit for each index. The interface has an event for the end of all choices,
    /// which may follow or not.
    Finished(u128),
    /// This is the last event of a complete answer.
    Complete,
    /// This is the last event of an answer that failed.
    Failed,
}

/// The parts of an event's data that tell its end.
#[derive(Deserialize)]
struct EventData {
    #[serde(rename = "type")]
    kind: Option<String>,
    error: Option<IgnoredAny>,
    choices: Option<Vec<Choice>>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    index: u32,
    finish_reason: Option<Value>,
}

impl Choice {
    /// Some servers write an empty reason into every piece, and OpenAI writes `null`.
    fn is_finished(&self) -> bool {
        self.finish_reason.as_ref().is_some_and(|reason| reason != "")
    }
}

impl Interface {
    pub(crate) const ALL: [Interface; 3] =
        [Interface::ChatCompletions, Interface::Responses, Interface::Messages];

    pub(crate) fn of_path(path: &str) -> Option<Interface> {
        Interface::ALL.into_iter().find(|interface| interface.path() == path)
    }

    /// The interface of a request to a path that several have.
    pub(crate) fn of_headers(headers: &HeaderMap) -> Interface {
        match headers.contains_key("anthropic-version") {
            true => Interface::Messages,
            false => Interface::ChatCompletions,
        }
    }

    pub(crate) const fn path(self) -> &'static str {
        match self {
            Interface::ChatCompletions => "/v1/chat/completions",
            Interface::Responses => "/v1/responses",
            Interface::Messages => "/v1/messages",
        }
    }

    /// Reads an event. An event that is not understood does not end the answer.
    pub(crate) fn read(self, event_type: &str, data: &str) -> AnswerState {
        if self == Interface::ChatCompletions && data.trim() == "[DONE]" {
            return AnswerState::Complete;
        }
        let data: Option<EventData> = serde_json::from_str(data).ok();
        let kind = data.as_ref().and_then(|data| data.kind.as_deref()).unwrap_or(event_type);
        match self {
            Interface::ChatCompletions => match data {
                Some(EventData { error: Some(_), .. }) => AnswerState::Failed,
                Some(EventData { choices: Some(choices), .. }) => {
                    let finished = choices.iter().filter(|choice| choice.is_finished());
                    match finished.fold(0, |bits, choice| bits | 1 << choice.index.min(MAX_CHOICES - 1)) {
                        0 => AnswerState::More,
                        bits => AnswerState::Finished(bits),
                    }
                }
                _ => AnswerState::More,
            },
            Interface::Responses => match kind {
                "response.completed" | "response.incomplete" => AnswerState::Complete,
                "response.failed" | "error" => AnswerState::Failed,
                _ => AnswerState::More,
            },
            Interface::Messages => match kind {
                "message_stop" => AnswerState::Complete,
                "error" => AnswerState::Failed,
                _ => AnswerState::More,
            },
        }
    }

    /// An error as an event that the SDKs of this interface raise. `number` is how many events went before.
    pub(crate) fn error_event(self, code: &str, message: &str, number: u64) -> Event {
        let mut data = error_json(code, message);
        if self == Interface::Responses {
            // Strict clients want all of them in an error.
            data["code"] = code.into();
            data["message"] = message.into();
            data["param"] = Value::Null;
            data["sequence_number"] = number.into();
        }
        let event = Event::new(data.to_string());
        match self {
            Interface::ChatCompletions => event,
            Interface::Responses | Interface::Messages => {
                event.with_type(EventType::parse("error").expect("a word is a valid event type"))
            }
        }
    }
}

/// An error in the one shape that the SDKs of all interfaces read, in bodies and in events.
pub(crate) fn error_json(code: &str, message: &str) -> Value {
    json!({ "type": "error", "error": { "type": error_type(code), "code": code, "message": message } })
}

/// The code in the data of an error that was made here.
pub(crate) fn error_code(data: &str) -> Option<String> {
    let error: Value = serde_json::from_str(data).ok()?;
    error["error"]["code"].as_str().map(str::to_owned)
}

fn error_type(code: &str) -> &'static str {
    match code {
        "expired" => "timeout_error",
        "invalid_request" | "idempotency_key_reused" => "invalid_request_error",
        "too_many_streams" => "rate_limit_error",
        _ => "api_error",
    }
}

#[cfg(test)]
mod tests {
    use super::{AnswerState::*, Interface::*, *};

    #[test]
    fn each_interface_ends_in_its_own_way() {
        let cases = [
            (ChatCompletions, "message", "[DONE]", Complete),
            (
                ChatCompletions,
                "message",
                r#"{"choices":[{"delta":{"content":"x"},"finish_reason":null}]}"#,
                More,
            ),
            (ChatCompletions, "message", r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#, Finished(1)),
            (
                ChatCompletions,
                "message",
                r#"{"choices":[{"index":2,"finish_reason":"stop"},{"index":0,"finish_reason":null}]}"#,
                Finished(4),
            ),
            (
                ChatCompletions,
                "message",
                r#"{"choices":[{"index":9999,"finish_reason":"stop"}]}"#,
                Finished(1 << 127),
            ),
            (ChatCompletions, "message", r#"{"choices":[{"delta":{},"finish_reason":""}]}"#, More),
            (ChatCompletions, "message", r#"{"choices":[]}"#, More),
            (ChatCompletions, "message", r#"{"error":{"message":"overloaded"}}"#, Failed),
            (ChatCompletions, "message", r#"{"error":null,"choices":[]}"#, More),
            (ChatCompletions, "message", "<html>", More),
            (Responses, "response.output_text.delta", r#"{"type":"response.output_text.delta"}"#, More),
            (Responses, "response.completed", r#"{"type":"response.completed"}"#, Complete),
            (Responses, "message", r#"{"type":"response.incomplete"}"#, Complete),
            (Responses, "error", r#"{"type":"error","code":"x"}"#, Failed),
            (Responses, "response.failed", "not JSON", Failed),
            (Messages, "ping", r#"{"type":"ping"}"#, More),
            (Messages, "message_stop", r#"{"type":"message_stop"}"#, Complete),
            (Messages, "error", r#"{"type":"error","error":{"type":"overloaded_error"}}"#, Failed),
            (
                Messages,
                "content_block_delta",
                r#"{"type":"content_block_delta","delta":{"text":"[DONE]"}}"#,
                More,
            ),
        ];
        for (interface, event_type, data, state) in cases {
            assert_eq!(interface.read(event_type, data), state, "{interface:?} {data}");
        }
    }

    #[test]
    fn an_error_is_one_in_each_interface() {
        for interface in Interface::ALL {
            let event = interface.error_event("truncated", "it broke off", 7);
            assert_eq!(interface.read(event.event_type(), event.data()), Failed, "{interface:?}");
            let data: Value = serde_json::from_str(event.data()).unwrap();
            assert_eq!(data["error"]["message"], "it broke off");
            assert_eq!(data["sequence_number"].as_u64(), (interface == Responses).then_some(7));
        }
    }
}
