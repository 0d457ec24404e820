//! Whatever bytes come in: manifests, plugin files, components, bodies with placeholders, paths, sealed checkpoints. A seed and a corpus of small
//! files (`tests/fuzz/corpus/TARGET`), turned and spliced (`inputs.rs`); each target says what must hold of any input.
//!
//! A short round is one of the library's tests; `cargo xtask fuzz` makes long ones. `tests/fuzz/README.md` has what they reach and found.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod inputs;

use std::sync::{Arc, LazyLock};

use http::header::{HeaderMap, HeaderValue};
use serde_json::Value as Json;
use wasmtime::Engine;
use wasmtime::component::{Component, Linker};

use super::places::{Open, Places, With};
use super::url::Base;
use super::{At, Echoes, headers};
use crate::driver::limits::State;
use crate::driver::secrets::Secret;
use crate::driver::sessions::Ring;
use crate::driver::{Plugin, PluginState, Vault, engine, kept, load, manifest, weight};
use crate::model::{Asks, Characters, Digest, Manifest, Place, Value};
use crate::seal::Master;

/// Panics when something does not hold. True: the input was of the kind that the target is about.
type Target = fn(&[u8]) -> bool;

const TARGETS: [(&str, Target); 6] = [
    ("manifest", a_manifest),
    ("packed", a_packed_plugin),
    ("component", a_component),
    ("placeholder", a_body),
    ("path", a_path),
    ("checkpoint", a_checkpoint),
];

