//! What an operator grants a plugin at a backend: the one check of every revision, whoever writes it.
//!
//! The first revision takes over what the manifest asks for. From then on a manifest that asks for more is not activated until the
//! operator repeats what it asks for.

use super::Error;
use crate::model::{Ask, Asks, Granted, Manifest, More, Revision, covers};

/// What the operator says about a plugin's asks.
#[derive(Debug, Clone, Default)]
pub struct Granting {
    pub requests: Requests,
    /// What the plugin asks for beyond the revision before, in the words of [`More`].
    pub more: Vec<String>,
}

/// How far requests go.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Requests {
    /// All that the manifest asks for.
    #[default]
    All,
    /// Only these, each of them asked for.
    Only(Vec<Ask>),
    /// As far as in the revision before, and what is granted anew.
    AsBefore,
}

/// What the next revision grants. `newest`: the backend's revision until now.
pub(super) fn granted(manifest: &Manifest, newest: Option<&Revision>, said: Granting) -> Result<Granted, Error> {
    let asks = Asks::of(manifest);
    let more = beyond(&asks, newest);
    let open: Vec<_> = more.iter().map(ToString::to_string).filter(|line| !said.more.contains(line)).collect();
    if !open.is_empty() {
        return Err(Error::AsksMore { plugin: manifest.title(), more: open });
    }
    let requests = match said.requests {
        Requests::All => None,
        Requests::Only(requests) => {
            for ask in &requests {
                ask.check("requests")?;
                if !covers(&asks.requests, ask) {
                    let message = format!("{} does not ask for {ask}", manifest.title());
                    return Err(Error::Refused { code: "request-not-asked", message });
                }
            }
            Some(requests)
        }
        Requests::AsBefore => {
            let before = newest.and_then(|revision| revision.granted.as_ref()?.requests.clone());
            let anew = more.into_iter().filter_map(|more| if let More::Request(ask) = more { Some(ask) } else { None });
            before.map(|before| before.into_iter().chain(anew).collect())
        }
    };
    Ok(Granted { asks, requests })
}

/// What a manifest asks for beyond what the backend's newest revision granted. A revision that was written before plugins asked is not
/// compared with: the next one freezes what is asked then.
pub(super) fn beyond(asks: &Asks, newest: Option<&Revision>) -> Vec<More> {
    let granted = newest.and_then(|revision| revision.granted.as_ref());
    granted.map(|granted| asks.beyond(&granted.asks)).unwrap_or_default()
}

