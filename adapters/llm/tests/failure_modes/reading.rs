//! What a model writes, and what it is told.

use std::time::{Duration, SystemTime};

use planner_core::{
    Advice, AdvisedAction, AdvisorFault, Consultation, Event, Origin, Step, Verdict,
};
use planner_llm::{Class, Heard, Provider, RawReply, Refused, asked, read, sort, user};
use proptest::prelude::*;

use crate::support::{OPERATOR, consultation};
use crate::world::{NORMAL_MS, World, eager, targets, wave, writes};

/// What a provider's body of status 200 is made of: a model's text read, or a refusal.
fn heard(provider: Provider, body: &str, question: &Consultation) -> Result<Advice, AdvisorFault> {
    let reply =
        RawReply { status: 200, headers: &[], body: body.as_bytes(), at: SystemTime::UNIX_EPOCH };
    match sort(provider, &reply, Duration::from_secs(300)) {
        Heard::Text(text) => match read(&text.text, &text.finish, &asked(question, OPERATOR)) {
            Ok(answer) => Ok(answer.advice(question.brief.thresholds)),
            Err(_) => Err(AdvisorFault::Garble),
        },
        Heard::Fault(fault) => {
            assert_eq!(fault.class, Class::Rejected);
            Err(fault.fault())
        }
        _ => panic!("a kind of reply that this test does not know"),
    }
}

fn refusal(text: &str) -> Refused {
    read(text, "stop", &asked(&consultation(), OPERATOR)).expect_err("refused")
}

#[test]
fn m01_prose_is_refused_and_the_policy_decides_as_without_an_advisor() {
    let prose = "I think you should scale up. ```json {\"action\":\"scale_up\"}```";
    assert_eq!(refusal(prose), Refused::NotJson);
    let mut advised = World::new(Some(eager()));
    let mut alone = World::new(None);
    let decisions = advised.live(wave(), writes(prose));
    assert_eq!(targets(&decisions), targets(&alone.live(wave(), writes(""))));
    assert!(advised.questions.len() > 5, "it was hardly asked");
}

#[test]
fn m02_what_was_cut_off_is_no_answer_and_nothing_of_it_is_saved() {
    let question = consultation();
    let body = include_str!("../data/fixtures/gemini_200_max_tokens_empty.json");
    assert_eq!(heard(Provider::Gemini, body, &question), Err(AdvisorFault::Garble));
    for finish in ["length", "MAX_TOKENS", "max_tokens", "content_filter", "SOMETHING_NEW", ""] {
        let whole = read(r#"{"action":"scale_up"}"#, finish, &asked(&question, OPERATOR));
        assert!(matches!(whole, Err(Refused::Finish(_))), "{finish}");
    }
    let mut world = World::warm(eager());
    let decision =
        world.window(NORMAL_MS * 2.0, &mut |question| heard(Provider::Gemini, body, question));
    assert_eq!(decision.origin, Origin::Policy);
    let missed = Some(Verdict::Missed(AdvisorFault::Garble));
    assert_eq!(decision.derivation.advice, missed);
}

#[test]
fn m03_a_blocked_or_refused_answer_is_no_noop_and_an_overload_is_answered() {
    let blocked = include_str!("../data/fixtures/gemini_200_blocked.json");
    let refused = include_str!("../data/fixtures/openai_200_refusal.json");
    for (provider, body) in [(Provider::Gemini, blocked), (Provider::OpenAi, refused)] {
        let question = consultation();
        assert_eq!(heard(provider, body, &question), Err(AdvisorFault::Garble), "{provider}");
        let mut world = World::warm(eager());
        let rise = [NORMAL_MS * 2.0, 400.0];
        let decisions = world.live(rise, |question| heard(provider, body, question));
        assert!(decisions[1].target() > Some(3), "{provider}: {}", decisions[1]);
    }
}

#[test]
fn m04_an_action_or_a_field_that_does_not_exist_does_nothing() {
    for text in [
        r#"{"action":"restart"}"#,
        r#"{"action":"noop|scale_up"}"#,
        r#"{"action":"Scale_Up"}"#,
        r#"{"action":["scale_up"]}"#,
        r#"{"action":null}"#,
    ] {
        assert_eq!(refusal(text), Refused::ActionUnknown, "{text}");
    }
    let answer = |text| {
        let question = consultation();
        let answer = read(text, "stop", &asked(&question, OPERATOR)).expect("an answer");
        answer.advice(question.brief.thresholds)
    };
    let with_more = answer(r#"{"action":"noop","cmd":"rm -rf /","replicas":99}"#);
    assert_eq!(with_more, answer(r#"{"action":"noop"}"#));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn m05_whatever_anybody_wrote_before_a_prompt_has_the_same_bytes(words in ".{0,300}") {
        let prompt = |words: &str| {
            let mut world = World::warm(eager());
            let advice = Advice::new(AdvisedAction::Noop, words);
            world.live([NORMAL_MS * 2.0; 5], |_| Ok(advice.clone()));
            user(world.questions.last().expect("a question"))
        };
        prop_assert_eq!(prompt(&words), prompt(""));
    }
}

#[test]
fn m06_a_reason_loses_what_could_hurt_a_reader_before_anybody_sees_it() {
    let reason = "\\u001b[31mred\\u202e\\u0007<script>".to_owned() + &"a".repeat(400);
    let text = format!(r#"{{"action":"noop","reason":"{reason}"}}"#);
    let answer = read(&text, "stop", &asked(&consultation(), OPERATOR)).expect("an answer");
    assert_eq!(answer.reason.chars().count(), 160);
    let harmful = |letter: char| letter.is_control() || letter == '\u{202e}';
    assert!(!answer.reason.chars().any(harmful), "{:?}", answer.reason);
    let mut world = World::warm(eager());
    let decision = world.window(NORMAL_MS * 2.0, &mut writes(&text));
    assert!(!decision.derivation.to_string().replace('\n', "").chars().any(harmful));
}

#[test]
fn m31_thoughts_are_no_answer_and_what_follows_them_is() {
    let body = include_str!("../data/fixtures/gemini_200_thought_then_answer.json");
    let advice = heard(Provider::Gemini, body, &consultation()).expect("advice");
    assert_eq!(advice.action, AdvisedAction::ScaleUp);
}

#[test]
fn m12_confidence_unlocks_nothing() {
    let of = |text: &str| {
        let mut world = World::warm(eager());
        world.window(NORMAL_MS * 2.0, &mut writes(text))
    };
    let sure = of(r#"{"action":"scale_up","target_replicas":8,"confidence":0.99}"#);
    assert_eq!(sure, of(r#"{"action":"scale_up","target_replicas":8}"#));
    assert_eq!(sure, of(r#"{"action":"scale_up","target_replicas":8,"confidence":"very"}"#));
}

#[test]
fn m30_of_two_answers_to_one_question_the_second_does_nothing() {
    let mut world = World::warm(eager());
    let Step::Consult(question) = world.observe(NORMAL_MS * 2.0) else { panic!("no question") };
    let up = Advice::new(AdvisedAction::ScaleUp, "");
    let first = world.step(Event::Advise(question.id, Ok(up.clone())));
    assert!(matches!(first, Step::Decide(_)));
    let second = world.step(Event::Advise(question.id, Ok(up.to_replicas(8))));
    assert!(matches!(second, Step::Idle(planner_core::Idle::Stale)), "{second:?}");
}
