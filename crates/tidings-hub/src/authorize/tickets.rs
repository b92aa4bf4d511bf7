//! Tickets: short texts for a URL, each of which opens one stream.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::digest::{SHA256, digest};
use tokio::time::Instant;

use super::{Accepted, AccessEnd, Credential, Exceeded, Grant, Holder, Place, grant::WeakGrant};
use crate::{Selector, Subject};

/// How every ticket begins.
pub(crate) const TICKET_PREFIX: &str = "tdt_";

/// The length of a ticket: the prefix, and 128 random bits as base64url.
const TICKET_BYTES: usize = TICKET_PREFIX.len() + 22;

/// The most unused tickets of one subject. One that reconnects counts until it is forgotten.
const MAX_UNUSED_OF_SUBJECT: u32 = 100;

/// The most unused tickets of a hub.
const MAX_UNUSED: usize = 100_000;

/// The most memory of all tickets, about.
const MAX_BYTES: usize = 128 << 20;

/// The memory of a ticket beside its topics, about.
const TICKET_COST: usize = 512;

/// How many used tickets are remembered, so that a second use can be told from an unknown ticket in the audit log.
const MAX_USED: usize = 100_000;

/// How long a client may take to come back with a ticket that reconnects.
pub(crate) const COMES_BACK_WITHIN: Duration = Duration::from_secs(60);

/// The terms under which a ticket was made.
#[derive(Debug)]
pub(crate) struct TicketTerms {
    /// The credential that got the ticket, and what it allows by itself. Both are looked at again when the ticket is used.
    pub(crate) of: Accepted,
    /// The topics that it was asked for.
    pub(crate) asked: Selector,
    /// Where its stream begins, if its request does not say.
    pub(crate) from: Option<Box<str>>,
    /// When its stream ends at the latest.
    pub(crate) ends: SystemTime,
    /// Whose stream it opens.
    pub(crate) subject: Option<Subject>,
    /// Whether a client may come back with it.
    pub(crate) reconnects: bool,
}

/// The tickets of a hub.
///
/// Nobody can read tickets from it: it has their SHA-256 alone. A ticket is 128 random bits, so nobody guesses one, and its
/// digest tells nothing of it.
#[derive(Clone, Default)]
pub(crate) struct Tickets(Arc<Mutex<Table>>);

type Digest = [u8; 32];

#[derive(Default)]
struct Table {
    tickets: HashMap<Digest, Ticket>,
    /// When which ticket is forgotten. A ticket whose stream is open has no entry.
    deadlines: BTreeSet<(Instant, Digest)>,
    /// How many tickets each subject has that may be used yet, those that reconnect included.
    usable_of: HashMap<Holder, u32>,
    unused: usize,
    bytes: usize,
    /// Used tickets that are remembered, from the oldest to the newest, each with its deadline.
    used: VecDeque<(Digest, Instant)>,
}

struct Ticket {
    holder: Holder,
    deadline: Instant,
    state: State,
}

enum State {
    Unused(Arc<TicketTerms>),
    /// It reconnects, and was used before.
    Reconnects {
        terms: Arc<TicketTerms>,
        stream: Option<WeakGrant>,
        /// The place of that stream among those of its client.
        place: Option<Place>,
        opened: u64,
    },
    /// It cannot be used again. Its credential is named if somebody tries.
    Used(Arc<Credential>),
}

/// A ticket that was used just now.
#[derive(Debug)]
pub(crate) struct Redeemed {
    pub(crate) terms: Arc<TicketTerms>,
    /// The ticket's name for logs.
    pub(crate) name: Box<str>,
    /// Whether it was used before: it reconnects then.
    pub(crate) again: bool,
    digest: Digest,
}

/// A ticket that opens nothing. Its sender is told neither why, nor whether there ever was such a ticket.
#[derive(Debug)]
pub(crate) struct NotValid {
    /// The ticket's name for logs.
    pub(crate) name: Box<str>,
    /// The credential that got it, if it was used before.
    pub(crate) used_before: Option<Arc<Credential>>,
}

/// Kept for as long as the stream of a ticket that reconnects is open.
pub(crate) struct TicketStream {
    tickets: Tickets,
    digest: Digest,
    opened: u64,
}

/// A text of 128 random bits that is a ticket once it is [put](Tickets::put) into the table.
///
/// # Errors
/// When the operating system has no randomness.
pub(crate) fn new_ticket() -> io::Result<String> {
    let mut bits = [0; 16];
    getrandom::fill(&mut bits).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(format!("{TICKET_PREFIX}{}", URL_SAFE_NO_PAD.encode(bits)))
}

