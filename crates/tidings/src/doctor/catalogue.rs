//! Every rule: its name, which never changes, how bad it is, and what it means for people.

use crate::cli::Severity::{self, S1, S2, S3};

/// A rule, by which something is found wrong.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) name: &'static str,
    pub(super) severity: Severity,
    /// What is wrong, in a sentence for somebody who has never heard of event streams.
    pub(super) title: &'static str,
    /// Why it happens and why it matters.
    pub(super) why: &'static str,
    /// What helps when nothing says who does it.
    pub(super) fix: &'static str,
}

/// The rule with this name.
pub(super) fn rule(name: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.name == name)
}

const fn new(
    name: &'static str,
    severity: Severity,
    fix: &'static str,
    title: &'static str,
    why: &'static str,
) -> Rule {
    Rule { name, severity, title, why, fix }
}

/// All of them, the ones that break a stream first.
pub(super) const RULES: &[Rule] = &[
    // Held back or changed.
    new(
        "buffered",
        S1,
        "proxies",
        "What the server sends is held back and arrives late, many messages at once.",
        "Something between the server and you collects the answer before it passes it on. For a page or a file that is \
         faster; a stream stands still until the buffer is full or the stream ends.",
    ),
    new(
        "buffered-compressed",
        S1,
        "compress",
        "When a browser asks, messages are held back; with curl it looks fine.",
        "Browsers accept compressed answers and curl does not ask for them. The compressor collects bytes until it has \
         enough for a block. Compression itself is no fault: one that flushes after each event streams well.",
    ),
    new(
        "buffered-http2",
        S1,
        "http2",
        "Over HTTP/2 messages are held back; over HTTP/1.1 they are not.",
        "The server or proxy that speaks HTTP/2 does not flush each write of what is behind it.",
    ),
    new(
        "buffered-http3",
        S1,
        "http3",
        "Over HTTP/3 messages are held back; over the version that was used first they are not.",
        "Browsers go over to HTTP/3 where Alt-Svc offers it, often only at the second visit, and curl stays with HTTP/2: it \
         works in a terminal and in a fresh browser.",
    ),
    new(
        "buffered-get",
        S1,
        "proxies",
        "Asked for by GET, messages are held back; by POST they are not.",
        "EventSource knows nothing but GET. cloudflared's quick tunnels (trycloudflare.com) buffer answers to GET, though not to \
         POST; a named tunnel doesn't. Elsewhere it is a rule for caching, which is about GET alone.",
    ),
    new(
        "buffered-post",
        S1,
        "proxies",
        "Asked for by POST, messages are held back; by GET they are not.",
        "Streams of LLMs are asked for by POST. Something on the way inspects, or repeats, requests with a body and collects \
         their answers, or streams are let through by a rule that is for GET alone.",
    ),
    new(
        "buffered-accept",
        S1,
        "proxies",
        "Whether messages are held back depends on the Accept header.",
        "EventSource sends 'Accept: text/event-stream', fetch and curl send '*/*'. A rule on the way asks for the one and forgets \
         the other; Content-Type, which the answer says, would hold for both.",
    ),
    new(
        "one-behind",
        S2,
        "compress",
        "Each message arrives only when the next one is sent.",
        "A compressor or a scanner lets go of what it has when more comes in. The newest message always waits.",
    ),
    new(
        "heartbeats-held",
        S2,
        "compress",
        "Heartbeats are held back when the answer is compressed.",
        "Events are flushed, and the comments in between are not, so that everything on the way believes the stream is dead.",
    ),
    new(
        "comments-dropped",
        S1,
        "heartbeat",
        "Heartbeats do not arrive: something on the way takes them out.",
        "A gateway that reads events and writes them again left the comments out. Nothing keeps the connection open then.",
    ),
    new(
        "slow",
        S2,
        "proxies",
        "The stream trickles: each message takes long from its first byte to its last.",
        "Something limits the rate, or passes on a few bytes at a time.",
    ),
    new(
        "delayed",
        S3,
        "delayed",
        "Messages wait a fraction of a second for the next ones.",
        "Something gathers small writes for a moment before it sends them: the way of HAProxy, of Nagle's algorithm and of \
         corked sockets. For text that people read it does not matter; for what people control it does.",
    ),
    new(
        "cached",
        S1,
        "cdn",
        "A cache answers: you get a recording of an earlier stream, not yours.",
        "Everyone gets the same old events, the stream ends at once, browsers come back and get them again. If streams are \
         personal, one person's data goes to others.",
    ),
    new(
        "shared-stream",
        S1,
        "cdn",
        "Two connections got one and the same stream.",
        "A CDN joined two equal requests into one. With streams that belong to a user, one user reads another's data.",
    ),
    new(
        "content-encoding-none",
        S3,
        "app",
        "The answer says 'Content-Encoding: none', which is not a coding.",
        "It is a trick to switch compression off. Strict clients refuse the answer; 'Cache-Control: no-transform' does the \
         same without the risk.",
    ),
    new(
        "no-transform-missing",
        S3,
        "app",
        "Nothing forbids the way to compress the stream.",
        "Without 'no-transform' in Cache-Control, a proxy or middleware may begin to compress, and so to buffer, at any \
         update.",
    ),
    new(
        "cacheable",
        S3,
        "app",
        "Nothing forbids caches to keep the stream.",
        "Without 'Cache-Control: no-cache' or 'no-store' a CDN applies its own default, which may be a month.",
    ),
    new(
        "content-length",
        S1,
        "app",
        "The answer says beforehand how long it is, so it is not a stream.",
        "Somebody collected the whole answer to count its bytes. What is published later never arrives.",
    ),
    new(
        "plain-http",
        S3,
        "http2",
        "The stream goes over plain http to another machine.",
        "Carriers, offices and virus scanners buffer plain HTTP, where nobody on your side can see it. They leave HTTPS alone.",
    ),
    // Cut off.
    new(
        "idle-cut",
        S1,
        "heartbeat",
        "The connection is cut when nothing was sent for a while.",
        "Something on the way takes silence for death. A comment every 15 seconds keeps the connection alive.",
    ),
    new(
        "lifetime-cut",
        S1,
        "lifetime",
        "The stream is cut after a fixed time, although data flows.",
        "A limit for the whole request, meant for pages, ends the stream. Everything that reads it has to come back, and \
         whatever can't resume loses data.",
    ),
    new(
        "broken-off",
        S1,
        "lifetime",
        "The connection broke in the middle of the answer.",
        "A crash, a timeout or a reset: the answer has no proper end. A client can't tell that from a network failure.",
    ),
    new(
        "unreadable",
        S1,
        "unreadable",
        "What answers can't be read as HTTP, or nothing answers before the connection ends.",
        "A port with no program behind it, another protocol than the address says, or a head that breaks the rules of HTTP. \
         Nothing else could be measured.",
    ),
    new(
        "unreadable-at-times",
        S2,
        "unreadable",
        "Some requests for the stream get no answer that can be read.",
        "The connection ends, or something else than HTTP comes, depending on how or how often the stream is asked for. A \
         browser that asks so gets nothing.",
    ),
    new(
        "no-first-byte",
        S1,
        "first-byte",
        "The connection opens and then nothing comes, not even a header.",
        "Most often a proxy collects the answer before it passes it on. Or the server itself sends nothing until its first \
         message; everything on the way that has a time limit gives up by then.",
    ),
    new(
        "late-first-byte",
        S2,
        "first-byte",
        "It takes seconds until anything comes.",
        "Time limits on the way begin with the request. Headers and a comment, sent at once, satisfy them.",
    ),
    new(
        "no-heartbeat",
        S2,
        "heartbeat",
        "Nothing is sent while the stream is quiet.",
        "Proxies cut silent connections, mostly after 60 seconds, and neither side notices a dead one.",
    ),
    new(
        "slow-heartbeat",
        S2,
        "heartbeat",
        "Heartbeats come, but more seldom than common time limits allow.",
        "Limits of 30, 55 and 60 seconds are common. 15 seconds is under all of them.",
    ),
    // Protocol and headers.
    new(
        "bad-status",
        S1,
        "status",
        "The server answers with an error instead of a stream.",
        "EventSource gives up for good after any status but 200; it does not try again, whatever the status.",
    ),
    new(
        "redirect",
        S2,
        "redirect",
        "The address only points to another one.",
        "Every reconnection takes the detour again, a POST may become a GET, and credentials may be left behind.",
    ),
    new(
        "wrong-content-type",
        S1,
        "app",
        "The answer does not say that it is an event stream.",
        "EventSource refuses everything that is not 'Content-Type: text/event-stream'. Many proxies also decide by it whether \
         to buffer.",
    ),
    new(
        "html-page",
        S1,
        "status",
        "The answer is a web page: a login, an error page, or the application's front page.",
        "A login or an error should have its status, 401 or 403 or 5xx. With 200 nobody can tell it from a stream.",
    ),
    new(
        "forbidden-header",
        S1,
        "connection-header",
        "The answer has a header that HTTP/2 and HTTP/3 forbid.",
        "Connection, Keep-Alive and Transfer-Encoding belong to HTTP/1.1. Over the later versions they make the whole answer malformed: \
         Safari and many libraries refuse it (ERR_HTTP2_PROTOCOL_ERROR).",
    ),
    new(
        "http2-error",
        S1,
        "connection-header",
        "Over HTTP/2 the request fails, over HTTP/1.1 it does not.",
        "Browsers choose HTTP/2 where they can, so they see this failure and curl --http1.1 does not.",
    ),
    new(
        "http3-error",
        S1,
        "http3",
        "Over HTTP/3, which the server offers, the request fails.",
        "Browsers go over to HTTP/3 where Alt-Svc offers it (ERR_QUIC_PROTOCOL_ERROR), and curl does not. Where no QUIC \
         connection comes about at all they go back to HTTP/2, and nobody notices.",
    ),
    new(
        "few-streams",
        S3,
        "http2",
        "The server allows few requests at a time over one HTTP/2 connection.",
        "Each open stream takes one for good, in all tabs together. Fewer than 100 run out.",
    ),
    new(
        "few-connections",
        S2,
        "connections",
        "The server serves only a few streams at a time.",
        "A stream never ends, so whoever comes next waits for ever, or is refused: with a page, a query, another stream. Seven \
         were asked for, one more than a browser opens by HTTP/1.1.",
    ),
    new(
        "token-in-url",
        S2,
        "token",
        "A secret is in the address of the stream.",
        "Addresses end up in logs, histories and Referer headers of everything on the way.",
    ),
    new(
        "head-request",
        S3,
        "app",
        "HEAD does not work as it should.",
        "Monitors and link checkers use it: it should answer with the headers of GET, without a body, and end.",
    ),
    new(
        "options-request",
        S3,
        "app",
        "OPTIONS does not work as it should.",
        "Browsers ask by it what a page of another site may send, and gateways what there is. It should answer, without a \
         stream: 204, or a refusal below 500.",
    ),
    new(
        "cors-credentials",
        S1,
        "cors",
        "Pages of other sites can't read the stream with credentials.",
        "'Access-Control-Allow-Origin: *' together with 'Allow-Credentials' is refused by every browser.",
    ),
    new(
        "cors-any-origin",
        S1,
        "cors",
        "Any web page may read the stream with its visitor's credentials.",
        "The answer repeats whatever Origin it is asked from and allows credentials.",
    ),
    new(
        "cors-vary",
        S1,
        "cors",
        "The answer depends on Origin and does not say so.",
        "Without 'Vary: Origin' a cache gives one site's permission to another, whose browser then refuses it.",
    ),
    new(
        "cors-preflight",
        S1,
        "cors",
        "Clients that use fetch fail when they resume.",
        "They send Last-Event-ID, for which the browser asks permission first, and it is not given. EventSource itself needs none.",
    ),
    // Resuming.
    new(
        "no-ids",
        S1,
        "ids",
        "Events have no IDs, so what is missed during a reconnection is lost.",
        "A browser that reconnects sends the ID of the last event it saw. Without IDs there is nothing to send.",
    ),
    new(
        "duplicate-ids",
        S1,
        "ids",
        "Different events have the same ID.",
        "After a reconnection nobody can say which of them was seen: events are lost or come twice.",
    ),
    new(
        "last-event-id-ignored",
        S1,
        "resume",
        "Whoever reconnects does not get what was missed.",
        "The request said which event was seen last, and the answer is the same as without.",
    ),
    new(
        "duplicate-after-resume",
        S2,
        "resume",
        "Whoever reconnects gets events again that were seen already.",
        "The server replays from the last event instead of after it, or replays twice.",
    ),
    new(
        "silent-gap",
        S1,
        "resume",
        "An ID that the server does not know gets a normal stream, with no word of a gap.",
        "When history has expired, the client believes that it missed nothing. It should be told.",
    ),
    new(
        "replay-after-end",
        S1,
        "finish",
        "When the stream is over and the browser comes back, everything starts again.",
        "EventSource reconnects after every end. If that starts a job, it runs, and is billed, again and again.",
    ),
    new(
        "unmarked-end",
        S1,
        "finish",
        "The stream ends without saying that it is complete.",
        "Complete and cut off look the same. A last event, of a type of its own, tells them apart.",
    ),
    new(
        "no-retry",
        S2,
        "framing",
        "The stream does not say how long to wait before reconnecting.",
        "Browsers choose 3 or 5 seconds, other clients none at all; after a deployment all come back at one moment.",
    ),
    // Bytes.
    new(
        "bad-retry",
        S2,
        "framing",
        "A retry field is not a usable number of milliseconds.",
        "Anything but digits is ignored, and 0 makes clients reconnect in a loop.",
    ),
    new(
        "byte-order-mark",
        S2,
        "framing",
        "The stream begins with a byte order mark.",
        "The standard allows it, and many clients take it for a part of the first field's name, and lose the first event.",
    ),
    new(
        "mixed-line-ends",
        S2,
        "framing",
        "Line ends of different kinds are mixed.",
        "All three kinds are allowed; many clients know only one, and see an extra blank line, or none.",
    ),
    new(
        "carriage-returns",
        S2,
        "framing",
        "Lines end with CRLF or CR, and not with LF alone.",
        "All three kinds are allowed; but some clients find no event in such a stream, and others see an extra blank line where \
         CR and LF come apart.",
    ),
    new(
        "invalid-utf8",
        S1,
        "framing",
        "The stream is not valid UTF-8.",
        "Event streams are UTF-8 and nothing else; the bytes in question arrive as U+FFFD.",
    ),
    new(
        "nul-in-id",
        S2,
        "framing",
        "An ID contains a NUL, so clients ignore it.",
        "The standard says so, and resuming then begins at an older event.",
    ),
    new(
        "unfinished-event",
        S2,
        "framing",
        "The last event has no blank line after it, so clients drop it.",
        "An event counts when its blank line has come. Most often that line is missing at the end of a stream.",
    ),
    new(
        "binary-in-text",
        S3,
        "binary",
        "Most of the data is binary, written as text.",
        "Base64 makes it a third larger, and a large event holds up all that come after it.",
    ),
    new(
        "huge-event",
        S2,
        "binary",
        "An event is larger than 1 MiB.",
        "Clients have limits, and each event is in memory as a whole on every hop that looks at it.",
    ),
    // An LLM's answer.
    new(
        "llm-not-streamed",
        S1,
        "proxies",
        "The answer comes in one piece, not token by token.",
        "Either streaming was not asked for or not understood, or something on the way collects it.",
    ),
    new(
        "llm-no-terminal-event",
        S1,
        "finish",
        "The answer ends without saying that it is complete.",
        "Neither [DONE] nor a finish reason nor a stop event came: a cut answer looks like a whole one.",
    ),
    new(
        "llm-error-in-stream",
        S1,
        "status",
        "The stream contains an error.",
        "The status was 200 by then, so only the event tells.",
    ),
    new(
        "llm-coalesced",
        S2,
        "proxies",
        "Tokens come in lumps.",
        "Several tokens arrive together, again and again, so that the text stutters.",
    ),
    new(
        "llm-abort-ignored",
        S2,
        "abort",
        "An answer that nobody reads any more seems to be finished all the same.",
        "The next answer waited as if the aborted one was still being made. A server notices that its client has left only \
         when it looks, or when it writes.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::fixes;

    const DOCUMENTATION: &str = include_str!("../../../../docs/doctor.md");

    #[test]
    fn every_rule_has_a_name_of_its_own_a_fix_that_exists_and_a_row_in_the_documentation() {
        let mut names: Vec<_> = RULES.iter().map(|rule| rule.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), RULES.len());
        for rule in RULES {
            assert!(fixes::text(rule.fix).is_some(), "{} has no fix {}", rule.name, rule.fix);
            assert!(
                DOCUMENTATION.contains(&format!("| `{}` | {} |", rule.name, rule.severity.name())),
                "{}",
                rule.name
            );
            assert!(rule.title.ends_with('.') && rule.why.ends_with('.'), "{}", rule.name);
        }
    }
}
