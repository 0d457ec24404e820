//! All cases, by what they try. `docs/threats.md` has the rows.

mod claims;
mod files;
mod gate;
mod greed;
mod lies;
mod patience;
mod stops;
mod words;

use crate::case::Case;

pub(crate) fn all() -> Vec<Case> {
    let greedy = [greed::cases(), gate::cases(), words::cases(), claims::cases()];
    let others = [patience::cases(), stops::cases(), files::cases(), lies::cases()];
    greedy.into_iter().chain(others).flatten().collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    use super::*;

    const TABLE: &str = include_str!("../../../docs/threats.md");

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
    }

    /// The rows of the first table: attempt, rule, kept, tried to be broken.
    fn rows() -> Vec<Vec<&'static str>> {
        table(TABLE)
    }

    /// The rows of the first table of a text.
    fn table(text: &'static str) -> Vec<Vec<&'static str>> {
        let lines = text.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
        let rows = lines.take_while(|line| line.starts_with('|'));
        rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect()
    }

    fn between(text: &str, mark: char) -> Vec<&str> {
        text.split(mark).skip(1).step_by(2).collect()
    }

    /// The names of all functions below a folder.
    fn functions(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") {
                functions(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let names = text.split("fn ").skip(1).filter_map(|rest| rest.split(['(', '<']).next());
                found.extend(names.map(str::to_owned));
            }
        }
    }

    /// The names of all functions of ours.
    fn known() -> BTreeSet<String> {
        let mut known = BTreeSet::new();
        for folder in ["host", "tests", "drivers", "examples"] {
            functions(&root().join(folder), &mut known);
        }
        known
    }

    #[test]
    fn every_limit_has_a_test_that_exists() {
        let known = known();
        let (_, limits) = TABLE.split_once("## Limits").unwrap();
        let (said, _) = limits.split_once("|---").unwrap();
        assert!(between(said, '`').into_iter().any(|kept| known.contains(kept)), "nothing keeps them");
        let rows = table(limits);
        assert_eq!(rows.len(), 21);
        for row in rows {
            let [limit, _, _, _, broken] = row[..] else { panic!("{row:?}") };
            assert!(!between(broken, '`').is_empty(), "{limit}: nothing breaks it");
            between(broken, '`').into_iter().for_each(|test| assert!(known.contains(test), "{limit}: no test {test}"));
        }
    }

    #[test]
    fn every_row_has_a_rule_and_tests_that_exist() {
        let known = known();
        let cases: BTreeSet<String> = all().into_iter().map(|case| case.name).collect();
        assert!(rows().len() > 20, "{} rows", rows().len());
        for row in rows() {
            let [attempt, rule, kept, broken] = row[..] else { panic!("{row:?}") };
            let (files, names): (Vec<_>, Vec<_>) = between(rule, '`').into_iter().partition(|word| word.contains('/'));
            assert!(!files.is_empty(), "{attempt}: no file");
            let sources: Vec<_> =
                files.iter().map(|file| std::fs::read_to_string(root().join(file)).expect(file)).collect();
            for name in names {
                assert!(
                    sources.iter().any(|text| text.contains(&format!("fn {name}"))),
                    "{attempt}: no function {name}"
                );
            }
            assert!(!between(kept, '`').is_empty(), "{attempt}: nothing keeps it");
            assert!(
                !between(broken, '`').is_empty() || !between(broken, '*').is_empty(),
                "{attempt}: nothing breaks it"
            );
            for test in between(kept, '`').into_iter().chain(between(broken, '`')) {
                assert!(known.contains(test), "{attempt}: no test {test}");
            }
            for case in between(broken, '*') {
                assert!(cases.contains(case), "{attempt}: no case {case}");
            }
        }
    }

    #[test]
    fn every_case_is_of_a_row_and_every_name_is_of_one_case() {
        let attempts: Vec<&str> = rows().into_iter().map(|row| row[0]).collect();
        let mut names = BTreeSet::new();
        for case in all() {
            assert!(attempts.iter().any(|attempt| attempt.starts_with(case.row)), "{}: {}", case.name, case.row);
            assert!(names.insert(case.name.clone()), "{} twice", case.name);
        }
        assert!(names.len() >= 60, "{} cases", names.len());
    }

    #[test]
    fn every_verb_of_the_contract_misbehaves_somewhere() {
        let cases: Vec<String> = all().into_iter().map(|case| case.name).collect();
        let verbs = crate::made::WIT.lines().filter_map(|line| line.trim().split_once(": func(").map(|(name, _)| name));
        // Nothing calls it yet: no rotation of a secret rewrites what a far side keeps.
        for verb in verbs.map(|verb| verb.trim_start_matches('%')).filter(|verb| !matches!(*verb, "emit" | "refresh")) {
            assert!(
                cases.iter().any(|case| case.ends_with(&format!(" in {verb}")) || case.ends_with(&format!(".{verb}"))),
                "{verb}"
            );
        }
    }
}
