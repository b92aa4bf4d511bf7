//! `tidings publish`: sends updates to a hub.

mod lines;

use std::{
    ffi::OsStr,
    fs::File,
    io::{IsTerminal, Read, Write, stdin, stdout},
    path::Path,
};

use anyhow::{Context, bail};
use http::{HeaderValue, Request, StatusCode, header};
use serde_json::{Map, Value};
use tidings_client::{HyperTransport, RequestBody, ResponseBody, Transport, TransportError};
use tokio::io::AsyncReadExt;

use crate::{
    cli::Publish,
    exit::{Hint, Unreachable},
    net::{hub_url, token::Token},
    terminal::on_stdout,
};

/// How many bytes of standard input are read and sent at once.
const BUFFER_BYTES: usize = 64 << 10;

/// A longer answer does not come from a hub.
const MAX_ANSWER_BYTES: usize = 64 << 10;

pub(crate) async fn run(publish: Publish) -> anyhow::Result<()> {
    if let Some(file) = &publish.file {
        return send_file(&publish, file).await;
    }
    if publish.lines || publish.ndjson {
        return lines::run(&publish).await;
    }
    let data = data(&publish).await?;
    send(&publish, &parameters(&publish), "text/plain; charset=utf-8", data.into()).await
}

/// Sends a file as the body, piece by piece.
async fn send_file(publish: &Publish, path: &Path) -> anyhow::Result<()> {
    let unreadable = || format!("cannot read {}", path.display());
    let mut file = File::open(path).with_context(unreadable)?;
    let mut parameters = parameters(publish);
    parameters.extend(path.file_name().and_then(OsStr::to_str).map(|name| ("name", name.to_owned())));
    let content_type = publish.content_type.as_deref().unwrap_or_else(|| media_type(path));
    let (mut sender, body) = RequestBody::channel();
    let mut sending = Box::pin(send(publish, &parameters, content_type, body));
    loop {
        let mut piece = Vec::with_capacity(BUFFER_BYTES);
        // A regular file never blocks for long. The network is the slow part.
        if let Err(error) = (&mut file).take(BUFFER_BYTES as u64).read_to_end(&mut piece) {
            // Aborts, so that the hub does not take the part for the whole.
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

/// The media type for the most common file names. The hub stores any type; browsers use it to show the file.
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
    let answered = request(publish, parameters, content_type, None, body).await?;
    let answer = answered.map_err(|error| unreachable(error, publish))?;
    if answer.status == StatusCode::OK {
        return writeln!(stdout(), "{}", on_stdout(answer.text.trim_end()))
            .context("standard output is closed");
    }
    Err(refusal(&answer))
}

/// A hub's answer to one request.
struct Answer {
    status: StatusCode,
    text: String,
}

impl Answer {
    /// The members of the answer. Empty if it is not a JSON object, which a hub's answer always is.
    fn json(&self) -> Map<String, Value> {
        serde_json::from_str(&self.text).unwrap_or_default()
    }
}

/// Sends one request.
///
/// # Errors
/// The outer error is a mistake on the command line. The inner one happened on the way.
async fn request(
    publish: &Publish,
    parameters: &[(&str, String)],
    content_type: &str,
    key: Option<&str>,
    body: RequestBody,
) -> anyhow::Result<Result<Answer, TransportError>> {
    let parameters = parameters.iter().map(|(name, value)| (*name, value.as_str()));
    let url = hub_url::of_topic(&publish.hub.url, &publish.topic) + &hub_url::query(parameters);
    let content_type = HeaderValue::from_str(content_type)
        .with_context(|| format!("{content_type:?} is not a media type; use one such as image/png"))?;
    // The client removes a password from the URL, so that nothing shows it.
    let target = tidings_client::Request::post(&url)
        .context(Hint("name the hub with --hub http://HOST:PORT or TIDINGS_HUB".into()))?
        .with_header(header::CONTENT_TYPE, content_type);
    let mut request = Request::post(target.url()).body(body)?;
    request.headers_mut().clone_from(target.headers());
    // A user in the hub's URL counts instead.
    if !request.headers().contains_key(header::AUTHORIZATION) {
        if let Some(token) = Token::of_hub(publish.token.token_file.as_ref()) {
            request.headers_mut().insert(header::AUTHORIZATION, token.header()?);
        }
    }
    if let Some(key) = key {
        request.headers_mut().insert("idempotency-key", HeaderValue::from_str(key)?);
    }
    let response = match HyperTransport::new().send(request).await {
        Ok(response) => response,
        Err(error) => return Ok(Err(error)),
    };
    let status = response.status();
    Ok(read(response.into_body()).await?.map(|text| Answer { status, text }))
}

/// The parameters of one update.
fn parameters(publish: &Publish) -> Vec<(&'static str, String)> {
    let retry = publish.retry.map(|retry| retry.0.as_millis().to_string());
    [("type", &publish.event_type), ("id", &publish.id), ("retry", &retry), ("close", &publish.close)]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.clone()?)))
        .collect()
}

/// The data of one update: the argument, or all of standard input. No data is needed to close a topic.
async fn data(publish: &Publish) -> anyhow::Result<Vec<u8>> {
    if let Some(data) = &publish.data {
        return Ok(data.clone().into());
    }
    let mut data = Vec::new();
    if publish.close.is_none() || !stdin().is_terminal() {
        tokio::io::stdin().read_to_end(&mut data).await.context("cannot read standard input")?;
    }
    Ok(data)
}

/// Reads the whole text of an answer.
async fn read(mut body: ResponseBody) -> anyhow::Result<Result<String, TransportError>> {
    let mut answer = Vec::new();
    while let Some(chunk) = body.chunk().await {
        match chunk {
            Ok(chunk) => answer.extend_from_slice(&chunk),
            Err(error) => return Ok(Err(error)),
        }
        if answer.len() > MAX_ANSWER_BYTES {
            bail!("the answer is longer than {MAX_ANSWER_BYTES} bytes, so the server is not a hub");
        }
    }
    Ok(Ok(String::from_utf8_lossy(&answer).into_owned()))
}

fn refusal(answer: &Answer) -> anyhow::Error {
    let Ok(Value::Object(problem)) = serde_json::from_str(&answer.text) else {
        return anyhow::anyhow!(
            "the answer is {}, and the server is not a hub: {}",
            answer.status,
            answer.text.trim()
        );
    };
    let detail = problem.get("detail").and_then(Value::as_str).unwrap_or("it gave no reason");
    let error = anyhow::anyhow!("the hub refused: {detail}");
    match problem.get("count") {
        Some(count) => error.context(Hint(format!("{count} updates before it were published"))),
        None => error,
    }
}

fn unreachable(error: TransportError, publish: &Publish) -> anyhow::Error {
    // Without user and password, which only the hub may see.
    let url = tidings_client::Request::post(&publish.hub.url).map(|request| request.url().clone());
    let hub = match url.as_ref().map(|url| (url.scheme_str(), url.authority())) {
        Ok((Some(scheme), Some(authority))) => format!("{scheme}://{authority}"),
        _ => "on the command line".into(),
    };
    let nothing_was_sent = matches!(error, TransportError::Connect { .. });
    let (what, error) = (format!("cannot reach the hub at {hub}"), anyhow::Error::new(error));
    let error = if nothing_was_sent { error.context(Unreachable(what)) } else { error.context(what) };
    error
        .context(Hint("start one with `tidings serve`, or name another with --hub URL or TIDINGS_HUB".into()))
}