/// The name of a ticket for logs: the first 8 hexadecimal digits of its SHA-256.
pub(crate) fn ticket_name(ticket: &str) -> Box<str> {
    name_of(&digest_of(ticket))
}

impl Tickets {
    /// Takes a ticket that may be used for so long.
    ///
    /// # Errors
    /// When its subject, or the hub, has too many unused tickets.
    pub(crate) fn put(&self, ticket: &str, terms: TicketTerms, holds: Duration) -> Result<(), Exceeded> {
        let now = Instant::now();
        let holder = terms.subject.as_ref().map_or_else(|| Holder::of(&terms.of.credential), Holder::subject);
        let mut table = self.lock();
        table.sweep(now);
        let cost = cost(&terms);
        let of_holder = table.usable_of.get(&holder).copied().unwrap_or_default();
        let whose = match (of_holder >= MAX_UNUSED_OF_SUBJECT, table.unused >= MAX_UNUSED) {
            (true, _) => format!("this subject has {of_holder}"),
            (_, true) => format!("this hub has {MAX_UNUSED}"),
            _ if table.bytes + cost > MAX_BYTES => "this hub has no memory for more".to_owned(),
            _ => {
                table.bytes += cost;
                table.unused += 1;
                *table.usable_of.entry(holder).or_default() += 1;
                let (digest, deadline) = (digest_of(ticket), now + holds);
                let state = State::Unused(Arc::new(terms));
                table.deadlines.insert((deadline, digest));
                table.tickets.insert(digest, Ticket { holder, deadline, state });
                return Ok(());
            }
        };
        let detail = format!(
            "{whose} unused tickets, and {MAX_UNUSED_OF_SUBJECT} a subject and {MAX_UNUSED} a hub are allowed; use them, or wait \
             until they expire; one that reconnects counts until a minute after its stream has ended"
        );
        let first = table.deadlines.first().map_or(holds, |(deadline, _)| deadline.duration_since(now));
        let exceeded = Exceeded::new("too-many-tickets", detail, first.min(holds));
        Err(exceeded.with_quota("tickets", MAX_UNUSED_OF_SUBJECT.into(), 0))
    }

    /// Uses a ticket. Of several uses at once, exactly one succeeds, unless the ticket reconnects.
    ///
    /// # Errors
    /// For a ticket that was used before, that is late, or that is unknown.
    pub(crate) fn redeem(&self, ticket: &str) -> Result<Redeemed, NotValid> {
        let digest = digest_of(ticket);
        let name = name_of(&digest);
        let now = Instant::now();
        let mut table = self.lock();
        table.sweep(now);
        // A text of another length is in no table either, but need not be looked for.
        let found = table.tickets.get(&digest).filter(|_| ticket.len() == TICKET_BYTES);
        let again = found.is_some_and(|ticket| matches!(ticket.state, State::Reconnects { .. }));
        let terms = match found.map(|ticket| &ticket.state) {
            None => return Err(NotValid { name, used_before: None }),
            Some(State::Used(credential)) => {
                return Err(NotValid { name, used_before: Some(credential.clone()) });
            }
            Some(State::Unused(terms) | State::Reconnects { terms, .. }) => terms.clone(),
        };
        match terms.reconnects {
            true => table.reconnect(&digest, &terms, now),
            false => table.use_up(&digest, &terms),
        }
        Ok(Redeemed { terms, name, again, digest })
    }

    /// Notes that a ticket which reconnects has a stream by this grant. An earlier stream of the ticket ends when the hub is told to
    /// look at its grants, and its place is free at once.
    pub(crate) fn open_stream(&self, ticket: &Redeemed, grant: &Grant) -> Option<TicketStream> {
        let mut table = self.lock();
        let found = table.tickets.get_mut(&ticket.digest)?;
        let State::Reconnects { stream, place, opened, .. } = &mut found.state else { return None };
        *place = None;
        if let Some(earlier) = stream.replace(grant.downgrade()).and_then(|earlier| earlier.upgrade()) {
            earlier.end(AccessEnd::Limit);
        }
        *opened += 1;
        let (opened, deadline) = (*opened, found.deadline);
        table.deadlines.remove(&(deadline, ticket.digest));
        Some(TicketStream { tickets: self.clone(), digest: ticket.digest, opened })
    }

