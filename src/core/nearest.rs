//! The word that was meant by one with a typing error.

/// Returns the known word that is nearest to `word`, if it is near enough to be a typing error.
pub(crate) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let (distance, name) = known
        .into_iter()
        .map(|name| (strsim::osa_distance(name, word), name))
        .min_by_key(|(distance, _)| *distance)?;
    (distance <= (word.len() / 3).max(1)).then_some(name)
}
