//! Which records go.

use rusqlite::Connection;

use crate::log::{
    disk::{
        read::outline::Outline,
        write::state::{AT_ONCE, State, Verdict},
    },
    retention_rules::Rules,
};

/// For each record that a step may evict, how many it looks at, for a rule that few of them fall under.
const LOOK: usize = 8;

/// Adds to `gone` what the whole log has too much of; true if the step is full.
pub(super) fn choose_of_whole(
    connection: &Connection,
    rules: &Rules,
    now: u64,
    most: usize,
    state: &mut State,
    gone: &mut Vec<Outline>,
) -> rusqlite::Result<bool> {
    let limits = rules.limits;
    if !state.whole.kept.is_too_much(&limits) && limits.age.is_none() {
        return Ok(false);
    }
    let (mut last, newest) =
        (state.bounds.oldest.saturating_sub(1).max(state.whole.swept), state.bounds.newest.sequence);
    let (mut looked, mut full) = (0, false);
    Outline::each_after(connection, state.whole.begin(last, &limits, now), |outline| {
        // The newest record stays even if it is beyond the limits: the log goes on from its sequence.
        if outline.sequence == newest {
            return false;
        }
        let verdict = state.whole.judge(&limits, &outline, now, last);
        looked += 1;
        full = match verdict {
            Verdict::Goes => gone.len() == most,
            Verdict::IsAhead => looked == LOOK * most,
            Verdict::OthersGo => true,
            Verdict::Stays => false,
        };
        if verdict == Verdict::Goes && !full {
            last = outline.sequence;
            state.whole.swept = last;
            state.remove(rules, &outline);
            gone.push(outline);
        }
        !full && verdict != Verdict::Stays
    })?;
    Ok(full)
}

/// Adds to `gone` what the topics of a rule have too much of; true if the step is full.
///
/// It goes through the log from where the rule has come to, after `already`, past what is not the rule's, and so looks at
/// each record once.
pub(super) fn choose_of_rule(
    connection: &Connection,
    rules: &Rules,
    now: u64,
    (number, already): (usize, u64),
    most: usize,
    state: &mut State,
    gone: &mut Vec<Outline>,
) -> rusqlite::Result<bool> {
    let limits = rules.rules[number].limits;
    let group = state.groups.of_mut(number);
    let has_none = group.kept.records == 0;
    if has_none || (!group.kept.is_too_much(&limits) && limits.age.is_none()) {
        group.look_at = None;
        return Ok(false);
    }
    let begin = group.begin(already, &limits, now);
    let newest = state.bounds.newest.sequence;
    let (mut looked, mut full, mut ended_at) = (0, false, None);
    Outline::each_after(connection, begin, |outline| {
        if outline.sequence == newest {
            ended_at = Some(outline.time);
            return false;
        }
        let group = state.groups.of_mut(number);
        let last = group.swept.max(already);
        let verdict = group.judge(&limits, &outline, now, last);
        full = match verdict {
            Verdict::Goes | Verdict::IsAhead => gone.len() >= most || looked == LOOK * most,
            Verdict::OthersGo => true,
            Verdict::Stays => false,
        };
        looked += 1;
        if verdict == Verdict::Goes && !full {
            group.swept = outline.sequence;
            if outline.rule(rules) == Some(number) {
                state.remove(rules, &outline);
                gone.push(outline);
            }
        } else if verdict == Verdict::Stays {
            ended_at = Some(outline.time);
        }
        !full && verdict != Verdict::Stays
    })?;
    let group = state.groups.of_mut(number);
    match full {
        true => group.look_at = AT_ONCE,
        false => group.looked(&limits, ended_at, now),
    }
    Ok(full)
}
