//! How much there is to compile in a component: counted from the heads of its sections, before anything is parsed.
//!
//! A compiler's time goes by functions: a hundred thousand empty ones in a small file keep a core busy for minutes. Next:
//! `compile.rs`, which bounds time and memory of what is let through.

use super::Refusal;
use super::manifest::{Section, sections, walk};

/// Of all core modules in one component. Our own drivers have 1,000 to 3,000; an interpreter of JavaScript or Python brings about
/// 20,000.
const FUNCTIONS: u64 = 50_000;
/// Components within components.
const DEEPEST: u32 = 8;

/// Kinds of a component's sections, and of a core module's.
const CORE_MODULE: u8 = 1;
const COMPONENT: u8 = 4;
const FUNCTION: u8 = 3;

/// Refuses what would keep the compiler busy for long.
pub(super) fn check(component: &[u8]) -> Result<(), Refusal> {
    let functions = functions(component, 0)?;
    if functions > FUNCTIONS {
        return Err(too_large(format!(
            "it has {functions} functions; this host compiles at most {FUNCTIONS}: split it"
        )));
    }
    Ok(())
}

fn functions(component: &[u8], depth: u32) -> Result<u64, Refusal> {
    if depth > DEEPEST {
        return Err(too_large(format!("components are nested deeper than {DEEPEST}")));
    }
    let mut count = 0_u64;
    for section in sections(component)? {
        count = count.saturating_add(match section.kind {
            CORE_MODULE => of_module(&section),
            COMPONENT => functions(section.body, depth + 1)?,
            _ => 0,
        });
    }
    Ok(count)
}

/// What the heads of its function sections say; a lie makes it no valid module, and a cut is found by whoever compiles it.
fn of_module(module: &Section<'_>) -> u64 {
    let Ok(sections) = walk(module.body) else { return 0 };
    sections
        .iter()
        .filter(|section| section.kind == FUNCTION)
        .fold(0, |sum: u64, section| sum.saturating_add(head(section.body)))
}

/// The number at the beginning of a section that is a list.
fn head(body: &[u8]) -> u64 {
    super::manifest::read_length(body, 0).map_or(0, |(count, _)| count as u64)
}

fn too_large(message: String) -> Refusal {
    Refusal::new("plugin-too-large", message)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const COMPONENT_HEAD: &[u8] = b"\0asm\x0d\0\x01\0";
    const MODULE_HEAD: &[u8] = b"\0asm\x01\0\0\0";

    fn section(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut out = vec![kind];
        leb(&mut out, body.len());
        [out, body.to_vec()].concat()
    }

    fn leb(out: &mut Vec<u8>, mut value: usize) {
        while value > 0x7f {
            out.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        out.push(value as u8);
    }

    fn module(functions: usize) -> Vec<u8> {
        let mut list = Vec::new();
        leb(&mut list, functions);
        section(CORE_MODULE, &[MODULE_HEAD, &section(FUNCTION, &list)].concat())
    }

    #[test]
    fn functions_of_all_modules_are_summed_wherever_they_are_nested() {
        let inner = [COMPONENT_HEAD, &module(30_000)].concat();
        let fits = [COMPONENT_HEAD, &module(20_000), &section(COMPONENT, &inner)].concat();
        assert_eq!(check(&fits), Ok(()));
        let over = [fits, module(1)].concat();
        let refused = check(&over).unwrap_err();
        assert!(refused.code == "plugin-too-large" && refused.message.contains("50001 functions"), "{refused}");
    }

    #[test]
    fn components_within_components_end_somewhere() {
        let nested = |deep: u32| {
            (0..deep).fold(COMPONENT_HEAD.to_vec(), |inner, _| [COMPONENT_HEAD, &section(COMPONENT, &inner)].concat())
        };
        assert_eq!(check(&nested(DEEPEST)), Ok(()));
        assert!(check(&nested(DEEPEST + 1)).is_err_and(|refused| refused.message.contains("nested deeper")));
    }
}
