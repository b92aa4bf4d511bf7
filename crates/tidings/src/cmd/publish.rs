//! `tidings publish`: send updates to a hub.

use std::{
    ffi::OsStr,
    fs::File,
    io::{IsTerminal, Read, Write, stdin, stdout},
    path::Path,
    time::Duration,
};

use anyhow::{Context, bail};
use http::{HeaderValue, Request, StatusCode, Uri, header};
use serde_json::{Map, Value, json};
use tidings_client::{HyperTransport, RequestBody, RequestBodySender, ResponseBody, Transport};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    time::timeout,
};

use crate::{cli::Publish, exit::Hint, hub_url, terminal::on_stdout};

/// How long a stream of updates may be silent: an empty line tells the hub that its publisher is still there.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// What is read of standard input at once, and how much is sent at once.
const BUFFER_BYTES: usize = 64 << 10;

/// More than this of an answer is not from a hub.
const MAX_ANSWER_BYTES: usize = 64 << 10;

pub(crate) async fn run(publish: Publish) -> anyhow::Result<()> {
    if let Some(file) = &publish.file {
        return send_file(&publish, file).await;
    }
    if !(publish.lines || publish.ndjson) {
        let data = data(&publish).await?;
        return send(&publish, &parameters(&publish), "text/plain; charset=utf-8", data.into()).await;
    }
    let (sender, body) = RequestBody::channel();
    let mut sending = Box::pin(send(&publish, &[], "application/x-ndjson", body));
    // The hub may answer before the input ends: with a refusal. The input may end in a line that can't be published:
    // the body ends before it then, so that the hub says what it has of those before.
    let fed = tokio::select! {
        sent = &mut sending => return sent,
        fed = feed(sender, &publish) => fed,
    };
    sending.await?;
    fed?;
    match &publish.close {
        Some(reason) => {
            send(&publish, &[("close", reason.clone())], "text/plain; charset=utf-8", RequestBody::empty())
                .await
        }
        None => Ok(()),
    }
}

/// Sends a file as the body, piece by piece.
async fn send_file(publish: &Publish, path: &Path) -> anyhow::Result<()> {
    let unreadable = || format!("{} can't be read", path.display());
    let mut file = File::open(path).with_context(unreadable)?;
    let mut parameters = parameters(publish);
    parameters.extend(path.file_name().and_then(OsStr::to_str).map(|name| ("name", name.to_owned())));
    let content_type = publish.content_type.as_deref().unwrap_or_else(|| media_type(path));
    let (mut sender, body) = RequestBody::channel();
    let mut sending = Box::pin(send(publish, &parameters, content_type, body));
    loop {
        let mut piece = Vec::with_capacity(BUFFER_BYTES);
        // A regular file is read at once; what is slow is the network.
        if let Err(error) = (&mut file).take(BUFFER_BYTES as u64).read_to_end(&mut piece) {
            // The hub must not take the part for the whole.
            let _ = sender.abort(error.to_string()).await;
            let _ = sending.await;
            return Err(error).with_context(unreadable);
        }
        if piece.is_empty() {
            break;
        }
        // The hub may answer before the file ends: with a refusal.
        tokio::select! {
            sent = &mut sending => return sent,
            taken = sender.send(piece) => if taken.is_err() { break },
        }
    }
    drop(sender);
    sending.await
}

/// The media type of the most common names. The hub stores anything; this says what browsers show of it.
fn media_type(path: &Path) -> &'static str {
    let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default().to_ascii_lowercase();
    match &*extension {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "avif" => "image/avif",
        "mp3" => "audio/mpeg",
        "ogg" => "audio/ogg",
        "wav" => "audio/wav",
        "mp4" => "video/mp4",
        "webm" => "video/webm",
        "pdf" => "application/pdf",
        "zip" => "application/zip",
        _ => "application/octet-stream",
    }
}

/// Sends one request, and prints the hub's receipt.
async fn send(
    publish: &Publish,
    parameters: &[(&str, String)],
    content_type: &str,
    body: RequestBody,
) -> anyhow::Result<()> {
    let parameters = parameters.iter().map(|(name, value)| (*name, value.as_str()));
    let url = hub_url::of_topic(&publish.hub.url, &publish.topic) + &hub_url::query(parameters);
    let content_type = HeaderValue::from_str(content_type)
        .with_context(|| format!("{content_type:?} is no media type, as image/png"))?;
    // The client takes a password out of the URL, so that nothing shows it.
    let target = tidings_client::Request::post(&url)
        .context(Hint("name the hub with --hub http://HOST:PORT or TIDINGS_HUB".into()))?
        .with_header(header::CONTENT_TYPE, content_type);
    let mut request = Request::post(target.url()).body(body)?;
    request.headers_mut().clone_from(target.headers());
    let answered = HyperTransport::new().send(request).await;
    let response = answered.map_err(|error| unreachable(error, target.url()))?;
    let status = response.status();
    let answer = read(response.into_body()).await.context("the hub's answer broke off")?;
    if status == StatusCode::OK {
        return writeln!(stdout(), "{}", on_stdout(answer.trim_end())).context("standard output is closed");
    }
    Err(refusal(status, &answer))
}

