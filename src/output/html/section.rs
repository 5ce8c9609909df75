//! Sections of a page, and the links to them.

/// A part of a page under a heading.
#[derive(Debug, Clone)]
pub(super) struct Section {
    title: &'static str,
    /// HTML; empty if there is nothing to show.
    body: String,
}

impl Section {
    pub(super) fn new(title: &'static str, body: String) -> Self {
        Self { title, body }
    }

    /// Identifier of its heading.
    fn id(&self) -> String {
        self.title.to_lowercase().replace(' ', "-")
    }

    /// The section under a heading that links lead to.
    fn main(&self) -> String {
        let Self { title, body } = self;
        format!("<section id=\"{}\"><h2>{title}</h2>\n{body}</section>\n", self.id())
    }

    /// The section inside another one.
    fn inner(&self) -> String {
        let Self { title, body } = self;
        format!("<section><h3>{title}</h3>\n{body}</section>\n")
    }
}

/// Removes the sections without content.
fn filled(sections: &[Section]) -> impl Iterator<Item = &Section> {
    sections.iter().filter(|section| !section.body.is_empty())
}

/// The sections of a page.
pub(super) fn main_sections(sections: &[Section]) -> String {
    filled(sections).map(Section::main).collect()
}

/// Sections inside another one.
pub(super) fn inner_sections(sections: &[Section]) -> String {
    filled(sections).map(Section::inner).collect()
}

/// Links to the sections of a page.
pub(super) fn contents(sections: &[Section]) -> String {
    let links = filled(sections)
        .map(|section| format!("<li><a href=\"#{}\">{}</a></li>", section.id(), section.title));
    format!("<ul class=\"contents\">{}</ul>", links.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contents_lead_to_the_sections_that_have_content() {
        let sections = [
            Section::new("Over time", "<p>a</p>".to_owned()),
            Section::new("Stages", String::new()),
        ];
        assert_eq!(
            contents(&sections),
            "<ul class=\"contents\"><li><a href=\"#over-time\">Over time</a></li></ul>"
        );
        let page = main_sections(&sections);
        assert!(page.contains("<section id=\"over-time\"><h2>Over time</h2>"), "{page}");
        assert!(!page.contains("Stages"), "{page}");
        assert!(!inner_sections(&sections).contains("id="), "ids are unique on a page");
    }
}
