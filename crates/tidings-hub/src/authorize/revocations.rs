//! Credentials that were revoked before their end.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::SystemTime,
};

use super::{
    Credential, CredentialKind,
    api_keys::{API_KEY_ISSUER, is_api_key_id},
    revocation_list::{Entry, InvalidList, List},
};

/// How many revocations a hub keeps.
const MAX_REVOCATIONS: usize = 100_000;

/// How many of these places sessions that end leave free: an administrator can still revoke.
const NOT_FOR_SESSIONS: usize = 1_000;

/// The credentials that a revocation hits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Target {
    /// The token with this ID (`jti`), of one issuer or of each. The issuer without a name is the empty text.
    Token { id: Box<str>, issuer: Option<Box<str>> },
    /// All tokens of a subject, of one issuer or of each.
    Subject { name: Box<str>, issuer: Option<Box<str>> },
    /// All tokens of an issuer.
    Issuer(Box<str>),
    /// The API key with this ID.
    ApiKey(Box<str>),
    /// The ticket with this name.
    Ticket(Box<str>),
}

/// As in the request for it: `sub alice`.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Token { id, issuer: None } => write!(f, "jti {id}"),
            Target::Token { id, issuer: Some(issuer) } => write!(f, "jti {id}, iss {issuer}"),
            Target::Subject { name, issuer: None } => write!(f, "sub {name}"),
            Target::Subject { name, issuer: Some(issuer) } => write!(f, "sub {name}, iss {issuer}"),
            Target::Issuer(name) => write!(f, "iss {name}"),
            Target::ApiKey(id) => write!(f, "key {id}"),
            Target::Ticket(name) => write!(f, "ticket {name}"),
        }
    }
}

impl Target {
    /// Whether it could be for an API key, which may hold for ever.
    pub(super) fn may_hit_api_key(&self) -> bool {
        match self {
            Target::ApiKey(_) => true,
            Target::Subject { name, issuer } => {
                is_api_key_id(name) && issuer.as_deref().is_none_or(|issuer| issuer == API_KEY_ISSUER)
            }
            Target::Token { .. } | Target::Issuer(_) | Target::Ticket(_) => false,
        }
    }
}

/// A revocation as somebody asks for it.
#[derive(Debug, Clone)]
pub(crate) struct RevocationRequest {
    pub(crate) target: Target,
    /// Hits credentials that were issued before this, or that do not say when. `None` hits all.
    pub(crate) issued_before: Option<SystemTime>,
    /// When nothing can be hit any more, because all such credentials have expired; `None` if there is no such time.
    pub(crate) until: Option<SystemTime>,
    pub(crate) reason: Option<Box<str>>,
}

/// A revocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Revocation {
    /// Its own ID, with which it is taken back.
    pub(crate) id: Box<str>,
    pub(crate) target: Target,
    pub(crate) issued_before: Option<SystemTime>,
    pub(crate) until: Option<SystemTime>,
    pub(crate) reason: Option<Box<str>>,
    pub(crate) made: SystemTime,
}

/// A revocation that could not be made, or not be taken back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotRevoked {
    /// The list is full.
    #[error(
        "{MAX_REVOCATIONS} revocations are kept, as many as may be; revoke all tokens of an issuer instead, or take back \
         revocations that are not needed any more (DELETE /revocations/ID)"
    )]
    Full,
    /// The list cannot be written.
    #[error(
        "the list of revocations cannot be written, so nothing was revoked; look at the disk, and try again"
    )]
    Disk(#[from] std::io::Error),
}

/// The revocations of a hub: in memory, and in a file of its own beside the log.
///
/// To look whether a credential is hit takes the same time, however many there are.
pub(crate) struct Revocations {
    /// `None` if they end with the process. It is locked while something is written, and for as long as the disk takes.
    list: Mutex<Option<List>>,
    /// Changed by the holder of `list` alone, and read by all.
    kept: RwLock<Kept>,
}