/// What belongs to one update.
fn parameters(publish: &Publish) -> Vec<(&'static str, String)> {
    let retry = publish.retry.map(|retry| retry.as_millis().to_string());
    [("type", &publish.event_type), ("id", &publish.id), ("retry", &retry), ("close", &publish.close)]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.clone()?)))
        .collect()
}

/// The data of one update: the argument, or all of standard input. Somebody who only closes a topic types nothing.
async fn data(publish: &Publish) -> anyhow::Result<Vec<u8>> {
    if let Some(data) = &publish.data {
        return Ok(data.clone().into());
    }
    let mut data = Vec::new();
    if publish.close.is_none() || !stdin().is_terminal() {
        tokio::io::stdin().read_to_end(&mut data).await.context("standard input can't be read")?;
    }
    Ok(data)
}

/// Sends standard input, a JSON object for each line, as soon as lines are there.
async fn feed(mut hub: RequestBodySender, publish: &Publish) -> anyhow::Result<()> {
    let mut input = BufReader::with_capacity(BUFFER_BYTES, tokio::io::stdin());
    let (mut line, mut lines, mut number) = (Vec::new(), Vec::new(), 0_u64);
    loop {
        // Cancel safe: what was read of an unfinished line stays in `line`.
        match timeout(HEARTBEAT, input.read_until(b'\n', &mut line)).await {
            Err(_) => lines.push(b'\n'),
            Ok(read) => {
                let at_end = read.context("standard input can't be read")? == 0 && line.is_empty();
                if at_end {
                    return Ok(());
                }
                number += 1;
                if let Err(error) = add(publish, &line, &mut lines) {
                    let _ = hub.send(lines).await;
                    return Err(error
                        .context(format!("line {number} of standard input can't be published"))
                        .context(Hint("the lines before it are published".into())));
                }
                line.clear();
            }
        }
        // What is already here goes together, and nothing waits for more.
        let more_is_here = input.buffer().contains(&b'\n') && lines.len() < BUFFER_BYTES;
        if !more_is_here && hub.send(std::mem::take(&mut lines)).await.is_err() {
            // The hub's answer says why.
            return Ok(());
        }
    }
}

fn add(publish: &Publish, line: &[u8], lines: &mut Vec<u8>) -> anyhow::Result<()> {
    if publish.ndjson {
        lines.extend_from_slice(line);
        if !line.ends_with(b"\n") {
            lines.push(b'\n');
        }
        return Ok(());
    }
    let text = std::str::from_utf8(line).context("it is not UTF-8")?;
    let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
    let mut update = Map::new();
    update.insert("data".into(), text.into());
    update.extend(publish.event_type.as_deref().map(|event_type| ("type".into(), event_type.into())));
    update.extend(
        publish
            .retry
            .map(|retry| ("retry".into(), json!(u64::try_from(retry.as_millis()).unwrap_or(u64::MAX)))),
    );
    serde_json::to_writer(&mut *lines, &update)?;
    lines.push(b'\n');
    Ok(())
}

async fn read(mut body: ResponseBody) -> anyhow::Result<String> {
    let mut answer = Vec::new();
    while let Some(chunk) = body.chunk().await {
        answer.extend_from_slice(&chunk?);
        if answer.len() > MAX_ANSWER_BYTES {
            bail!("it is over {MAX_ANSWER_BYTES} bytes, so it is not a hub's");
        }
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn refusal(status: StatusCode, answer: &str) -> anyhow::Error {
    let Ok(Value::Object(problem)) = serde_json::from_str(answer) else {
        return anyhow::anyhow!("the answer is {status}, and it is not a hub's: {}", answer.trim());
    };
    let detail = problem.get("detail").and_then(Value::as_str).unwrap_or("no detail is given");
    let error = match problem.get("line") {
        Some(line) => anyhow::anyhow!("the hub refused line {line}: {detail}"),
        None => anyhow::anyhow!("the hub refused: {detail}"),
    };
    match problem.get("count") {
        Some(count) => error.context(Hint(format!("{count} updates before it are published"))),
        None => error,
    }
}

fn unreachable(error: tidings_client::TransportError, url: &Uri) -> anyhow::Error {
    let hub = match (url.scheme_str(), url.authority()) {
        (Some(scheme), Some(authority)) => format!("{scheme}://{authority}"),
        _ => url.to_string(),
    };
    anyhow::Error::new(error)
        .context(format!("the hub at {hub} can't be reached"))
        .context(Hint("start one with `tidings serve`, or name another with --hub URL or TIDINGS_HUB".into()))
}
