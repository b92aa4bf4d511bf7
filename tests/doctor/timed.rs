//! Faults that streams of known timing prove.

use crate::{
    doctor, rules,
    stand_in::{Pieces, spoiled},
};

fn all_at(pieces: Pieces, time: impl Fn(u64) -> u64) -> Pieces {
    pieces.into_iter().map(|(at, piece)| (time(at), piece)).collect()
}

#[tokio::test]
async fn a_stream_that_is_held_until_its_end_is_buffered() {
    let server = spoiled(|_, _, pieces| {
        let end = pieces.last().unwrap().0;
        all_at(pieces, |_| end)
    })
    .await;
    let (code, report) = doctor(&[&server.url("/events?topic=a")]).await;
    assert_eq!((code, rules(&report)), (Some(1), vec!["buffered"]), "{report}");
    let held = report["numbers"]["held_ms"].as_u64().unwrap();
    assert!((3200..3500).contains(&held), "{held}");
    assert_eq!(report["findings"][0]["severity"], "S1");
    assert!(report["findings"][0]["fix"]["text"].as_str().unwrap().contains("proxy_buffering off;"));
}

#[tokio::test]
async fn a_stream_that_comes_in_blocks_of_time_is_buffered() {
    let server = spoiled(|_, _, pieces| all_at(pieces, |at| at.div_ceil(1000) * 1000)).await;
    let (_, report) = doctor(&[&server.url("/e?a=b")]).await;
    assert_eq!(rules(&report), ["buffered"], "{report}");
}

#[tokio::test]
async fn an_event_that_waits_for_the_next_is_one_behind() {
    let server = spoiled(|_, _, pieces| {
        let times: Vec<_> = pieces.iter().map(|(at, _)| *at).collect();
        let later = |index: usize| times[(index + 1).min(times.len() - 1)];
        pieces.into_iter().enumerate().map(|(index, (_, piece))| (later(index), piece)).collect()
    })
    .await;
    let (_, report) = doctor(&[&server.url("/e?a=b")]).await;
    assert_eq!(rules(&report), ["one-behind"], "{report}");
}

#[tokio::test]
async fn what_is_held_only_for_browsers_is_the_compression() {
    let server = spoiled(|request, _, pieces| {
        let end = pieces.last().unwrap().0;
        if request.header("accept-encoding").is_some() { all_at(pieces, |_| end) } else { pieces }
    })
    .await;
    let (_, report) = doctor(&[&server.url("/e?a=b")]).await;
    assert_eq!(rules(&report), ["buffered-compressed"], "{report}");
    let score = |coding| report["numbers"]["score"][coding].as_f64().unwrap();
    assert!(score("identity") > 0.7 && score("gzip") < 0.2, "{report}");
}

#[tokio::test]
async fn what_is_held_only_by_one_method_is_told_by_the_method() {
    for (method, rule) in [("GET ", "buffered-get"), ("POST ", "buffered-post")] {
        let server = spoiled(move |request, _, pieces| {
            let end = pieces.last().unwrap().0;
            if request.line.starts_with(method) { all_at(pieces, |_| end) } else { pieces }
        })
        .await;
        let (_, report) = doctor(&[&server.url("/e?a=b")]).await;
        assert_eq!(rules(&report), [rule], "{report}");
        let posts = server.requests().into_iter().filter(|request| request.line.starts_with("POST "));
        assert_eq!(posts.map(|request| request.body).collect::<Vec<_>>(), [b""]);
    }
}

#[tokio::test]
async fn what_is_held_only_for_fetch_is_told_by_accept() {
    let server = spoiled(|request, _, pieces| {
        let end = pieces.last().unwrap().0;
        if request.header("accept") == Some("*/*") { all_at(pieces, |_| end) } else { pieces }
    })
    .await;
    let (_, report) = doctor(&[&server.url("/e?a=b")]).await;
    assert_eq!(rules(&report), ["buffered-accept"], "{report}");
}

