//! Many requests at the same time: counts how many a server answers while all the others are open.

use http::{Response, StatusCode};
use tokio::{
    task::JoinSet,
    time::{Instant, timeout_at},
};

use super::{
    Ask, Error, Way,
    connect::connect,
    line::{AnswerBody, Line},
};
use crate::doctor::{fan::Fan, observation::Protocol};

/// A response whose body is not read, with its own connection if it has one.
type Open = (Response<AnswerBody>, Option<Line>);

/// Sends `asked` requests and keeps the answered ones open. Over HTTP/1.1 each has its own connection, over the other
/// versions all share one. Returns when all are answered, or after the time of `ask`. By then all connections are
/// closed.
///
/// Returns `None` if no such connection is possible. Also if the server reports that it has no room for so many streams
/// of known timing, because this says nothing about other streams.
pub(in crate::doctor) async fn fan(ask: &Ask, way: &Way, protocol: Protocol, asked: usize) -> Option<Fan> {
    let began = Instant::now();
    let until = began + ask.within;
    let way = way.by(protocol);
    let mut waiting = JoinSet::new();
    let _shared = match protocol {
        Protocol::Http1 => {
            for _ in 0..asked {
                waiting.spawn(open(ask.clone(), way.clone()));
            }
            None
        }
        Protocol::Http2 | Protocol::Http3 => {
            let mut line = timeout_at(until, line(ask, &way)).await.ok()?.ok()?;
            for _ in 0..asked {
                let answer = line.send(ask).ok()?;
                waiting.spawn(async { Ok((answer.await?, None)) });
            }
            Some(line)
        }
    };
    let mut fan = Fan { asked, ..Fan::default() };
    let mut opened = Vec::new();
    while let Ok(Some(answer)) = timeout_at(until, waiting.join_next()).await {
        fan.last = began.elapsed();
        match answer {
            Ok(Ok(answer)) if answer.0.status() == StatusCode::OK => opened.push(answer),
            Ok(Ok((answer, _))) if answer.headers().contains_key("tidings-probe") => return None,
            Ok(Ok((answer, _))) => fan.refused.push(Some(answer.status().as_u16())),
            _ => fan.refused.push(None),
        }
    }
    fan.answered = opened.len();
    fan.ended = began.elapsed();
    Some(fan)
}

async fn open(ask: Ask, way: Way) -> Result<Open, Error> {
    let mut line = line(&ask, &way).await?;
    let answer = line.send(&ask)?.await?;
    Ok((answer, Some(line)))
}

async fn line(ask: &Ask, way: &Way) -> Result<Line, Error> {
    Line::open(connect(&ask.url, way).await?).await
}
