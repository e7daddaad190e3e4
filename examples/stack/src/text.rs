//! Text from elsewhere, made harmless and short before anybody shows it.

/// Text of at most `chars` characters on one line, in which nothing is hidden, ends a line, moves a
/// cursor or turns the direction of writing. Where something was cut off, it ends in `…`.
pub(crate) fn plain(text: &str, chars: usize) -> String {
    let mut shown = text
        .chars()
        .filter(|c| !is_hidden(*c))
        .map(|c| if c.is_control() || is_break(c) { ' ' } else { c });
    let mut plain: String = shown.by_ref().take(chars).collect();
    if shown.next().is_some() {
        plain.pop();
        plain.push('…');
    }
    plain.truncate(plain.trim_end().len());
    plain
}

/// An address without what may be secret in it: login, query and fragment.
pub(crate) fn address(url: &str, chars: usize) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (host, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, ""),
    };
    let host = host.rsplit('@').next().unwrap_or_default();
    let separator = if scheme.is_empty() { "" } else { "://" };
    plain(&format!("{scheme}{separator}{host}{path}"), chars)
}

/// A line that ends by another sign than a control character.
const fn is_break(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}')
}

/// Signs without a shape of their own, among them those that turn the direction of writing.
const fn is_hidden(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_or_turns_the_line_is_taken_out() {
        assert_eq!(plain("a\u{202e}b\u{200b}c\u{2066}d\u{feff}", 200), "abcd");
        assert_eq!(plain("a\nb\u{1b}[2Jc\u{2028}d\u{85}e", 200), "a b [2Jc d e");
    }

    #[test]
    fn what_is_long_is_cut_by_characters_and_says_so() {
        assert_eq!(plain("äöü", 3), "äöü");
        assert_eq!(plain("äöüß", 3), "äö…");
        assert_eq!(plain(&"x".repeat(5_000), 200).chars().count(), 200);
    }

    #[test]
    fn columns_stay_where_they_are() {
        assert_eq!(plain("           p95 3 ms  ", 200), "           p95 3 ms");
    }

    #[test]
    fn an_address_is_shown_without_login_and_query() {
        assert_eq!(address("http://me:pass@lb:80/a@b?key=1#x", 99), "http://lb:80/a@b");
        assert_eq!(address("http://lb/", 99), "http://lb/");
        assert_eq!(address("http://lb", 99), "http://lb");
        assert_eq!(address("me@lb", 99), "lb");
    }
}
