//! The streams that are measured: the chunks of an LLM's answer, as OpenAI sends them.

use std::time::Duration;

/// The data of the event that ends an answer.
pub(crate) const DONE: &str = "[DONE]";

/// An answer, and the pace at which it is sent.
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    /// The body in HTTP's chunked coding, an event a chunk, as servers send it.
    pub(crate) chunks: Vec<String>,
    /// `None`: as fast as the client reads, in large writes.
    pub(crate) every: Option<Duration>,
}

pub(crate) const BURST: &str = "as fast as the client reads";
pub(crate) const STEADY: &str = "event by event, one every 50 µs";

/// The first shows what the client does with an event; in the second each event also wakes the client, and is a read of its
/// own.
pub(crate) fn all() -> [Workload; 2] {
    [
        Workload { name: BURST, chunks: answer(50_000), every: None },
        Workload { name: STEADY, chunks: answer(2_000), every: Some(Duration::from_micros(50)) },
    ]
}

impl Workload {
    /// How many events there are, the last one included.
    pub(crate) fn events(&self) -> usize {
        self.chunks.len()
    }

    /// How many bytes the body has on the wire.
    pub(crate) fn bytes(&self) -> usize {
        self.chunks.iter().map(String::len).sum()
    }
}

fn answer(events: usize) -> Vec<String> {
    let tokens = (1..events).map(|n| chunk(&format!("data: {}\n\n", token(n))));
    tokens.chain([chunk(&format!("data: {DONE}\n\n"))]).collect()
}

fn chunk(event: &str) -> String {
    format!("{:x}\r\n{event}\r\n", event.len())
}

fn token(n: usize) -> String {
    const TOKENS: [&str; 8] = [" the", " stream", ",", " events", "\\n\\n", " server", ".", " –"];
    let token = TOKENS[n % TOKENS.len()];
    format!(
        r#"{{"id":"chatcmpl-B9MBs8CjcvOlL2nMfVZ1a7eXqKd","object":"chat.completion.chunk","created":1741570283,"model":"gpt-4o-2024-08-06","service_tier":"default","system_fingerprint":"fp_fc9f1d7035","choices":[{{"index":0,"delta":{{"content":"{token}"}},"logprobs":null,"finish_reason":null}}]}}"#
    )
}
