//! `GET` as JSON: a page of history, or a long poll.

use std::{future::poll_fn, sync::Arc, time::Duration};

use http::Response;
use serde::Serialize;
use tokio::{
    task::yield_now,
    time::{Instant, sleep_until, timeout_at},
};

use crate::{
    Hub, StartAt, Verdict,
    authorize::{OpenStream, Reading},
    delivery::{
        resume::{First, Gap, Opened, open},
        subscription::PAGE,
    },
    dialect::{History, native::sign_verdict},
    http::{
        HubBody, Problem,
        json::json,
        page_body::{Page, PageBody},
    },
    log::{HubId, LogError, PageLimit, Record},
    model::gap::GapReason,
};

/// How many records are searched for one page, after its first read. The client continues from there.
const MAX_LOOKED_AT: u64 = 100_000;

/// How long a search for one page may take, unless the client waits longer.
const MAX_SEARCH: Duration = Duration::from_secs(2);

/// The members of a page beside its updates.
#[derive(Debug, Serialize)]
struct Members {
    /// Where the next page begins: to be sent as `Last-Event-ID` or `from`.
    next: String,
    /// True when the page ends before the newest update that there was: it is full, or much had to be looked through.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    more: bool,
    /// As in a `gap` event, when something may be missing before this page.
    #[serde(skip_serializing_if = "Option::is_none")]
    gap: Option<serde_json::Value>,
    /// True when all topics are closed and this page has the last of them: nothing will follow.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    closed: bool,
}

/// Answers with the updates after a position, or from the oldest record on. Waits for an update if the request asks for that.
///
/// The search is bounded, and the page says how far it came.
pub(crate) async fn history(
    hub: &Hub,
    reading: Reading,
    asked: History,
) -> Result<Response<HubBody>, Problem> {
    let engine = hub.engine();
    let began = Instant::now();
    let end = reading.open.as_ref().and_then(OpenStream::term).map(|term| term.end);
    let left = end.map_or(Duration::MAX, |end| end.saturating_duration_since(began));
    let wait = asked.wait.min(left);
    let (deadline, search_end) = (began + wait, began + wait.max(MAX_SEARCH));
    // A page is as large as one read of a stream, even if its client would take more updates.
    let limit = PageLimit { records: asked.limit, bytes: PAGE.bytes };
    let Reading { selector, reach, is_exact, .. } = &reading;
    let start = asked.start;
    let asked = match &start {
        StartAt::After(id) | StartAt::Position { asked: id, .. } | StartAt::Unknown(id) => Some(id.clone()),
        StartAt::Tail | StartAt::Oldest => None,
    };
    // Bounds may lag, and a page that is not the last one must say so.
    let newest = async || Ok::<_, LogError>(engine.log.refresh().await?.newest.sequence);
    let opening = async {
        Ok::<_, LogError>((newest().await?, open(engine, &reading, start, limit, First::Page).await?))
    };
    let (mut newest_before, opened) = tokio::select! {
        biased;
        opened = opening => opened?,
        () = engine.shutdown_begun() => return Err(Problem::shutting_down()),
    };
    let mut opening = match opened {
        Opened::Live(opening) => *opening,
        Opened::Ended => {
            let bounds = engine.log.bounds();
            let tail = HubId { epoch: bounds.epoch, position: bounds.newest };
            let next = asked.unwrap_or_else(|| tail.to_string());
            let members = Members { next, more: false, gap: None, closed: true };
            return respond(hub, Vec::new(), &members);
        }
    };

    // A client that asks for the oldest update that is kept has missed nothing.
    let mut misses = asked.is_some();
    let mut looked_at = 0;
    loop {
        opening.page.records.retain(|record| reach.may_receive(record));
        if !opening.page.records.is_empty() || opening.gap.is_some() {
            break;
        }
        let reached = opening.page.reached;
        newest_before = tokio::select! {
            newest = newest() => newest?,
            () = engine.shutdown_begun() => break,
            () = sleep_until(search_end) => break,
        };
        let after = if reached.sequence >= newest_before {
            misses = true;
            let update = poll_fn(|context| opening.registration.poll_update(context));
            tokio::select! {
                update = timeout_at(deadline, update) => match update {
                    // Nothing before the first that was signalled is asked for.
                    Ok(first) => {
                        newest_before = newest().await?;
                        reached.sequence.max(first - 1)
                    }
                    Err(_) => break,
                },
                () = engine.shutdown_begun() => break,
            }
        } else {
            if looked_at >= MAX_LOOKED_AT || Instant::now() >= search_end {
                break;
            }
            // A log in memory answers at once. Let other tasks have their turn.
            yield_now().await;
            reached.sequence
        };
        opening.page = tokio::select! {
            biased;
            () = engine.shutdown_begun() => break,
            page = engine.log.read(after, selector, limit) => page?,
        };
        looked_at += opening.page.reached.sequence.saturating_sub(after);
        if opening.page.lost.is_some() && misses {
            let position = HubId { epoch: opening.epoch, position: reached }.to_string();
            let gap = Gap::before(&*engine.log, &opening.page, position, GapReason::Evicted).await?;
            opening.gap = Some(gap);
            opening.verdict = opening.verdict.map(|_| Verdict::Gap);
        }
    }

    if let Some(open) = &reading.open {
        // The wait may have been long.
        open.was_not_ended()?;
    }
    let page = &opening.page;
    let closes = page.records.iter().filter(|record| record.is_close());
    let closed_here: Vec<_> = closes.flat_map(|close| close.topics()).collect();
    let members = Members {
        next: HubId { epoch: opening.epoch, position: page.reached }.to_string(),
        more: page.reached.sequence < newest_before,
        gap: opening.gap.as_ref().map(Gap::to_json),
        closed: *is_exact && opening.open.iter().all(|topic| closed_here.contains(&topic)),
    };
    if let Some(gap) = &opening.gap {
        engine.metrics.gap(gap.reason);
    }
    for record in &mut opening.page.records {
        if let Some(hidden) = reach.hide_topics(selector, record) {
            *record = Arc::new(hidden);
        }
    }
    let mut response = respond(hub, opening.page.records, &members)?;
    sign_verdict(response.headers_mut(), opening.verdict);
    Ok(response)
}

/// A page of one chunk is sent as it is. A longer page is encoded while it is sent, within the memory for answers.
fn respond(hub: &Hub, records: Vec<Arc<Record>>, members: &Members) -> Result<Response<HubBody>, Problem> {
    let mut page = Page::new(records, members);
    let first = page.next_chunk().unwrap_or_default();
    let body = if page.is_over() {
        HubBody::from(first)
    } else {
        let mut room = hub.engine().answers_room.share();
        if !room.try_grow_to(first.len() + page.left()) {
            room.refuse();
            return Err(Problem::no_room_for_answer());
        }
        HubBody::page(PageBody::new(first, page, room, hub.encoder().clone()))
    };
    Ok(json(body, "no-cache"))
}
