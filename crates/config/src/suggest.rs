//! The known name nearest to one that is not known.

use crate::key::Section;
use crate::keys::SECTIONS;

/// Longest name that is compared: the cost grows with the product of both lengths.
const NAME_CHARS_MAX: usize = 64;

/// A key for an unknown one in `section`: there, or in the table it belongs to.
pub(crate) fn key(section: &Section, unknown: &str) -> Option<String> {
    let names = section.keys.iter().map(|key| key.name);
    if let Some(name) = nearest(names, unknown) {
        return Some(format!("`{name}`"));
    }
    let mut everywhere = SECTIONS
        .iter()
        .flat_map(|section| section.keys.iter().map(move |key| (section.name, key.name)));
    let (table, name) = everywhere.find(|(_, name)| *name == unknown)?;
    Some(format!("`{name}` in [{table}]"))
}

/// A table for an unknown name outside every table.
pub(crate) fn table(unknown: &str) -> Option<String> {
    if let Some(name) = nearest(SECTIONS.iter().map(|section| section.name), unknown) {
        return Some(format!("[{name}]"));
    }
    let holder =
        SECTIONS.iter().find(|section| section.keys.iter().any(|key| key.name == unknown))?;
    Some(format!("`{unknown}` in [{}]", holder.name))
}

/// The word nearest to `unknown`, if one is near enough to have been meant.
pub(crate) fn nearest<'w>(words: impl Iterator<Item = &'w str>, unknown: &str) -> Option<&'w str> {
    if unknown.chars().nth(NAME_CHARS_MAX).is_some() {
        return None;
    }
    let lower = unknown.to_lowercase().replace('-', "_");
    let distant = (lower.chars().count() / 3).max(1);
    words
        .map(|word| (strsim::damerau_levenshtein(word, &lower), word))
        .filter(|(distance, word)| *distance <= distant && *distance < word.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One slip of the fingers finds the word; another word does not.
    #[test]
    fn only_near_words_are_suggested() {
        let words = ["memory", "object_max", "fill_max"];
        assert_eq!(nearest(words.into_iter(), "memroy"), Some("memory"));
        assert_eq!(nearest(words.into_iter(), "Object-Max"), Some("object_max"));
        assert_eq!(nearest(words.into_iter(), "colour"), None);
        assert_eq!(nearest(words.into_iter(), &"m".repeat(10_000)), None);
    }
}