    /// Forgets tickets of credentials that are hit, and those of a name. Says how many there were.
    pub(crate) fn forget(
        &self,
        is_hit: impl Fn(&Credential) -> bool,
        is_named: impl Fn(&str) -> bool,
    ) -> usize {
        let mut table = self.lock();
        let void: Vec<_> = table
            .tickets
            .iter()
            .filter(|(digest, ticket)| match &ticket.state {
                State::Unused(terms) | State::Reconnects { terms, .. } => {
                    is_hit(&terms.of.credential) || is_named(&name_of(digest))
                }
                State::Used(_) => false,
            })
            .map(|(digest, _)| *digest)
            .collect();
        for digest in &void {
            table.remove(digest);
        }
        void.len()
    }

    /// How many tickets are not used yet.
    pub(crate) fn unused(&self) -> usize {
        self.lock().unused
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Forgets tickets whose time is over: those alone, without a look at the others.
    fn sweep(&mut self, now: Instant) {
        let due = |table: &Table| {
            table.deadlines.first().filter(|(deadline, _)| *deadline <= now).map(|(_, digest)| *digest)
        };
        while let Some(digest) = due(self) {
            self.remove(&digest);
        }
        while self.used.front().is_some_and(|(_, deadline)| *deadline <= now) {
            self.used.pop_front();
        }
    }

    fn use_up(&mut self, digest: &Digest, terms: &TicketTerms) {
        let Some(ticket) = self.tickets.get_mut(digest) else { return };
        ticket.state = State::Used(terms.of.credential.clone());
        let (holder, deadline) = (ticket.holder, ticket.deadline);
        self.unused -= 1;
        self.give_back(holder, terms);
        self.used.push_back((*digest, deadline));
        if self.used.len() > MAX_USED {
            let oldest = self.used.pop_front();
            oldest.into_iter().for_each(|(oldest, _)| self.remove(&oldest));
        }
    }

    fn reconnect(&mut self, digest: &Digest, terms: &Arc<TicketTerms>, now: Instant) {
        let Some(ticket) = self.tickets.get_mut(digest) else { return };
        if matches!(ticket.state, State::Unused(_)) {
            self.unused -= 1;
            ticket.state = State::Reconnects { terms: terms.clone(), stream: None, place: None, opened: 0 };
        }
        // Until the stream is open, it is as if one had just ended.
        let deadline = std::mem::replace(&mut ticket.deadline, now + COMES_BACK_WITHIN);
        let next = ticket.deadline;
        if self.deadlines.remove(&(deadline, *digest)) {
            self.deadlines.insert((next, *digest));
        }
    }

    /// One of this holder cannot be used any more.
    fn give_back(&mut self, holder: Holder, terms: &TicketTerms) {
        self.bytes -= cost(terms);
        if let Some(count) = self.usable_of.get_mut(&holder) {
            *count -= 1;
            if *count == 0 {
                self.usable_of.remove(&holder);
            }
        }
    }

    fn remove(&mut self, digest: &Digest) {
        let Some(ticket) = self.tickets.remove(digest) else { return };
        self.deadlines.remove(&(ticket.deadline, *digest));
        match ticket.state {
            State::Unused(terms) => {
                self.unused -= 1;
                self.give_back(ticket.holder, &terms);
            }
            State::Reconnects { terms, .. } => self.give_back(ticket.holder, &terms),
            State::Used(_) => {}
        }
    }
}

impl TicketStream {
    /// Gives the ticket the place of its stream, so that a later stream of the ticket can take it. Returns the place if the ticket is
    /// not there any more.
    pub(crate) fn keep(&self, of_stream: Option<Place>) -> Option<Place> {
        let mut table = self.tickets.lock();
        match table.tickets.get_mut(&self.digest).map(|ticket| &mut ticket.state) {
            Some(State::Reconnects { place, opened, .. }) if *opened == self.opened => {
                *place = of_stream;
                None
            }
            _ => of_stream,
        }
    }
}

impl Drop for TicketStream {
    fn drop(&mut self) {
        let mut table = self.tickets.lock();
        let Some(ticket) = table.tickets.get_mut(&self.digest) else { return };
        match &mut ticket.state {
            State::Reconnects { place, opened, .. } if *opened == self.opened => *place = None,
            // A later stream has taken the place of this one.
            _ => return,
        }
        ticket.deadline = Instant::now() + COMES_BACK_WITHIN;
        let deadline = ticket.deadline;
        table.deadlines.insert((deadline, self.digest));
    }
}

/// The memory that a ticket takes, about.
fn cost(terms: &TicketTerms) -> usize {
    let topics = terms.asked.topics().iter().map(|topic| topic.as_str().len());
    let prefixes = terms.asked.prefixes().iter().map(|prefix| prefix.as_str().len());
    let names = terms.subject.as_ref().map_or(0, |subject| subject.issuer().len() + subject.name().len());
    TICKET_COST + topics.chain(prefixes).map(|bytes| bytes + 32).sum::<usize>() + names
}

fn digest_of(ticket: &str) -> Digest {
    digest(&SHA256, ticket.as_bytes()).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

fn name_of(digest: &Digest) -> Box<str> {
    digest[..4].iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
}

/// Without the tickets.
impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets").field("unused", &self.unused()).finish_non_exhaustive()
    }
}