#[test]
fn no_input_breaks_what_reads_it() {
    let seconds = std::env::var("MOGANITE_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let only = std::env::var("MOGANITE_FUZZ_ONLY").ok();
    for (name, target) in TARGETS.iter().filter(|(name, _)| only.as_deref().is_none_or(|only| only == *name)) {
        let corpus = inputs::corpus(name);
        assert!(!corpus.is_empty(), "no corpus for {name}");
        let taken = corpus.iter().filter(|one| target(one)).count();
        assert!(taken > 0, "no file of the corpus for {name} is of its kind");
        let files = corpus.len();
        let [tries, taken, new] = inputs::round(name, *target, corpus, seconds);
        println!("fuzz {name}: {files} files, {tries} inputs, {taken} of its kind, {new} reached something new");
    }
}

/// What is read is whole, is read again as the same, and asks for nothing beyond itself.
fn a_manifest(bytes: &[u8]) -> bool {
    let Ok(manifest) = Manifest::parse(bytes) else { return false };
    let again = serde_json::to_vec(&manifest).expect("a manifest can be written");
    assert_eq!(Manifest::parse(&again).as_ref(), Ok(&manifest));
    assert!(manifest.title().len() < 200 && !manifest.title().contains(char::is_control));
    let asks = Asks::of(&manifest);
    let more: Vec<String> = asks.beyond(&asks).iter().map(ToString::to_string).collect();
    assert_eq!(more, Vec::<String>::new());
    // Beside one that asked for nothing each ask is a line of its own.
    let all: Vec<String> = asks.beyond(&Asks::default()).iter().map(ToString::to_string).collect();
    assert!(all.len() >= manifest.requests.len().min(1) && all.iter().all(|line| !line.is_empty()), "{all:?}");
    assert!(manifest.places.iter().filter_map(|place| place.characters.as_ref()).all(|class| class.allow("")));
    true
}

/// Its sections are the file, each byte once; packed anew it has the new manifest and no other.
fn a_packed_plugin(bytes: &[u8]) -> bool {
    const TOML: &str = "name = 'n'\nversion = '0.0.1'\nvendor = 'v'\ndescription = 'd'\n[settings]\n";
    if let Ok(sections) = manifest::sections(bytes) {
        let end = sections.iter().fold(8, |at, section| {
            assert_eq!(section.at.start, at);
            section.at.end
        });
        assert_eq!(end, bytes.len());
        let packed =
            manifest::pack(bytes, TOML, std::path::Path::new(".")).expect("whatever has sections can be packed");
        assert_eq!(manifest::read(&packed).map(|manifest| manifest.title()), Ok("n@0.0.1".to_owned()));
    }
    weight::check(bytes).ok();
    manifest::read(bytes).is_ok()
}

/// The compiler says yes or no, and so does the check of what it made.
fn a_component(bytes: &[u8]) -> bool {
    // One for all: making it costs more than most inputs.
    static ENGINE: LazyLock<(Engine, Linker<State>)> = LazyLock::new(|| {
        let engine = engine::compiling().expect("an engine can be made");
        let linker = engine::linker(&engine).expect("a linker can be made");
        (engine, linker)
    });
    let (engine, linker) = &*ENGINE;
    if weight::check(bytes).is_err() {
        return false;
    }
    let Ok(component) = Component::new(engine, bytes) else { return false };
    if let Ok(loaded) = load::load(linker, &component) {
        assert!(loaded.driver().is_ok(), "what is loaded can be probed");
    }
    true
}

const PASSWORD: &str = "c4nary\"pass\\word";
const USER: &str = "c4nary-user";
const TOKEN: &str = "c4nary-token";

/// The places of one driver: a password, names in a list, and a session, in the body and in a header.
fn places(secret: Arc<Secret>) -> Places {
    let place = Place {
        name: "p".into(),
        endpoint: "far".into(),
        methods: vec!["POST".into()],
        path: "/keep".into(),
        pointer: Some("/password".into()),
        header: None,
        value: Value::AccessPassword,
        characters: None,
    };
    let name = Place {
        pointer: Some("/list/*/user".into()),
        value: Value::AccessUsername,
        characters: Characters::parse("[a-z0-9\\-]").ok(),
        ..place.clone()
    };
    let token = Place { pointer: Some("/token".into()), value: Value::Session("token".into()), ..place.clone() };
    let header = Place { pointer: None, header: Some("X-Auth-Token".into()), ..token.clone() };
    let with = |place, with| Open { place, with };
    Places(vec![
        with(place, With::Secret(secret)),
        with(name, With::Text(USER.into())),
        with(token, With::Session("token".into())),
        with(header, With::Session("token".into())),
    ])
}

/// A secret goes to its places, and what comes back has it no more.
fn a_body(bytes: &[u8]) -> bool {
    let secret = Arc::new(Secret::of(PASSWORD));
    let mut echoes = Echoes::default();
    echoes.add(secret.clone(), "{{access.password}}".into());
    let hushed = echoes.hush_body(bytes.to_vec());
    assert!(!tells(&hushed), "an answer tells it: {}", String::from_utf8_lossy(&hushed));

    let (places, ring) = (places(secret), Ring::default());
    let at = |path| At { endpoint: "far", method: "POST", path };
    // Nobody has logged in yet.
    places.fill_body(at("/keep"), bytes.to_vec(), &ring).ok();
    ring.put_all(&[("token".to_owned(), Arc::new(Secret::of(TOKEN)))]);
    if let Ok(elsewhere) = places.fill_body(at("/other"), bytes.to_vec(), &ring) {
        assert_eq!(elsewhere, bytes, "another path is another body");
    }
    a_header(&places, at("/keep"), bytes, &ring);
    let Ok(filled) = places.fill_body(at("/keep"), bytes.to_vec(), &ring) else { return false };
    if filled == bytes || tells(bytes) {
        return false;
    }
    let json: Json = serde_json::from_slice(&filled).expect("what was filled is JSON");
    let sent: Json = serde_json::from_slice(bytes).expect("what is filled is JSON");
    let is_there = |pointer: &str, text: &str| match text {
        PASSWORD => pointer == "/password",
        TOKEN => pointer == "/token",
        USER => pointer.starts_with("/list/") && pointer.ends_with("/user") && pointer.split('/').count() == 4,
        _ => false,
    };
    changed(&sent, &json, &mut String::new(), &mut |pointer, text| {
        assert!(is_there(pointer, text), "{text} at {pointer}")
    });
    assert!(!tells(&echoes.hush_body(filled)));
    true
}

/// A header is as the driver wrote it, or has the session's value and nothing beside it.
fn a_header(places: &Places, at: At<'_>, bytes: &[u8], ring: &Ring) {
    let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
    let mut sent = HeaderMap::new();
    sent.insert("x-other", value.clone());
    assert!(
        places.fill_headers(at, &sent, ring).is_ok_and(|filled| filled.is_empty())
            || bytes.contains(&b'{')
            || bytes.contains(&b'%')
            || bytes.contains(&b'\\')
    );
    sent.clear();
    sent.insert("x-auth-token", value);
    if let Ok(filled) = places.fill_headers(at, &sent, ring) {
        assert_eq!(bytes, b"{{session.token}}");
        assert_eq!(filled["x-auth-token"], TOKEN);
    }
}

/// Calls with each text that is not as it was, and where.
fn changed(before: &Json, after: &Json, pointer: &mut String, tell: &mut dyn FnMut(&str, &str)) {
    let length = pointer.len();
    match (before, after) {
        (Json::Array(before), Json::Array(after)) if before.len() == after.len() => {
            for (index, (before, after)) in before.iter().zip(after).enumerate() {
                pointer.push_str(&format!("/{index}"));
                changed(before, after, pointer, tell);
                pointer.truncate(length);
            }
        }
        (Json::Object(before), Json::Object(after)) if before.keys().eq(after.keys()) => {
            for ((key, before), after) in before.iter().zip(after.values()) {
                pointer.push_str(&format!("/{}", key.replace('~', "~0").replace('/', "~1")));
                changed(before, after, pointer, tell);
                pointer.truncate(length);
            }
        }
        _ if before == after => {}
        (_, Json::String(text)) => tell(pointer, text),
        (_, other) => panic!("{other} at {pointer} is no text"),
    }
}

/// As it stands, or in a text of JSON wherever that begins, however it is escaped there.
fn tells(bytes: &[u8]) -> bool {
    let has = |text: &str| text.contains(PASSWORD);
    let texts =
        bytes.iter().enumerate().filter(|(_, byte)| **byte == b'"').filter_map(|(at, _)| {
            serde_json::Deserializer::from_slice(&bytes[at..]).into_iter::<String>().next()?.ok()
        });
    has(&String::from_utf8_lossy(bytes)) || texts.into_iter().any(|text| has(&text))
}

/// A path that is joined stays at the origin and behind the prefix, however it is read; so does a link of an answer. An operator's URL is
/// an origin and a prefix.
fn a_path(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    if let Ok(base) = Base::parse(text) {
        let url = base.join("/x", None).expect("a path of one letter");
        assert!(url.username().is_empty() && url.password().is_none() && url.path().ends_with("/x"));
        assert!(!matches!(url.host_str(), Some("169.254.169.254" | "0.0.0.0")), "{url}");
        assert_eq!(base.is_https(), url.scheme() == "https");
        base.is_loopback();
    }
    let base = Base::parse("http://far.example:8080/prefix").expect("a base");
    let asked = base.join("/asked/for", None).expect("a path");
    if let Some(inward) = base.within(&asked, text) {
        assert!(inward.starts_with('/'), "{inward}");
        let (path, query) = inward.split_once('?').map_or((inward.as_str(), None), |(path, query)| (path, Some(query)));
        if let Ok(url) = base.join(path, query) {
            let mut link = asked.join(text).expect("what led inward is a link");
            link.set_fragment(None);
            assert_eq!(url, link, "a link leads where it led");
        }
    }
    for name in ["location", "link"] {
        let Ok(value) = HeaderValue::from_bytes(bytes) else { continue };
        let answered = headers::incoming(
            &[(name, value)].map(|(name, value)| (name.parse().unwrap(), value)).into_iter().collect(),
            "far",
            &base,
            &asked,
        );
        for value in answered.get_all(name) {
            let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
            let links = text.split('<').skip(usize::from(name == "link"));
            assert!(links.into_iter().all(|link| link.starts_with("http://far/")), "{text}");
        }
    }
    let (path, query) = text.split_once('?').map_or((text, None), |(path, query)| (path, Some(query)));
    let Ok(url) = base.join(path, query) else { return false };
    assert_eq!((url.host_str(), url.port(), url.username()), (Some("far.example"), Some(8080), ""));
    assert_eq!(url.path(), format!("/prefix{path}"), "what was checked is what is sent");
    assert!(url.fragment().is_none() && !url.path().split('/').any(|segment| matches!(segment, "." | "..")));
    true
}

/// Only what was sealed opens, as what it was sealed, for who may read it.
fn a_checkpoint(bytes: &[u8]) -> bool {
    static MASTERS: LazyLock<[Master; 2]> = LazyLock::new(|| {
        let folder = tempfile::tempdir().expect("a folder");
        ["key", "other"].map(|name| Master::make(&folder.path().join(name)).expect("a key"))
    });
    static VAULT: LazyLock<Vault> = LazyLock::new(|| {
        let (sealer, wrapped) = MASTERS[0].new_sealer().expect("a sealer");
        assert!(MASTERS[0].unwrap(&wrapped).is_some() && MASTERS[1].unwrap(&wrapped).is_none());
        Vault::of(sealer.into())
    });
    let vault = &*VAULT;
    assert!(vault.open_as("a checkpoint", bytes).is_err());
    assert!(MASTERS.iter().all(|master| master.unwrap(bytes).is_none() && master.open_old("x", bytes).is_none()));
    assert!(MASTERS[0].rewrap(bytes, &MASTERS[1]).is_none());

    let writer = plugin("one", &["v2", "v1"]);
    let written = kept::labelled(&writer, bytes);
    assert_eq!(kept::readable(&writer, &written).as_deref(), Some(bytes));
    assert_eq!(kept::readable(&plugin("two", &["v3", "v2"]), &written).as_deref(), Some(bytes));
    assert_eq!(kept::readable(&plugin("two", &["v1"]), &written), None);
    if let Some(read) = kept::readable(&plugin("three", &["v2"]), bytes) {
        assert!(!read.is_empty() || bytes.starts_with(b"\0kept\x01"), "nothing is no checkpoint");
        assert!(bytes.ends_with(&read), "a driver gets what stands there");
    }

    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    Master::parse(text);
    let mut sealed = vault.seal_as("a checkpoint", bytes).expect("it can be sealed");
    assert_eq!(vault.open_as("a checkpoint", &sealed).expect("it opens").reveal(), text);
    assert!(vault.open_as("another checkpoint", &sealed).is_err());
    let at = bytes.len() % sealed.len();
    sealed[at] ^= 1;
    assert!(vault.open_as("a checkpoint", &sealed).is_err());
    true
}

fn plugin(content: &str, formats: &[&str]) -> Plugin {
    let manifest = serde_json::json!({
        "name": "p", "version": "0.1.0", "vendor": "v", "description": "d", "settings": {}, "checkpoints": formats,
    });
    Plugin {
        digest: Digest::of(content.as_bytes()),
        manifest: serde_json::from_value(manifest).expect("a manifest"),
        roles: Vec::new(),
        state: PluginState::Ready,
        size: 0,
        label: String::new(),
    }
}
