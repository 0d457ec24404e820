#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::{Seek as _, SeekFrom, Write as _};

use tar::{Builder, Header};

use super::super::{KEY, length, write};
use super::*;
use crate::model::Digest;

type Contents = BTreeMap<String, Vec<u8>>;

fn contents() -> Contents {
    let plugin = b"a plugin".to_vec();
    BTreeMap::from([
        (DATABASE.to_owned(), vec![7; 1000]),
        (KEY.to_owned(), vec![9; 32]),
        (Part::plugin(&Digest::of(&plugin)), plugin),
    ])
}

fn manifest_of(contents: &Contents) -> Manifest {
    let part = |(name, bytes): (&String, &Vec<u8>)| Part {
        name: name.clone(),
        bytes: bytes.len() as u64,
        digest: Digest::of(bytes),
    };
    Manifest {
        format: FORMAT,
        moganite: "0.1.0".into(),
        schema: 1,
        site: "abc234".into(),
        epoch: 1,
        made_at_ms: 1_700_000_000_000,
        parts: contents.iter().map(part).collect(),
        missing_plugins: Vec::new(),
    }
}

fn written(manifest: &Manifest, contents: &Contents) -> File {
    let mut file = tempfile::tempfile().unwrap();
    write(manifest, &mut file, |part| Ok(&contents[&part.name][..])).unwrap();
    file
}

/// Entries as they are given, whatever they are.
fn forged(manifest: &Manifest, entries: &[(Header, &[u8])]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    let mut tar = Builder::new(&mut file);
    let text = serde_json::to_vec(manifest).unwrap();
    tar.append(&header(MANIFEST, EntryType::Regular, text.len()), &text[..]).unwrap();
    for (header, content) in entries {
        tar.append(header, *content).unwrap();
    }
    tar.finish().unwrap();
    drop(tar);
    file
}

fn header(name: &str, kind: EntryType, bytes: usize) -> Header {
    let mut header = Header::new_ustar();
    // Past the checks of `set_path`, which knows no `..`.
    header.as_ustar_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_size(bytes as u64);
    header.set_cksum();
    header
}

fn why(file: &File) -> String {
    check(file).unwrap_err().to_string()
}

#[test]
fn what_was_written_is_read_again_and_is_as_long_as_was_said() {
    let contents = contents();
    let manifest = manifest_of(&contents);
    let file = written(&manifest, &contents);
    assert_eq!(file.metadata().unwrap().len(), length(&manifest));
    assert_eq!(super::manifest(&file).unwrap(), manifest);
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("plugins")).unwrap();
    assert_eq!(unpack(&file, |part| File::create_new(folder.path().join(&part.name))).unwrap(), manifest);
    for (name, bytes) in &contents {
        assert_eq!(&std::fs::read(folder.path().join(name)).unwrap(), bytes, "{name}");
    }
}

#[test]
fn a_changed_byte_anywhere_is_found() {
    let contents = contents();
    let mut file = written(&manifest_of(&contents), &contents);
    let length = file.metadata().unwrap().len();
    let first = 512 + serde_json::to_vec_pretty(&manifest_of(&contents)).unwrap().len().next_multiple_of(512) as u64;
    // In a header, in the database, in the last part; never in what only fills up a block.
    for at in [first + 3, first + 512 + 500, length - 1024 - 512] {
        file.seek(SeekFrom::Start(at)).unwrap();
        let mut was = [0];
        file.read_exact(&mut was).unwrap();
        for byte in [was[0] ^ 1, was[0]] {
            file.seek(SeekFrom::Start(at)).unwrap();
            file.write_all(&[byte]).unwrap();
            assert_eq!(check(&file).is_ok(), byte == was[0], "byte {at}");
        }
    }
}

