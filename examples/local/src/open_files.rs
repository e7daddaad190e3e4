//! Permission to hold more sockets than the shell's default of about a thousand.
//!
//! Not for asking for more than the hard limit, which only an administrator can raise.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises this process's limit of open files to its hard limit.
///
/// Failure changes nothing and is not reported: whoever then runs out of sockets says so.
pub(crate) fn raise_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _unchanged_on_failure = setrlimit(Resource::Nofile, limit);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_open_files_becomes_the_hard_limit() {
        raise_limit();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }
}
