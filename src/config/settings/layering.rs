//! Layers of settings: the command line overrides the profile.

use super::Settings;

impl Settings {
    /// Returns these settings, completed by those of `base`.
    #[must_use]
    pub(crate) fn layered_on(mut self, mut base: Self) -> Self {
        // Body settings are replaced together: a body of one kind overrides a body of another kind.
        if self.has_body() {
            base.body = None;
            base.body_file = None;
            base.body_lines = None;
        }
        if self.mix.is_empty() {
            self.mix = std::mem::take(&mut base.mix);
            self.mix_file = base.mix_file.take();
        }
        self.complete_with(base);
        self
    }

    fn has_body(&self) -> bool {
        self.body.is_some() || self.body_file.is_some() || self.body_lines.is_some()
    }
}
