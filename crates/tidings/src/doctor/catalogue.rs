//! Every rule: its name, which never changes, its severity, and its explanation for people.

use crate::cli::Severity::{self, S1, S2, S3};

/// A rule that finds one kind of fault.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) name: &'static str,
    pub(super) severity: Severity,
    /// The fault in one sentence, for a reader who has never heard of event streams.
    pub(super) title: &'static str,
    /// The cause, and the consequences.
    pub(super) why: &'static str,
    /// The fix to show if nothing names the cause.
    pub(super) fix: &'static str,
}

/// Returns the rule with this name.
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

/// All rules. Rules for faults that break a stream come first.
pub(super) const RULES: &[Rule] = &[
    // Held back or changed.
    new(
        "buffered",
        S1,
        "proxies",
        "Messages are held back and arrive late, many at once.",
        "Something between the server and you collects the answer before it passes it on. For a page or a file that is \
         faster. But a stream stands still until the buffer is full or the stream ends.",
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
        "The server or proxy that speaks HTTP/2 does not flush each write of the server it stands in front of.",
    ),
    new(
        "buffered-http3",
        S1,
        "http3",
        "Over HTTP/3 messages are held back; over the version that was used first they are not.",
        "Browsers switch to HTTP/3 if Alt-Svc offers it, often only at the second visit. curl stays with HTTP/2. So \
         the stream works in a terminal and in a fresh browser.",
    ),
    new(
        "buffered-get",
        S1,
        "proxies",
        "With GET, messages are held back; with POST they are not.",
        "EventSource uses only GET. cloudflared's quick tunnels (trycloudflare.com) buffer answers to GET, but not to \
         POST; a named tunnel does not buffer. In other cases the cause is a rule for caching, because such rules \
         apply to GET alone.",
    ),
    new(
        "buffered-post",
        S1,
        "proxies",
        "With POST, messages are held back; with GET they are not.",
        "Streams of LLMs use POST. Something on the way inspects or repeats requests with a body, and collects their \
         answers. Or a rule lets streams through for GET alone.",
    ),
    new(
        "buffered-accept",
        S1,
        "proxies",
        "Whether messages are held back depends on the Accept header.",
        "EventSource sends 'Accept: text/event-stream', fetch and curl send '*/*'. A rule on the way matches one and \
         forgets the other. A rule for the answer's Content-Type would match both.",
    ),
    new(
        "one-behind",
        S2,
        "compress",
        "Each message arrives only when the next one is sent.",
        "A compressor or a scanner passes a message on only when more data arrives. The newest message always waits.",
    ),
    new(
        "heartbeats-held",
        S2,
        "compress",
        "Heartbeats are held back when the answer is compressed.",
        "Events are flushed, but the comments in between are not, so proxies on the way take the stream for dead.",
    ),
    new(
        "comments-dropped",
        S1,
        "heartbeat",
        "Heartbeats do not arrive: something on the way removes them.",
        "A gateway that reads events and writes them again leaves the comments out. Then nothing keeps the connection \
         open.",
    ),
    new(
        "slow",
        S2,
        "proxies",
        "The stream trickles: each message takes a long time from its first byte to its last.",
        "Something limits the rate, or passes on a few bytes at a time.",
    ),
    new(
        "delayed",
        S3,
        "delayed",
        "Messages wait a fraction of a second for the next ones.",
        "Something gathers small writes for a moment before it sends them: HAProxy, Nagle's algorithm or a corked \
         socket. It does not matter for text to read, but it does for things that people control.",
    ),
    new(
        "cached",
        S1,
        "cdn",
        "A cache answers: you get a recording of an earlier stream, not yours.",
        "Everyone gets the same old events, the stream ends at once, and browsers reconnect and get them again. If \
         streams are personal, one person's data goes to others.",
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
        "Nothing forbids proxies to compress the stream.",
        "Without 'no-transform' in Cache-Control, the next update of a proxy or middleware may begin to compress the \
         stream, and then to buffer it.",
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
        "The answer gives its length in advance, so it is not a stream.",
        "Something collected the whole answer to count its bytes. Later events never arrive.",
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
        "The connection is cut after a time without data.",
        "Something on the way takes a silent connection for a dead one. A comment every 15 seconds keeps it open.",
    ),
    new(
        "lifetime-cut",
        S1,
        "lifetime",
        "The stream is cut after a fixed time, although data flows.",
        "A limit for the whole request, meant for pages, ends the stream. All readers have to reconnect, and readers \
         that cannot resume lose data.",
    ),
    new(
        "broken-off",
        S1,
        "lifetime",
        "The connection broke in the middle of the answer.",
        "A crash, a timeout or a reset: the answer has no proper end. A client cannot tell this from a network \
         failure.",
    ),
    new(
        "unreadable",
        S1,
        "unreadable",
        "The answer cannot be read as HTTP, or the connection ends without an answer.",
        "The port has no program, the protocol differs from the address, or the head breaks the rules of HTTP. Nothing \
         more could be measured.",
    ),
    new(
        "unreadable-at-times",
        S2,
        "unreadable",
        "Some requests for the stream get no answer that can be read.",
        "The connection ends, or data other than HTTP arrives, depending on the kind or the number of requests. A \
         browser that sends such a request gets nothing.",
    ),
    new(
        "no-first-byte",
        S1,
        "first-byte",
        "The connection opens, but nothing arrives, not even a header.",
        "Most often a proxy collects the answer before it passes it on. Or the server itself sends nothing until its \
         first message. Everything on the way with a time limit gives up before then.",
    ),
    new(
        "late-first-byte",
        S2,
        "first-byte",
        "It takes seconds until the first byte arrives.",
        "Time limits on the way begin with the request. To satisfy them, send the headers and a comment at once.",
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
        "Heartbeats arrive, but less often than common time limits require.",
        "Limits of 30, 55 and 60 seconds are common. A heartbeat every 15 seconds satisfies all of them.",
    ),
    // Protocol and headers.
    new(
        "bad-status",
        S1,
        "status",
        "The server answers with an error instead of a stream.",
        "EventSource gives up for good after any status but 200. No other status makes it try again.",
    ),
    new(
        "redirect",
        S2,
        "redirect",
        "The address only points to another one.",
        "Every reconnection takes the detour again, a POST may become a GET, and credentials may be dropped.",
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
        "A login or an error should have its own status: 401, 403 or 5xx. With 200 a client takes it for the stream.",
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
        "Browsers choose HTTP/2 if they can, so they see this failure and curl --http1.1 does not.",
    ),
    new(
        "http3-error",
        S1,
        "http3",
        "Over HTTP/3, which the server offers, the request fails.",
        "Browsers switch to HTTP/3 if Alt-Svc offers it (ERR_QUIC_PROTOCOL_ERROR), and curl does not. If no QUIC \
         connection is possible, they return to HTTP/2, and nobody notices.",
    ),
    new(
        "few-streams",
        S3,
        "http2",
        "The server allows few requests at a time over one HTTP/2 connection.",
        "Each open stream in any tab occupies one of them for good. Fewer than 100 run out.",
    ),
    new(
        "few-connections",
        S2,
        "connections",
        "The server serves only a few streams at a time.",
        "A stream never ends, so the next request waits for ever or is refused: a page, a query, another stream. The \
         doctor opened seven streams, one more than a browser opens over HTTP/1.1.",
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
        "Monitors and link checkers use HEAD. The answer should have the headers of GET and no body, and end.",
    ),
    new(
        "options-request",
        S3,
        "app",
        "OPTIONS does not work as it should.",
        "Browsers use OPTIONS to ask which requests a page of another site may send. The answer should be 204 or a \
         refusal below 500, and not a stream.",
    ),
    new(
        "cors-credentials",
        S1,
        "cors",
        "Pages of other sites cannot read the stream with credentials.",
        "'Access-Control-Allow-Origin: *' together with 'Allow-Credentials' is refused by every browser.",
    ),
    new(
        "cors-any-origin",
        S1,
        "cors",
        "Any web page may read the stream with its visitor's credentials.",
        "The answer repeats any Origin of a request, and allows credentials.",
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
        "They send Last-Event-ID. The browser asks for permission first, and the server does not give it. EventSource \
         itself needs no permission.",
    ),
    // Credentials.
    new(
        "credential-ignored",
        S1,
        "credential",
        "The stream is the one for everyone, although a credential was sent.",
        "The hub says that it opened the stream as anonymous, so private updates do not arrive. Something on the way removes \
         the Authorization header, or the hub does not look at this kind of credential.",
    ),
    new(
        "clock-skew",
        S1,
        "credential",
        "The clocks of the server and of the token's issuer do not agree.",
        "A token that begins after the server's time, or has ended by it, is refused. One of the clocks is wrong.",
    ),
    // Resuming.
    new(
        "no-ids",
        S1,
        "ids",
        "Events have no IDs, so events during a reconnection are lost.",
        "A browser that reconnects sends the ID of the last event it saw. Without IDs there is nothing to send.",
    ),
    new(
        "duplicate-ids",
        S1,
        "ids",
        "Different events have the same ID.",
        "After a reconnection nobody can tell which of them the client has: events are lost or arrive twice.",
    ),
    new(
        "last-event-id-ignored",
        S1,
        "resume",
        "A client that reconnects does not get the events that it missed.",
        "The request named the last event, but the answer is the same as for a request that does not.",
    ),
    new(
        "duplicate-after-resume",
        S2,
        "resume",
        "A client that reconnects gets events again that it had already received.",
        "The server replays from the last event instead of after it, or replays twice.",
    ),
    new(
        "silent-gap",
        S1,
        "resume",
        "An ID that the server does not know gets a normal stream, with no word of a gap.",
        "When the history has expired, the client believes that it missed nothing. The server should report the gap.",
    ),
    new(
        "replay-after-end",
        S1,
        "finish",
        "When the stream is over and the browser reconnects, everything starts again.",
        "EventSource reconnects after every end. If that starts a job, it runs, and is billed, again and again.",
    ),
    new(
        "unmarked-end",
        S1,
        "finish",
        "The stream ends without saying that it is complete.",
        "A complete stream and a broken one look the same. A last event with its own type tells them apart.",
    ),
    new(
        "no-retry",
        S2,
        "framing",
        "The stream does not say how long to wait before reconnecting.",
        "Browsers wait 3 or 5 seconds, other clients not at all. After a deployment all of them reconnect at the same \
         moment.",
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
        "The standard allows it, but many clients take it for a part of the first field's name, and lose the first \
         event.",
    ),
    new(
        "mixed-line-ends",
        S2,
        "framing",
        "Line ends of different kinds are mixed.",
        "All three kinds are allowed, but many clients know only one, and see an extra blank line, or none.",
    ),
    new(
        "carriage-returns",
        S2,
        "framing",
        "Lines end with CRLF or CR, and not with LF alone.",
        "All three kinds are allowed. But some clients find no event in such a stream, and others see an extra blank \
         line if CR and LF arrive in two pieces.",
    ),
    new(
        "invalid-utf8",
        S1,
        "framing",
        "The stream is not valid UTF-8.",
        "An event stream is always UTF-8. The wrong bytes arrive as U+FFFD.",
    ),
    new(
        "nul-in-id",
        S2,
        "framing",
        "An ID contains a NUL, so clients ignore it.",
        "The standard requires this, so clients resume after an older event.",
    ),
    new(
        "unfinished-event",
        S2,
        "framing",
        "The last event has no blank line after it, so clients drop it.",
        "An event counts when its blank line has arrived. Most often that line is missing at the end of a stream.",
    ),
    new(
        "binary-in-text",
        S3,
        "binary",
        "Most of the data is binary, written as text.",
        "Base64 makes it a third larger, and a large event delays all events after it.",
    ),
    new(
        "huge-event",
        S2,
        "binary",
        "An event is larger than 1 MiB.",
        "Clients have limits, and every hop that examines events holds the whole event in memory.",
    ),
    // An LLM's answer.
    new(
        "llm-not-streamed",
        S1,
        "proxies",
        "The answer comes in one piece, not token by token.",
        "Either the request did not ask for streaming, or the server did not understand it, or something on the way \
         collects the answer.",
    ),
    new(
        "llm-no-terminal-event",
        S1,
        "finish",
        "The answer ends without saying that it is complete.",
        "Neither [DONE] nor a finish reason nor a stop event arrived, so a cut answer looks like a complete one.",
    ),
    new(
        "llm-error-in-stream",
        S1,
        "status",
        "The stream contains an error.",
        "The status was already 200, so only the event reports the error.",
    ),
    new(
        "llm-coalesced",
        S2,
        "proxies",
        "Tokens arrive in lumps.",
        "Several tokens arrive together, again and again, so that the text stutters.",
    ),
    new(
        "llm-abort-ignored",
        S2,
        "abort",
        "The server seems to finish an answer although nobody reads it any more.",
        "The next answer waited as if the aborted one was still in progress. A server notices only when it checks, or \
         when it writes, that its client has left.",
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
