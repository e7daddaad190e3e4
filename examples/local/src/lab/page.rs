//! The text of the lab's pages around their charts: self-contained, nothing fetched, no script.
//!
//! Not for saying what was found: each command words its own page. Every text from outside passes
//! through [`escape`].

use std::fmt::Write as _;

use super::table::Table;
use crate::report::svg::escape;

/// Colours of lines that have no meaning of their own, in order.
pub(super) const SERIES: usize = 7;

/// So many, with the word for one or for more.
pub(super) fn counted(count: usize, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}

/// How a line of a chart looks in its caption.
#[derive(Clone, Debug)]
pub(super) struct Key {
    /// A class of the style sheet: nothing, or `dash`.
    shape: &'static str,
    colour: String,
    text: String,
}

impl Key {
    /// A line of this colour of the style sheet.
    pub(super) fn line(colour: &str, text: &str) -> Self {
        Self { shape: "", colour: colour.to_owned(), text: text.to_owned() }
    }

    /// A dashed line.
    pub(super) fn dash(colour: &str, text: &str) -> Self {
        Self { shape: "dash", ..Self::line(colour, text) }
    }
}

/// A page being written.
pub(super) struct Page {
    text: String,
}

impl Page {
    /// A page under a headline; `lead` says in a sentence or two what is shown.
    pub(super) fn new(kicker: &str, headline: &str, lead: &str) -> Self {
        let mut page = Self { text: String::new() };
        // Even a text that was not escaped could fetch nothing and run nothing.
        page.push(format_args!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <meta http-equiv=\"Content-Security-Policy\" \
             content=\"default-src 'none'; style-src 'unsafe-inline'\">\
             <title>{kicker}: {headline}</title>\n<style>\n{report}{own}</style></head>\n\
             <body><main>\n<header><p class=\"kicker\">{kicker}</p><h1>{headline}</h1>\
             <p class=\"lead\">{lead}</p></header>\n",
            kicker = escape(kicker),
            headline = escape(headline),
            lead = escape(lead),
            report = include_str!("../report/style.css"),
            own = include_str!("page.css"),
        ));
        page
    }

    pub(super) fn finish(mut self) -> String {
        self.text.push_str("</main></body></html>\n");
        self.text
    }

    pub(super) fn heading(&mut self, text: &str) {
        self.push(format_args!("<h2>{}</h2>\n", escape(text)));
    }

    pub(super) fn paragraph(&mut self, text: &str) {
        self.push(format_args!("<p class=\"words\">{}</p>\n", escape(text)));
    }

    /// Figures beside each other: name, value, remark.
    pub(super) fn figures(&mut self, figures: &[(&str, String, String)]) {
        self.text.push_str("<dl class=\"figures\">");
        for (name, value, remark) in figures {
            self.push(format_args!(
                "<div><dt>{}</dt><dd>{}<small>{}</small></dd></div>",
                escape(name),
                escape(value),
                escape(remark)
            ));
        }
        self.text.push_str("</dl>\n");
    }

    /// A chart under its caption.
    pub(super) fn chart(&mut self, name: &str, keys: &[Key], svg: &str) {
        self.push(format_args!("<figure><figcaption><b>{}</b>", escape(name)));
        for Key { shape, colour, text } in keys {
            self.push(format_args!(
                "<span><i class=\"{shape}\" style=\"border-color:var(--{})\"></i>{}</span>",
                escape(colour),
                escape(text)
            ));
        }
        self.push(format_args!("</figcaption>{svg}</figure>\n"));
    }

    /// A table; all columns but the first are numbers.
    pub(super) fn table(&mut self, table: &Table) {
        self.text.push_str("<div class=\"scroll\"><table class=\"figures-table\"><thead><tr>");
        for heading in table.headings() {
            self.push(format_args!("<th>{}</th>", escape(heading)));
        }
        self.text.push_str("</tr></thead><tbody>\n");
        for row in table.rows() {
            self.text.push_str("<tr>");
            for cell in row {
                self.push(format_args!("<td>{}</td>", escape(cell)));
            }
            self.text.push_str("</tr>\n");
        }
        self.text.push_str("</tbody></table></div>\n");
    }

    /// A table that is folded away.
    pub(super) fn folded(&mut self, summary: &str, table: &Table) {
        self.push(format_args!("<details><summary>{}</summary>", escape(summary)));
        self.table(table);
        self.text.push_str("</details>\n");
    }

    fn push(&mut self, arguments: std::fmt::Arguments<'_>) {
        let _a_string_takes_everything = self.text.write_fmt(arguments);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "</title></style><script>alert(1)</script>\" onload='x'&\u{1b}[2J";

    #[test]
    fn hostile_texts_are_inert_wherever_they_come_from() {
        let mut page = Page::new(HOSTILE, HOSTILE, HOSTILE);
        page.heading(HOSTILE);
        page.paragraph(HOSTILE);
        page.figures(&[(HOSTILE, HOSTILE.to_owned(), HOSTILE.to_owned())]);
        page.chart(HOSTILE, &[Key::line(HOSTILE, HOSTILE)], "<svg></svg>");
        let mut table = Table::new([HOSTILE]);
        table.row([HOSTILE]);
        page.folded(HOSTILE, &table);
        let text = page.finish();
        assert!(!text.contains("<script") && !text.contains("onload='x'"), "{text}");
        assert!(!text.contains('\u{1b}'));
    }

    #[test]
    fn a_page_fetches_nothing() {
        let text = Page::new("lab", "Nothing", "at all").finish();
        for fetching in ["http://", "https://", "src=", "@import", "url(", "<link"] {
            assert!(!text.contains(fetching), "{fetching}");
        }
        assert!(text.contains("default-src 'none'"));
    }
}
