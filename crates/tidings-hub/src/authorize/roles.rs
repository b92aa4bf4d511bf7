//! Rights for claims that an identity provider has made, which knows nothing of topics.

use serde_json::Value;

use super::{Credential, Limits, Rights, Template, claim};
use crate::Matchers;

/// Allows the holders of tokens with some claim something.
#[derive(Debug, Clone)]
pub(crate) struct Role {
    /// The name of the claim, or the path of one within others, such as `/realm_access/roles`.
    pub(crate) claim: Box<str>,
    /// The text that the claim is, or that it has among others.
    pub(crate) has: Box<str>,
    pub(crate) publish: Vec<Template>,
    /// With private updates.
    pub(crate) read: Vec<Template>,
    pub(crate) rights: Rights,
    pub(crate) limits: Limits,
}

/// All that the roles of a holder allow together.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Allowed {
    pub(crate) publish: Matchers,
    pub(crate) read: Matchers,
    pub(crate) rights: Rights,
    pub(crate) limits: Limits,
}

impl Role {
    /// Whether the holder of a credential has the role.
    fn is_of(&self, holder: &Credential) -> bool {
        // In these claims a space stands between several (RFC 8693, section 4.2). In another one, a text with this word may say
        // something else.
        let has_words = ["scope", "scp"].contains(&&*self.claim);
        match claim(holder, &self.claim) {
            Some(Value::String(words)) if has_words => words.split(' ').any(|word| *word == *self.has),
            Some(Value::String(text)) => **text == *self.has,
            Some(Value::Array(several)) => several.iter().any(|one| one.as_str() == Some(&*self.has)),
            _ => false,
        }
    }
}

/// The rights that `roles` give to the holder of a credential.
pub(crate) fn allowed_by_roles(roles: &[Role], holder: &Credential) -> Allowed {
    let own = roles.iter().filter(|role| role.is_of(holder));
    own.fold(Allowed::default(), |allowed, role| {
        let fill = |topics: &[Template]| topics.iter().filter_map(|topic| topic.fill(Some(holder))).collect();
        Allowed {
            publish: allowed.publish.union(&fill(&role.publish)),
            read: allowed.read.union(&fill(&role.read)),
            rights: allowed.rights.union(role.rights),
            limits: allowed.limits.and(role.limits),
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::authorize::{Right, rules::holder};

    fn role(claim: &str, has: &str, publish: &str) -> Role {
        Role {
            claim: claim.into(),
            has: has.into(),
            publish: vec![publish.parse().unwrap()],
            read: vec!["users/{sub}/*".parse().unwrap()],
            rights: [Right::Subscribers].into_iter().collect(),
            limits: Limits { streams: Some(5), ..Limits::default() },
        }
    }

    #[test]
    fn a_role_is_a_text_or_among_several() {
        let claims = json!({
            "role": "staff",
            "roles": ["user", "staff", 7],
            "scope": "openid topics:write",
            "title": "not staff",
            "realm_access": { "roles": ["staff"] },
            "https://app.example/roles": ["staff"],
            "number": 7,
        });
        let alice = holder("alice", claims);
        for (claim, has, is_of) in [
            ("role", "staff", true),
            ("role", "sta", false),
            ("roles", "staff", true),
            ("roles", "admin", false),
            ("roles", "7", false),
            ("scope", "topics:write", true),
            ("scope", "openid topics:write", false),
            ("title", "staff", false),
            ("scope", "topics", false),
            ("/realm_access/roles", "staff", true),
            ("realm_access", "staff", false),
            ("https://app.example/roles", "staff", true),
            ("number", "7", false),
            ("missing", "", false),
        ] {
            let allowed = allowed_by_roles(&[role(claim, has, "a")], &alice);
            assert_eq!(!allowed.publish.is_none(), is_of, "{claim} {has}");
        }
    }

    #[test]
    fn roles_add_up_and_the_smallest_limit_counts() {
        let alice = holder("alice", json!({ "roles": ["staff", "admin"] }));
        let roles = [
            Role { limits: Limits { streams: Some(9), ..Limits::default() }, ..role("roles", "staff", "a") },
            Role { rights: [Right::Admin].into_iter().collect(), ..role("roles", "admin", "t/{sub}") },
            role("roles", "owner", "*"),
        ];
        let expected = Allowed {
            publish: Matchers::parse(["a", "t/alice"]).unwrap(),
            read: Matchers::parse(["users/alice/*"]).unwrap(),
            rights: [Right::Subscribers, Right::Admin].into_iter().collect(),
            limits: Limits { streams: Some(5), ..Limits::default() },
        };
        assert_eq!(allowed_by_roles(&roles, &alice), expected);
        assert_eq!(allowed_by_roles(&roles, &holder("bob", json!({}))), Allowed::default());
    }
}