/// What a revision takes over that has none before it to be compared with: all that it grants, in the words of [`More`].
pub(super) fn taken_over(granted: &Granted) -> Vec<More> {
    let requests = granted.requests.clone().unwrap_or_else(|| granted.asks.requests.clone());
    Asks { requests, ..granted.asks.clone() }.beyond(&Asks::default())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;
    use crate::model::{Budgets, Digest, Name, RevisionId, SweepPolicy};

    fn ask(method: &str, path: &str) -> Ask {
        Ask { endpoint: "far".into(), methods: vec![method.into()], path: path.into() }
    }

    fn manifest(requests: &[Ask]) -> Manifest {
        let manifest = json!({
            "name": "p", "version": "0.1.0", "vendor": "v", "description": "d", "settings": {},
            "endpoints": {"far": {"description": "d"}}, "requests": requests
        });
        Manifest::parse(manifest.to_string().as_bytes()).unwrap()
    }

    fn revision(granted: Option<Granted>) -> Revision {
        Revision {
            id: RevisionId(1),
            backend: Name::parse("name", "pod-a").unwrap(),
            digest: Digest::of(b""),
            settings: serde_json::Map::new(),
            endpoints: Default::default(),
            access: None,
            grants: Vec::new(),
            sweep: SweepPolicy::default(),
            budgets: Budgets::default(),
            projects: crate::model::Projects::default(),
            granted,
            limits: crate::model::Limits::default(),
        }
    }

    fn said(requests: Requests, more: &[&str]) -> Granting {
        Granting { requests, more: more.iter().map(|line| (*line).to_owned()).collect() }
    }

    #[test]
    fn the_first_revision_takes_over_what_is_asked_for() {
        let manifest = manifest(&[ask("GET", "/v1/**")]);
        let granted = granted(&manifest, None, Granting::default()).unwrap();
        assert_eq!(granted, Granted { asks: Asks::of(&manifest), requests: None });
    }

    #[test]
    fn more_than_was_granted_is_refused_until_every_line_is_repeated() {
        let old = granted(&manifest(&[ask("GET", "/v1/**")]), None, Granting::default()).unwrap();
        let newest = revision(Some(old));
        let grown = manifest(&[ask("GET", "/v1/**"), ask("POST", "/v1/nodes"), ask("DELETE", "/v1/nodes/*")]);
        let (post, delete) = ("request POST http://far/v1/nodes", "request DELETE http://far/v1/nodes/*");
        let open = |lines: &[&str]| match granted(&grown, Some(&newest), said(Requests::AsBefore, lines)) {
            Err(Error::AsksMore { more, .. }) => more,
            Ok(granted) => {
                assert_eq!(granted.asks, Asks::of(&grown));
                Vec::new()
            }
            Err(error) => panic!("{error}"),
        };
        assert_eq!(open(&[]), [post, delete]);
        assert_eq!(open(&[post, "request *"]), [delete]);
        assert!(open(&[delete, post]).is_empty());
    }

    #[test]
    fn a_revision_from_before_plugins_asked_is_not_compared_with() {
        let granted = granted(&manifest(&[ask("GET", "/v1/**")]), Some(&revision(None)), Granting::default());
        assert!(granted.is_ok());
    }

    #[test]
    fn what_the_first_revision_takes_over_is_told_thing_by_thing_as_far_as_it_is_granted() {
        let manifest = manifest(&[ask("GET", "/v1/**"), ask("POST", "/v1/nodes")]);
        let told = |requests| -> Vec<String> {
            let granted = granted(&manifest, None, said(requests, &[])).unwrap();
            taken_over(&granted).iter().map(ToString::to_string).collect()
        };
        let whole = ["endpoint far", "request GET http://far/v1/**", "request POST http://far/v1/nodes"];
        assert_eq!(told(Requests::All), whole);
        assert_eq!(
            told(Requests::Only(vec![ask("GET", "/v1/nodes")])),
            ["endpoint far", "request GET http://far/v1/nodes"]
        );
    }

    #[test]
    fn an_operator_grants_less_but_not_more_than_is_asked_for() {
        let manifest = manifest(&[ask("GET", "/v1/**")]);
        let only = |ask: Ask| granted(&manifest, None, said(Requests::Only(vec![ask]), &[])).map(|it| it.requests);
        assert_eq!(only(ask("GET", "/v1/nodes")).unwrap(), Some(vec![ask("GET", "/v1/nodes")]));
        for wider in [ask("GET", "/**"), ask("POST", "/v1/nodes"), Ask { endpoint: "b".into(), ..ask("GET", "/v1/x") }]
        {
            let refused = only(wider).unwrap_err();
            assert!(matches!(refused, Error::Refused { code: "request-not-asked", .. }), "{refused}");
        }
        assert!(matches!(only(ask("GET", "v1")), Err(Error::Invalid(_))));
    }

    #[test]
    fn a_swap_keeps_what_the_operator_left_out_left_out() {
        let narrow = Granted {
            requests: Some(vec![ask("GET", "/v1/nodes")]),
            asks: Asks::of(&manifest(&[ask("GET", "/v1/**")])),
        };
        let newest = revision(Some(narrow));
        let swap = |requests: &[Ask], more: &[&str]| {
            granted(&manifest(requests), Some(&newest), said(Requests::AsBefore, more)).unwrap().requests.unwrap()
        };
        assert_eq!(swap(&[ask("GET", "/v1/**")], &[]), [ask("GET", "/v1/nodes")]);
        let grown = [ask("GET", "/v1/**"), ask("POST", "/v1/nodes")];
        let both = swap(&grown, &["request POST http://far/v1/nodes"]);
        assert_eq!(both, [ask("GET", "/v1/nodes"), ask("POST", "/v1/nodes")]);
    }
}