impl fmt::Debug for TicketStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TicketStream").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use serde_json::Map;

    use super::*;
    use crate::{
        Matchers, Topic,
        authorize::{CredentialKind, Limits, Rights},
    };

    fn credential(name: &str) -> Arc<Credential> {
        Arc::new(Credential {
            name: name.into(),
            kind: CredentialKind::Token,
            subject: Some(Subject::new("", name)),
            issuer: None,
            token_id: None,
            issued_at: None,
            expires: None,
            claims: Map::new(),
            keys: 0,
        })
    }

    fn accepted(name: &str) -> Accepted {
        Accepted {
            credential: credential(name),
            publish: Matchers::none(),
            read: Matchers::all(),
            rights: Rights::default(),
            limits: Limits::default(),
            payload: None,
        }
    }

    fn terms(name: &str) -> TicketTerms {
        TicketTerms {
            of: accepted(name),
            asked: Topic::parse("a").unwrap().into(),
            from: None,
            ends: SystemTime::now() + Duration::from_secs(3600),
            subject: None,
            reconnects: false,
        }
    }

    fn put(tickets: &Tickets, terms: TicketTerms) -> String {
        let ticket = new_ticket().unwrap();
        tickets.put(&ticket, terms, Duration::from_secs(30)).unwrap();
        ticket
    }

    fn is_empty(tickets: &Tickets) -> bool {
        let table = tickets.lock();
        table.tickets.is_empty()
            && table.deadlines.is_empty()
            && table.usable_of.is_empty()
            && table.used.is_empty()
            && (table.unused, table.bytes) == (0, 0)
    }

    #[test]
    fn a_ticket_has_128_random_bits_and_only_characters_that_a_url_keeps() {
        let all: std::collections::HashSet<_> = (0..1_000).map(|_| new_ticket().unwrap()).collect();
        assert_eq!(all.len(), 1_000);
        for ticket in all {
            let (prefix, random) = ticket.split_at(4);
            assert_eq!((prefix, random.len()), ("tdt_", 22));
            assert!(
                random.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)),
                "{ticket}"
            );
        }
    }

    #[test]
    fn of_a_thousand_tickets_that_are_used_twice_at_once_a_thousand_uses_succeed() {
        let tickets = Tickets::default();
        let all: Vec<_> = (0..1_000).map(|number| put(&tickets, terms(&(number % 50).to_string()))).collect();
        let succeeded =
            |tickets: &Tickets| all.iter().filter(|ticket| tickets.redeem(ticket).is_ok()).count();
        let count: usize = thread::scope(|scope| {
            let both = [(); 2].map(|()| scope.spawn(|| succeeded(&tickets)));
            both.map(|one| one.join().unwrap()).iter().sum()
        });
        assert_eq!(count, 1_000);
        assert_eq!(tickets.unused(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_a_late_and_an_unknown_use_fail_and_the_second_names_the_credential() {
        let tickets = Tickets::default();
        let ticket = put(&tickets, terms("alice"));
        let redeemed = tickets.redeem(&ticket).unwrap();
        assert_eq!((&redeemed.name, redeemed.name.len()), (&ticket_name(&ticket), 8));
        let again = tickets.redeem(&ticket).unwrap_err();
        assert_eq!(&*again.used_before.unwrap().name, "alice");
        let late = put(&tickets, terms("alice"));
        tokio::time::advance(Duration::from_secs(31)).await;
        let unknown = new_ticket().unwrap();
        for ticket in [&*late, &*unknown, "", "tdt_", "tdt_x", &late.to_uppercase(), &format!("{late}x")] {
            assert!(tickets.redeem(ticket).unwrap_err().used_before.is_none(), "{ticket}");
        }
        assert!(is_empty(&tickets), "nothing is kept of tickets whose time is over");
    }

    #[tokio::test(start_paused = true)]
    async fn a_subject_has_a_hundred_unused_tickets_at_most() {
        let tickets = Tickets::default();
        let first = put(&tickets, terms("alice"));
        for _ in 1..100 {
            put(&tickets, terms("alice"));
        }
        let refused = tickets.put("tdt_x", terms("alice"), Duration::from_secs(30)).unwrap_err();
        assert_eq!(refused.rule, "too-many-tickets");
        assert!(refused.detail.contains("this subject has 100 unused tickets"), "{refused:?}");
        put(&tickets, terms("bob"));
        let in_bobs_name = TicketTerms { subject: Some(Subject::new("", "bob")), ..terms("alice") };
        put(&tickets, in_bobs_name);
        tickets.redeem(&first).unwrap();
        put(&tickets, terms("alice"));
        assert!(tickets.put("tdt_x", terms("alice"), Duration::from_secs(30)).is_err());
        tokio::time::advance(refused.retry_after).await;
        put(&tickets, terms("alice"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_ticket_that_reconnects_counts_to_the_hundred_of_its_subject_until_it_is_forgotten() {
        let tickets = Tickets::default();
        for _ in 0..100 {
            let ticket = put(&tickets, TicketTerms { reconnects: true, ..terms("alice") });
            assert!(!tickets.redeem(&ticket).unwrap().again);
            assert!(tickets.redeem(&ticket).unwrap().again);
        }
        assert_eq!(tickets.unused(), 0);
        assert!(tickets.put("tdt_x", terms("alice"), Duration::from_secs(30)).is_err());
        tokio::time::advance(COMES_BACK_WITHIN).await;
        put(&tickets, terms("alice"));
    }

    #[test]
    fn a_hub_has_a_hundred_thousand_unused_tickets_at_most() {
        let tickets = Tickets::default();
        for number in 0..MAX_UNUSED {
            put(&tickets, terms(&(number / 100).to_string()));
        }
        let refused = tickets.put("tdt_x", terms("one more"), Duration::from_secs(30)).unwrap_err();
        assert!(refused.detail.contains("this hub has 100000 unused tickets"), "{refused:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_ticket_that_reconnects_comes_back_within_a_minute_and_ends_its_earlier_stream() {
        let tickets = Tickets::default();
        let ticket = put(&tickets, TicketTerms { reconnects: true, ..terms("alice") });
        let open = || {
            let redeemed = tickets.redeem(&ticket).unwrap();
            let stream = Grant::of(accepted("ticket"));
            (tickets.open_stream(&redeemed, &stream).unwrap(), stream)
        };
        let ended = |stream: &Grant| stream.standing().and_then(crate::authorize::Standing::ended);
        let (first, first_stream) = open();
        assert_eq!(tickets.unused(), 0);
        // An open stream may be as old as it likes.
        tokio::time::advance(Duration::from_secs(1_000)).await;
        let (second, second_stream) = open();
        assert_eq!(ended(&first_stream), Some(AccessEnd::Limit));
        assert_eq!(ended(&second_stream), None);
        // The end of the earlier one does not count as the end of the later one.
        drop(first);
        tokio::time::advance(Duration::from_secs(1_000)).await;
        drop(second);
        tokio::time::advance(Duration::from_secs(59)).await;
        let (third, _stream) = open();
        drop(third);
        tokio::time::advance(Duration::from_secs(61)).await;
        assert!(tickets.redeem(&ticket).is_err());
        assert!(is_empty(&tickets));
    }

    #[tokio::test(start_paused = true)]
    async fn a_ticket_that_reconnects_is_forgotten_if_its_stream_never_opens() {
        let tickets = Tickets::default();
        let ticket = put(&tickets, TicketTerms { reconnects: true, ..terms("alice") });
        tickets.redeem(&ticket).unwrap();
        tokio::time::advance(Duration::from_secs(59)).await;
        tickets.redeem(&ticket).unwrap();
        tokio::time::advance(Duration::from_secs(61)).await;
        assert!(tickets.redeem(&ticket).is_err());
        assert!(is_empty(&tickets));
    }

    #[test]
    fn tickets_of_a_credential_are_void_with_it() {
        let tickets = Tickets::default();
        let (of_alice, of_bob) = (put(&tickets, terms("alice")), put(&tickets, terms("bob")));
        assert_eq!(tickets.forget(|credential| &*credential.name == "alice", |_| false), 1);
        assert!(tickets.redeem(&of_alice).is_err());
        let name = ticket_name(&of_bob);
        assert_eq!(tickets.forget(|_| false, |ticket| *ticket == *name), 1);
        assert!(tickets.redeem(&of_bob).is_err());
        assert!(is_empty(&tickets));
    }

    #[test]
    fn nothing_that_is_printed_of_tickets_has_one() {
        let tickets = Tickets::default();
        let ticket = put(&tickets, terms("alice"));
        let printed = format!("{tickets:?} {:?}", tickets.redeem(&ticket).unwrap());
        assert!(!printed.contains(&ticket[4..]), "{printed}");
    }
}
