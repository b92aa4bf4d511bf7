//! The measured streams. All are made from fixed seeds: each run sees the same bytes in the same chunks.

use std::ops::RangeInclusive;

/// A stream to be decoded, as the chunks in which it arrives.
pub(crate) struct Decoding {
    pub(crate) name: &'static str,
    /// Leaked, because some peers require `'static` chunks.
    pub(crate) chunks: Vec<&'static [u8]>,
    pub(crate) events: usize,
}

impl Decoding {
    fn new(
        name: &'static str,
        stream: String,
        events: usize,
        chunk_bytes: RangeInclusive<usize>,
    ) -> Decoding {
        let mut rest: &'static [u8] = stream.into_bytes().leak();
        let mut random = Random(7);
        let mut chunks = Vec::new();
        while !rest.is_empty() {
            let (chunk, tail) = rest.split_at(random.within(&chunk_bytes).min(rest.len()));
            chunks.push(chunk);
            rest = tail;
        }
        Decoding { name, chunks, events }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.len()).sum()
    }
}

pub(crate) const LLM_TOKENS: &str = "LLM tokens";
pub(crate) const TINY_EVENTS: &str = "tiny events";
pub(crate) const LONG_LINES: &str = "64 KiB lines";
pub(crate) const LONG_LINES_SPLIT: &str = "64 KiB lines, split";
pub(crate) const MANY_LINES: &str = "1,000-line events";
pub(crate) const ONE_LINE: &str = "one 2 MiB line";
pub(crate) const ONE_LINE_TWICE: &str = "one 4 MiB line";

/// Sizes as from a socket: a packet or less.
const PACKETS: RangeInclusive<usize> = 1..=1_500;
/// Sizes as from a TLS connection: full records.
const RECORDS: RangeInclusive<usize> = 16_384..=16_384;
const WHOLE: RangeInclusive<usize> = usize::MAX..=usize::MAX;

pub(crate) fn decoding() -> Vec<Decoding> {
    let tokens: String = (0..10_000).map(|n| format!("data: {}\n\n", llm_token(n))).collect();
    let tiny: String = (0..200_000).map(|n| format!("data: {}\n\n", n % 100)).collect();
    let long: String = (0..64).map(|n| format!("data: {}\n\n", text(n, 64 * 1024))).collect();
    let many: String = (0..40)
        .map(|n| (0..1_000).map(|m| format!("data: {}\n", text(n + m, 60))).collect::<String>() + "\n")
        .collect();
    let one = |mib: usize| format!("data: {}\n\n", text(1, mib * 1024 * 1024));
    vec![
        Decoding::new(LLM_TOKENS, tokens, 10_000, PACKETS),
        Decoding::new(TINY_EVENTS, tiny, 200_000, PACKETS),
        Decoding::new(LONG_LINES, long.clone(), 64, WHOLE),
        Decoding::new(LONG_LINES_SPLIT, long, 64, RECORDS),
        Decoding::new(MANY_LINES, many, 40, RECORDS),
        Decoding::new(ONE_LINE, one(2), 1, RECORDS),
        Decoding::new(ONE_LINE_TWICE, one(4), 1, RECORDS),
    ]
}

/// An event to be encoded, many times over.
pub(crate) struct Encoding {
    pub(crate) name: &'static str,
    pub(crate) event_type: &'static str,
    pub(crate) id: String,
    pub(crate) data: String,
}

impl Encoding {
    pub(crate) const REPEATS: usize = 20_000;

    pub(crate) fn events(&self) -> usize {
        Self::REPEATS
    }

    pub(crate) fn bytes(&self) -> usize {
        self.data.len() * Self::REPEATS
    }
}

pub(crate) const ENCODE_ONE_LINE: &str = "300 bytes in one line";
pub(crate) const ENCODE_TEN_LINES: &str = "300 bytes in 10 lines";

pub(crate) fn encoding() -> Vec<Encoding> {
    let event = |name, data| Encoding { name, event_type: "token", id: "AAAAAAAAAAAB".to_owned(), data };
    let lines: Vec<String> = (0..10).map(|n| text(n, 29)).collect();
    vec![event(ENCODE_ONE_LINE, text(3, 300)), event(ENCODE_TEN_LINES, lines.join("\n"))]
}

/// A chunk in the style of OpenAI's chat completions; every 16th token is not ASCII.
fn llm_token(n: usize) -> String {
    const TOKENS: [&str; 16] = [
        " the", " a", " stream", ",", " of", " events", " that", "\\n\\n", " server", " sends", ".", " It",
        " is", " text", " and", " –",
    ];
    let token = TOKENS[n % TOKENS.len()];
    format!(
        r#"{{"id":"chatcmpl-B9MBs8CjcvOlL2nMfVZ1a7eXqKd","object":"chat.completion.chunk","created":1741570283,"model":"gpt-4o-2024-08-06","service_tier":"default","system_fingerprint":"fp_fc9f1d7035","choices":[{{"index":0,"delta":{{"content":"{token}"}},"logprobs":null,"finish_reason":null}}]}}"#
    )
}

/// Printable ASCII without line breaks.
fn text(seed: usize, length: usize) -> String {
    let mut random = Random(seed as u64 + 1);
    (0..length).map(|_| char::from(b' ' + (random.next() % 95) as u8)).collect()
}

/// xorshift64*: small, and the same everywhere.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.within(&(0..=last)));
        }
    }

    fn within(&mut self, range: &RangeInclusive<usize>) -> usize {
        let span = range.end() - range.start();
        range.start() + if span == 0 { 0 } else { self.next() as usize % (span + 1) }
    }
}