#[derive(Default)]
struct Kept {
    by_target: HashMap<Target, Revocation>,
    by_id: HashMap<Box<str>, Target>,
    ends: BTreeSet<(SystemTime, Box<str>)>,
}

impl Revocations {
    /// Those that end with the process.
    pub(crate) fn in_memory() -> Revocations {
        Revocations { list: Mutex::new(None), kept: RwLock::default() }
    }

    /// Those in the file of a directory. The file is made with the first revocation.
    ///
    /// # Errors
    /// A file that cannot be read. To go on without it would let revoked credentials in.
    pub(crate) fn open(directory: &Path) -> Result<Revocations, InvalidList> {
        let (list, entries) = List::open(directory)?;
        let mut kept = Kept::default();
        for entry in entries {
            match entry {
                Entry::Made(revocation) => kept.insert(revocation),
                Entry::TakenBack(id) => drop(kept.remove(&id)),
            }
        }
        kept.sweep(SystemTime::now());
        Ok(Revocations { list: Mutex::new(Some(list)), kept: RwLock::new(kept) })
    }

    /// Whether they outlive the process.
    pub(crate) fn are_durable(&self) -> bool {
        self.lock_list().is_some()
    }

    /// Revokes; returns when that is on the disk. A target that is revoked already keeps its ID, and the later of both times
    /// counts.
    ///
    /// It waits for the disk, so it is to be called where a thread may wait.
    ///
    /// # Errors
    /// [`NotRevoked`]; then nothing is revoked.
    pub(crate) fn revoke(&self, request: RevocationRequest) -> Result<Revocation, NotRevoked> {
        self.revoke_up_to(MAX_REVOCATIONS, request)
    }

    /// The same for the token of a session that ends. The last 1,000 places of the list are not for these.
    ///
    /// # Errors
    /// [`NotRevoked`]; then nothing is revoked.
    pub(crate) fn log_out(&self, request: RevocationRequest) -> Result<Revocation, NotRevoked> {
        self.revoke_up_to(MAX_REVOCATIONS - NOT_FOR_SESSIONS, request)
    }

    fn revoke_up_to(&self, most: usize, request: RevocationRequest) -> Result<Revocation, NotRevoked> {
        let mut list = self.lock_list();
        let now = SystemTime::now();
        let RevocationRequest { target, issued_before, until, reason } = request;
        let mut revocation = Revocation { id: new_id()?, target, issued_before, until, reason, made: now };
        let live = {
            let mut kept = self.write();
            kept.sweep(now);
            match kept.by_target.get(&revocation.target) {
                Some(earlier) => revocation.extend(earlier),
                None if kept.by_target.len() >= most => return Err(NotRevoked::Full),
                None => {}
            }
            kept.by_target.len()
        };
        if let Some(list) = &mut *list {
            list.append(&Entry::Made(revocation.clone()))?;
        }
        self.write().insert(revocation.clone());
        self.shrink(&mut list, live);
        Ok(revocation)
    }

    /// Takes a revocation back; `None` if there is none of this ID. Streams that it has ended stay ended.
    ///
    /// # Errors
    /// When the file cannot be written; then it still holds.
    pub(crate) fn take_back(&self, id: &str) -> Result<Option<Revocation>, NotRevoked> {
        let mut list = self.lock_list();
        let live = {
            let mut kept = self.write();
            kept.sweep(SystemTime::now());
            if !kept.by_id.contains_key(id) {
                return Ok(None);
            }
            kept.by_target.len()
        };
        if let Some(list) = &mut *list {
            list.append(&Entry::TakenBack(id.into()))?;
        }
        let taken_back = self.write().remove(id);
        self.shrink(&mut list, live);
        Ok(taken_back)
    }

    /// All of them, the newest first.
    pub(crate) fn all(&self) -> Vec<Revocation> {
        let now = SystemTime::now();
        let kept = self.read();
        let holds = |revocation: &&Revocation| revocation.until.is_none_or(|until| until > now);
        let mut all: Vec<_> = kept.by_target.values().filter(holds).cloned().collect();
        drop(kept);
        all.sort_by(|one, other| (other.made, &other.id).cmp(&(one.made, &one.id)));
        all
    }

