//! How every program of this package begins and ends: one line per error, exit 2.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{Read as _, Write as _};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{ArgMatches, Command, Parser};
use tokio::sync::oneshot;

/// Exit code of wrong usage and of what the program could not do.
const EXIT_ERROR: u8 = 2;

/// The command line, or the exit code after help or an error of one line.
///
/// # Errors
///
/// The code to exit with: 0 after `--help` and `--version`, 2 after wrong usage.
pub fn parse<P: Parser>() -> Result<P, ExitCode> {
    P::try_parse().map_err(|error| refuse(&error))
}

/// The same for a command line that is not made of a type.
///
/// # Errors
///
/// As those of [`parse`].
pub fn matches(command: Command) -> Result<ArgMatches, ExitCode> {
    command.try_get_matches().map_err(|error| refuse(&error))
}

/// The same for arguments that are not the process's own; the first is the program's name.
///
/// # Errors
///
/// As those of [`parse`].
pub fn matches_from<A>(command: Command, arguments: A) -> Result<ArgMatches, ExitCode>
where
    A: IntoIterator<Item: Into<OsString> + Clone>,
{
    command.try_get_matches_from(arguments).map_err(|error| refuse(&error))
}

/// Tells help, version or what is wrong; the code to exit with.
fn refuse(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let _reader_is_gone = error.print();
            ExitCode::SUCCESS
        }
        _ => {
            let text = error.to_string();
            let first = text.split("\n\n").next().unwrap_or_default();
            let line = first.split_whitespace().collect::<Vec<_>>().join(" ");
            complain(&format!("{line}; see --help"));
            ExitCode::from(EXIT_ERROR)
        }
    }
}

/// Writes a line to standard output; whether somebody could read it. A reader that is gone is no
/// error: it has read enough.
pub fn say(text: &str) -> bool {
    writeln!(std::io::stdout(), "{text}").is_ok()
}

/// Writes a line to standard error, whether or not anybody reads it.
pub fn complain(text: &str) {
    let _reader_is_gone = writeln!(std::io::stderr(), "{text}");
}

/// The exit code of a program that ended with `result`; an error is told in one line.
pub fn finish<E, T>(name: &str, result: Result<T, E>) -> ExitCode
where
    E: Display,
{
    match result {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            let line = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
            complain(&format!("{name}: {line}"));
            ExitCode::from(EXIT_ERROR)
        }
    }
}

/// Resolves when standard input has ended; never, when nobody asked for that.
///
/// # Errors
///
/// When there is no thread to watch it.
pub fn parent_gone(is_wanted: bool) -> Result<impl Future<Output = ()>, std::io::Error> {
    let (gone, is_gone) = oneshot::channel::<()>();
    // A thread of its own: the runtime would wait for a read of its pool before it ends.
    let watch = move || {
        let mut ignored = [0; 256];
        while std::io::stdin().read(&mut ignored).is_ok_and(|length| length > 0) {}
        drop(gone);
    };
    let watcher = if is_wanted {
        Some(std::thread::Builder::new().stack_size(64 * 1024).spawn(watch)?)
    } else {
        drop(watch);
        None
    };
    Ok(async move {
        if watcher.is_none() {
            std::future::pending::<()>().await;
        }
        let _sender_dropped = is_gone.await;
    })
}