#[test]
fn a_file_that_is_cut_off_is_found_wherever_it_ends() {
    let contents = contents();
    let file = written(&manifest_of(&contents), &contents);
    let whole = file.metadata().unwrap().len();
    // The two empty blocks at the end say nothing.
    for length in (0..whole - 1024).rev().step_by(97) {
        file.set_len(length).unwrap();
        assert!(check(&file).is_err(), "{length} of {whole}");
    }
}

#[test]
fn a_name_that_leaves_the_folder_is_refused() {
    for name in
        ["../moganite.db", "/etc/passwd", "plugins/../../x.wasm", "plugins/x.wasm", "lock", "compiled/x.cwasm", ""]
    {
        let mut contents = contents();
        contents.insert(name.to_owned(), b"x".to_vec());
        let manifest = manifest_of(&contents);
        let entries: Vec<_> = manifest
            .parts
            .iter()
            .map(|part| (header(&part.name, EntryType::Regular, contents[&part.name].len()), &contents[&part.name][..]))
            .collect();
        assert!(why(&forged(&manifest, &entries)).contains("nothing that belongs in a state folder"), "{name}");
    }
}

#[test]
fn a_digest_that_is_a_path_is_refused() {
    let contents = contents();
    let mut manifest = manifest_of(&contents);
    manifest.parts[1].name = "plugins/../../x.wasm".into();
    manifest.parts[1].digest = serde_json::from_str(r#""sha256:../../x""#).unwrap();
    assert_eq!(Part::plugin(&manifest.parts[1].digest), manifest.parts[1].name);
    assert!(why(&forged(&manifest, &[])).contains("nothing that belongs"));
}

#[test]
fn a_link_and_a_name_other_than_the_manifests_are_refused() {
    let contents = Contents::from([(DATABASE.to_owned(), b"1234".to_vec())]);
    let manifest = manifest_of(&contents);
    for kind in [
        EntryType::Symlink,
        EntryType::Link,
        EntryType::Directory,
        EntryType::Fifo,
        EntryType::GNULongName,
        EntryType::GNUSparse,
    ] {
        let file = forged(&manifest, &[(header(DATABASE, kind, 4), b"1234")]);
        assert!(check(&file).is_err(), "{kind:?}");
    }
    let file = forged(&manifest, &[(header("../moganite.db", EntryType::Regular, 4), b"1234")]);
    assert!(why(&file).contains("something else"));
    let file = forged(
        &manifest,
        &[(header(DATABASE, EntryType::Regular, 4), b"1234"), (header("x", EntryType::Regular, 1), b"x")],
    );
    assert!(why(&file).contains("more follows"));
}

#[test]
fn sizes_are_those_of_the_manifest_and_no_more_than_the_file_has() {
    let contents = Contents::from([(DATABASE.to_owned(), b"1234".to_vec())]);
    let mut manifest = manifest_of(&contents);
    let entry = || (header(DATABASE, EntryType::Regular, 4), &b"1234"[..]);
    assert!(check(&forged(&manifest, &[entry()])).is_ok());
    manifest.parts[0].bytes = 5;
    assert!(why(&forged(&manifest, &[entry()])).contains("size"));
    manifest.parts[0].bytes = u64::MAX;
    assert!(why(&forged(&manifest, &[entry()])).contains("more than there is"));
    manifest = manifest_of(&Contents::from([(DATABASE.to_owned(), Vec::new()), (KEY.to_owned(), vec![0; 2000])]));
    assert!(why(&forged(&manifest, &[])).contains("belongs"));
}

#[test]
fn a_newer_form_is_refused_in_words() {
    let contents = contents();
    let manifest = Manifest { format: FORMAT + 1, ..manifest_of(&contents) };
    assert!(why(&written(&manifest, &contents)).contains("use the version that wrote it"));
    assert!(why(&tempfile::tempfile().unwrap()).contains("empty"));
    let mut noise = tempfile::tempfile().unwrap();
    noise.write_all(&[0x42; 4096]).unwrap();
    assert!(why(&noise).contains("no whole tar"), "{}", why(&noise));
}
