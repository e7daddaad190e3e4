//! Who is asked for a second opinion in a run.
//!
//! The settings are those of every program, `LLM_*` in the environment, with what suits a run of
//! two minutes where nobody says otherwise; `--advisor` goes before them.

use super::args::UsageError;
use crate::settings::{Settings, SettingsError};

/// What suits a run of two minutes: asked again soon, and thresholds that can be seen to expire.
const BRIEF: [(&str, &str); 2] = [("LLM_HEARTBEAT_SEC", "5"), ("LLM_THRESHOLDS_TTL_SEC", "30")];
/// Recorded advice costs nothing: it is asked as often as there is use for it, and in calm too.
const FREE: [(&str, &str); 2] = [("LLM_RPM", "60"), ("LLM_RESERVE", "1")];

/// The settings of the advisor: what `flag` says, then `environment`.
pub(super) fn settings(
    flag: Option<&str>,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Settings, UsageError> {
    let recording = flag.filter(|who| who.starts_with("record:"));
    if let Some(who) = flag
        && recording.is_none()
        && who != "off"
    {
        let rule = "off or record:FILE, and a model is named in LLM_URL or LLM_PROVIDER";
        return Err(UsageError::Advisor { who: who.to_owned(), rule });
    }
    let said = |name: &str| match (name, recording) {
        ("LLM_URL", Some(recording)) => Some(recording.to_owned()),
        // Who names a recording wants it asked, and in shadow only where that is said.
        ("LLM_MODE", Some(_)) => environment(name).filter(|mode| mode != "off"),
        _ => environment(name).filter(|value| name.starts_with("LLM_") && !value.is_empty()),
    };
    let is_named = said("LLM_URL").is_some() || said("LLM_PROVIDER").is_some();
    let is_recorded = said("LLM_URL").is_some_and(|url| url.starts_with("record:"));
    let value = |name: &str| {
        let free = FREE.iter().filter(|_| is_recorded);
        let by_default = BRIEF.iter().chain(free).find(|(known, _)| *known == name);
        said(name).or_else(|| by_default.map(|(_, value)| (*value).to_owned()))
    };
    // Without one, what else the environment says of advisors is meant for other programs.
    let is_wanted = is_named && flag != Some("off");
    let settings = Settings::of_environment(|name| value(name).filter(|_| is_wanted));
    settings.map_err(|error: SettingsError| UsageError::Settings(error))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn advice(flag: Option<&str>, set: &[(&str, &str)]) -> Option<planner_core::AdviceConfig> {
        let find = |name: &str| {
            set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let settings = settings(flag, find).expect("settings");
        settings.config().expect("a configuration").advice().cloned()
    }

    #[test]
    fn without_a_word_nobody_is_asked_whatever_else_is_set() {
        assert_eq!(advice(None, &[("LLM_API_KEY", "k"), ("LLM_MODEL", "m")]), None);
    }

    #[test]
    fn a_recording_is_asked_as_often_as_a_short_run_has_use_for() {
        let advice = advice(Some("record:a.jsonl"), &[("LLM_MODE", "off")]).expect("an advisor");
        assert_eq!(advice.period, Duration::from_secs(1));
        assert_eq!(advice.heartbeat, Duration::from_secs(5));
        assert_eq!(advice.thresholds_ttl, Duration::from_secs(30));
    }

    #[test]
    fn the_flag_goes_before_the_environment_and_that_before_what_suits_the_run() {
        let set = [("LLM_URL", "http://127.0.0.1:1/v1"), ("LLM_HEARTBEAT_SEC", "9")];
        let advice_of = |flag| advice(flag, &set);
        assert_eq!(advice_of(Some("off")), None);
        let asked = advice_of(None).expect("an advisor");
        assert_eq!(asked.heartbeat, Duration::from_secs(9));
        assert_eq!(asked.period, Duration::from_secs(30), "a model's calls are what they cost");
    }

    #[test]
    fn an_advisor_that_is_none_is_refused_with_what_may_be_named() {
        let error = settings(Some("gemini"), |_| None).expect_err("no advisor");
        assert_eq!(
            error.to_string(),
            "--advisor: \"gemini\" is not off or record:FILE, and a model is named in LLM_URL or \
             LLM_PROVIDER; choose one of them"
        );
    }
}