    /// The revocation that hits a credential.
    pub(crate) fn hitting(&self, credential: &Credential) -> Option<Revocation> {
        let kept = self.read();
        if kept.by_target.is_empty() {
            return None;
        }
        let hits = |target: &Target| kept.by_target.get(target).filter(|it| it.is_of_time(credential));
        targets(credential).iter().find_map(hits).cloned()
    }

    /// Writes the file anew once most of its lines count no more.
    fn shrink(&self, list: &mut Option<List>, live: usize) {
        let Some(list) = list.as_mut().filter(|list| list.lines() > 2 * live + 1_000) else { return };
        let kept: Vec<_> = self.read().by_target.values().cloned().map(Entry::Made).collect();
        // Nothing is lost: the next change tries again.
        if let Err(error) = list.rewrite(&kept) {
            tracing::warn!(%error, "the list of revocations cannot be written anew; it stays longer than it need be");
        }
    }

    fn lock_list(&self) -> MutexGuard<'_, Option<List>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> RwLockReadGuard<'_, Kept> {
        self.kept.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Kept> {
        self.kept.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn insert(&mut self, revocation: Revocation) {
        if let Some(earlier) = self.by_target.get(&revocation.target) {
            let id = earlier.id.clone();
            self.remove(&id);
        }
        if let Some(until) = revocation.until {
            self.ends.insert((until, revocation.id.clone()));
        }
        self.by_id.insert(revocation.id.clone(), revocation.target.clone());
        self.by_target.insert(revocation.target.clone(), revocation);
    }

    fn remove(&mut self, id: &str) -> Option<Revocation> {
        let target = self.by_id.remove(id)?;
        let revocation = self.by_target.remove(&target)?;
        if let Some(until) = revocation.until {
            self.ends.remove(&(until, revocation.id.clone()));
        }
        Some(revocation)
    }

    /// Forgets those that can hit nothing any more.
    fn sweep(&mut self, now: SystemTime) {
        while let Some((_, id)) = self.ends.first().filter(|(until, _)| *until <= now).cloned() {
            self.remove(&id);
        }
    }
}

impl Revocation {
    /// Makes it hit all that an earlier one of the same target hits, under the ID of that.
    fn extend(&mut self, earlier: &Revocation) {
        // None is later than each time.
        let later = |one: Option<SystemTime>, other: Option<SystemTime>| Some(one?.max(other?));
        self.id.clone_from(&earlier.id);
        self.issued_before = later(self.issued_before, earlier.issued_before);
        self.until = later(self.until, earlier.until);
        self.reason = self.reason.take().or_else(|| earlier.reason.clone());
    }

    /// Whether it hits a credential that it names.
    fn is_of_time(&self, credential: &Credential) -> bool {
        match (self.issued_before, credential.issued_at) {
            (None, _) | (_, None) => true,
            // The time in a token has whole seconds, so one of the same second may be from before.
            (Some(before), Some(issued)) => issued <= before,
        }
    }

    /// Whether it names this ticket.
    pub(crate) fn is_of_ticket(&self, name: &str) -> bool {
        matches!(&self.target, Target::Ticket(own) if **own == *name)
    }

    /// Whether it hits this credential.
    pub(crate) fn hits(&self, credential: &Credential) -> bool {
        targets(credential).contains(&self.target) && self.is_of_time(credential)
    }
}

/// The targets that a credential is one of.
fn targets(credential: &Credential) -> Vec<Target> {
    let Credential { name, kind, subject, issuer, token_id, .. } = credential;
    let mut targets = Vec::with_capacity(6);
    match kind {
        CredentialKind::Token => {}
        CredentialKind::ApiKey => targets.push(Target::ApiKey(name.clone())),
        CredentialKind::Ticket => targets.push(Target::Ticket(name.clone())),
    }
    if let Some(id) = token_id.clone() {
        let own = Some(issuer.clone().unwrap_or_default());
        targets.push(Target::Token { id: id.clone(), issuer: own });
        targets.push(Target::Token { id, issuer: None });
    }
    if let Some(subject) = subject {
        let name: Box<str> = subject.name().into();
        targets.push(Target::Subject { name: name.clone(), issuer: Some(subject.issuer().into()) });
        targets.push(Target::Subject { name, issuer: None });
    }
    targets.extend(issuer.clone().map(Target::Issuer));
    targets
}

fn new_id() -> Result<Box<str>, NotRevoked> {
    let mut bits = [0; 8];
    getrandom::fill(&mut bits).map_err(|error| std::io::Error::other(error.to_string()))?;
    Ok(format!("{:016x}", u64::from_be_bytes(bits)).into())
}

impl fmt::Debug for Revocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revocations").field("count", &self.read().by_target.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::Map;

    use super::*;
    use crate::Subject;

    fn credential(kind: CredentialKind, name: &str) -> Credential {
        Credential {
            name: name.into(),
            kind,
            subject: Some(Subject::new("https://app.example", "alice")),
            issuer: Some("https://app.example".into()),
            token_id: (kind == CredentialKind::Token).then(|| name.into()),
            issued_at: Some(at(1_000)),
            expires: None,
            claims: Map::new(),
            keys: 0,
        }
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn revoke(revocations: &Revocations, target: Target, issued_before: Option<SystemTime>) -> Revocation {
        revocations.revoke(RevocationRequest { target, issued_before, until: None, reason: None }).unwrap()
    }

    fn subject(issuer: Option<&str>) -> Target {
        Target::Subject { name: "alice".into(), issuer: issuer.map(Into::into) }
    }

    fn token_of(id: &str, issuer: Option<&str>) -> Target {
        Target::Token { id: id.into(), issuer: issuer.map(Into::into) }
    }

    #[test]
    fn sessions_that_end_leave_the_last_thousand_places_to_administrators() {
        let revocations = Revocations::in_memory();
        let request = |number: usize| RevocationRequest {
            target: Target::Token { id: number.to_string().into(), issuer: None },
            issued_before: None,
            until: None,
            reason: None,
        };
        for number in 0..MAX_REVOCATIONS - 1_000 {
            revocations.log_out(request(number)).unwrap();
        }
        assert!(matches!(revocations.log_out(request(MAX_REVOCATIONS)), Err(NotRevoked::Full)));
        revocations.log_out(request(0)).unwrap();
        revocations.revoke(request(MAX_REVOCATIONS)).unwrap();
    }

    #[test]
    fn a_revocation_hits_the_credentials_that_it_names_and_no_others() {
        let token = credential(CredentialKind::Token, "t1");
        let key = credential(CredentialKind::ApiKey, "k1");
        let ticket = credential(CredentialKind::Ticket, "c1");
        let all = [&token, &key, &ticket];
        for (target, expected) in [
            (token_of("t1", None), [true, false, false]),
            (token_of("t1", Some("https://app.example")), [true, false, false]),
            (token_of("t1", Some("https://other.example")), [false; 3]),
            (token_of("t1", Some("")), [false; 3]),
            (token_of("k1", None), [false; 3]),
            (Target::ApiKey("k1".into()), [false, true, false]),
            (Target::Ticket("c1".into()), [false, false, true]),
            (subject(None), [true; 3]),
            (subject(Some("https://app.example")), [true; 3]),
            (subject(Some("https://other.example")), [false; 3]),
            (subject(Some("")), [false; 3]),
            (Target::Issuer("https://app.example".into()), [true; 3]),
            (Target::Issuer("https://other.example".into()), [false; 3]),
        ] {
            let revocations = Revocations::in_memory();
            let revocation = revoke(&revocations, target.clone(), None);
            let hit = all.map(|credential| revocations.hitting(credential).is_some());
            assert_eq!(hit, expected, "{target:?}");
            assert_eq!(all.map(|credential| revocation.hits(credential)), expected, "{target:?}");
            assert_eq!(revocations.take_back(&revocation.id).unwrap(), Some(revocation));
            assert!(revocations.hitting(&token).is_none());
        }
    }

    #[test]
    fn a_credential_that_was_issued_after_the_time_of_a_revocation_is_not_hit() {
        let issued = |time| Credential { issued_at: time, ..credential(CredentialKind::Token, "t1") };
        let revocations = Revocations::in_memory();
        revoke(&revocations, subject(None), Some(at(2_000)));
        assert!(revocations.hitting(&issued(Some(at(1_999)))).is_some());
        assert!(revocations.hitting(&issued(Some(at(2_000)))).is_some(), "the same second");
        assert!(revocations.hitting(&issued(Some(at(2_001)))).is_none());
        assert!(revocations.hitting(&issued(None)).is_some(), "it does not say when");
    }

    #[test]
    fn a_target_that_is_revoked_again_keeps_its_id_and_the_later_time() {
        let revocations = Revocations::in_memory();
        let first = revoke(&revocations, subject(None), Some(at(2_000)));
        let second = revoke(&revocations, subject(None), Some(at(1_000)));
        assert_eq!((&first.id, second.issued_before), (&second.id, Some(at(2_000))));
        let third = revoke(&revocations, subject(None), None);
        assert_eq!(third.issued_before, None);
        assert_eq!(revocations.all(), [third]);
    }

    #[test]
    fn a_revocation_is_forgotten_when_nothing_can_be_hit_any_more() {
        let revocations = Revocations::in_memory();
        let until = |until| RevocationRequest {
            target: token_of("t1", None),
            issued_before: None,
            until: Some(until),
            reason: Some("left".into()),
        };
        revocations.revoke(until(SystemTime::now())).unwrap();
        assert_eq!(revocations.all(), []);
        revocations.revoke(until(SystemTime::now() + Duration::from_secs(60))).unwrap();
        assert_eq!(revocations.all().len(), 1);
    }

    #[test]
    fn revocations_hold_after_a_restart_and_those_that_were_taken_back_do_not() {
        let directory = tempfile::tempdir().unwrap();
        let open = || Revocations::open(directory.path()).unwrap();
        let revocations = open();
        assert!(revocations.are_durable() && !Revocations::in_memory().are_durable());
        let kept = revoke(&revocations, subject(None), Some(at(2_000)));
        let taken_back = revoke(&revocations, token_of("t1", None), None);
        let all = [
            token_of("t2", Some("")),
            Target::Issuer("i".into()),
            Target::ApiKey("k".into()),
            Target::Ticket("c".into()),
            subject(Some("é\n\"")),
        ];
        let mut expected: Vec<_> = all.map(|target| revoke(&revocations, target, None)).into();
        expected.push(kept);
        revocations.take_back(&taken_back.id).unwrap();
        drop(revocations);
        let mut found = open().all();
        found.sort_by(|one, other| one.target.cmp(&other.target));
        expected.sort_by(|one, other| one.target.cmp(&other.target));
        // The file has milliseconds.
        for (found, expected) in found.iter_mut().zip(&expected) {
            found.made = expected.made;
        }
        assert_eq!(found, expected);
    }

    #[test]
    fn the_file_shrinks_when_most_of_it_is_over() {
        let directory = tempfile::tempdir().unwrap();
        let revocations = Revocations::open(directory.path()).unwrap();
        for number in 0..3_000 {
            let revocation = revoke(&revocations, token_of(&number.to_string(), None), None);
            if number % 100 != 0 {
                revocations.take_back(&revocation.id).unwrap();
            }
        }
        let lines = revocations.lock_list().as_ref().unwrap().lines();
        assert!(lines < 1_200, "{lines} lines");
        drop(revocations);
        assert_eq!(Revocations::open(directory.path()).unwrap().all().len(), 30);
    }
}