#[tokio::test]
async fn a_stream_that_is_cut_after_a_time_has_a_lifetime() {
    let server = spoiled(|_, _, pieces| {
        pieces.into_iter().filter(|(at, _)| *at < 1500).chain([(1500, String::new())]).collect()
    })
    .await;
    let (_, report) = doctor(&[&server.url("/e?a=b")]).await;
    assert_eq!(rules(&report), ["lifetime-cut"], "{report}");
    // The stand-in may be late, but never early.
    let measured = report["findings"][0]["measured"].as_str().unwrap();
    assert!(measured.contains("cut after 1.") || measured.contains("cut after 2."), "{measured}");
}

#[tokio::test]
async fn a_silence_that_is_cut_is_told_from_a_lifetime() {
    let server = spoiled(|_, _, mut pieces| {
        let cut = pieces.windows(2).position(|pair| pair[1].0 - pair[0].0 > 2500);
        if let Some(last) = cut {
            pieces.truncate(last + 1);
            pieces.push((pieces[last].0 + 2500, String::new()));
        }
        pieces
    })
    .await;
    let (_, report) = doctor(&[&server.url("/e?a=b"), "--idle=6s"]).await;
    assert_eq!(rules(&report), ["idle-cut"], "{report}");
    assert_eq!(report["findings"][0]["confidence"], "proved");
    let measured = report["findings"][0]["measured"].as_str().unwrap();
    assert!(measured.contains("after 2.") || measured.contains("after 3."), "{measured}");
}

#[tokio::test]
async fn a_recording_is_known_by_its_name() {
    let server = spoiled(|request, _, _| {
        let recorded = crate::stand_in::sent(request, "the first");
        all_at(recorded, |_| 0)
    })
    .await;
    let (_, report) = doctor(&[&server.url("/e?a=b")]).await;
    assert_eq!(rules(&report), ["cached"], "{report}");
}

#[tokio::test]
async fn a_proxy_that_takes_the_last_event_id_away_is_found() {
    let server = spoiled(|request, _, pieces| {
        if request.header("last-event-id").is_none() {
            return pieces;
        }
        let mut bare = request.clone();
        bare.headers.retain(|(name, _)| name != "last-event-id");
        crate::stand_in::sent(&bare, "another")
    })
    .await;
    let (_, report) = doctor(&[&server.url("/e?a=b")]).await;
    assert_eq!(rules(&report), ["last-event-id-ignored"], "{report}");
    assert!(report["findings"][0]["evidence"].as_str().unwrap().contains("did not reach"), "{report}");
}

#[tokio::test]
async fn events_that_come_again_after_resuming_are_found() {
    let server = spoiled(|request, _, mut pieces| {
        if request.header("last-event-id").is_some() && pieces.len() > 2 {
            let again = pieces[1].clone();
            pieces.insert(1, again);
        }
        pieces
    })
    .await;
    let (_, report) = doctor(&[&server.url("/e?a=b")]).await;
    assert_eq!(rules(&report), ["duplicate-after-resume"], "{report}");
}

#[tokio::test]
async fn a_gateway_that_drops_comments_is_found() {
    let server = spoiled(|_, _, pieces| {
        pieces
            .into_iter()
            .map(|(at, piece)| {
                (
                    at,
                    if piece == ":\n" {
                        String::new()
                    } else {
                        piece.replacen(":\n", "", usize::from(at == 0))
                    },
                )
            })
            .collect()
    })
    .await;
    let (_, report) = doctor(&[&server.url("/e?a=b")]).await;
    assert_eq!(rules(&report), ["comments-dropped"], "{report}");
}

#[tokio::test]
async fn line_ends_that_are_split_are_named_and_hide_no_event() {
    let server = spoiled(|_, _, pieces| {
        let crlf = |piece: String| piece.replace('\n', "\r\n");
        pieces
            .into_iter()
            .flat_map(|(at, piece)| {
                let mut first = crlf(piece);
                let last = first.split_off(first.len().saturating_sub(1));
                [(at, first), (at + 1, last)]
            })
            .collect()
    })
    .await;
    let (code, report) = doctor(&[&server.url("/e?a=b")]).await;
    assert_eq!((code, rules(&report)), (Some(1), vec!["carriage-returns"]), "{report}");
}
