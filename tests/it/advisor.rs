//! `quickstart` with an advisor: recorded, turned off, wrong, and a model whose key is a secret.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use planner_tests::{Running, children_of, eventually, json, root, run};

const KEY: &str = "CANARY-llm-key-93f1";
const RAMP: &str = "--scenario=12x20,20x20..110";

/// Who decided, and what bound, in the journal of a run.
fn told(folder: &Path) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(folder.join("journal.jsonl")).expect("a journal");
    let records = text
        .lines()
        .skip(1)
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("a record"));
    records
        .filter_map(|record| {
            let decision = record["step"].get("decide")?.clone();
            let binding = decision["derivation"]["binding"].to_string();
            Some((decision["action"].to_string(), binding))
        })
        .collect()
}

#[test]
fn recorded_advice_decides_on_a_ramp_and_replays_and_without_it_the_run_is_another() {
    let folder = tempfile::tempdir().expect("a folder");
    let recording = root().join("examples/local/advice/good.jsonl");
    let record = format!("--advisor=record:{}", recording.display());
    let runs = [("on", record.as_str()), ("off", "--advisor=off")].map(|(name, advisor)| {
        let out = folder.path().join(name);
        let output = run("quickstart", &[RAMP, advisor, "--out", out.to_str().expect("a path")]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        out
    });
    let [on, off] = runs.each_ref().map(|out| told(out));
    let by_advice = on.iter().filter(|(_, binding)| binding.contains("advice")).count();
    assert!(by_advice > 0, "no decision's binding constraint is the advice: {on:?}");
    assert!(off.iter().all(|(_, binding)| !binding.contains("advice")));
    let actions = |told: &[(String, String)]| -> Vec<String> {
        told.iter().map(|(action, _)| action.clone()).filter(|it| it.contains("scale")).collect()
    };
    assert_ne!(actions(&on), actions(&off), "the same list of decisions");
    let journal = runs[0].join("journal.jsonl");
    let output = run("replay", &[journal.to_str().expect("a path")]);
    assert!(String::from_utf8_lossy(&output.stdout).ends_with("decisions, identical\n"));
    let output = run("replay", &["--advice", journal.to_str().expect("a path")]);
    let worth: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(worth["questions"].as_u64() > Some(0), "{worth}");
    assert_eq!(worth["prompts_changed"], 0, "{worth}");
    told_of_changed_prompts(&journal);
}

/// A journal whose prompts this version would write otherwise is repeated all the same, and told
/// of.
fn told_of_changed_prompts(journal: &Path) {
    let text = std::fs::read_to_string(journal).expect("a journal");
    let name = "\"prompt_sha256\":\"";
    let changed: Vec<String> = text
        .lines()
        .map(|line| match line.split_once(name) {
            Some((before, after)) => format!("{before}{name}{}{}", "0".repeat(64), &after[64..]),
            None => line.to_owned(),
        })
        .collect();
    let other = journal.with_file_name("changed.jsonl");
    std::fs::write(&other, changed.join("\n") + "\n").expect("written");
    let output = run("replay", &[other.to_str().expect("a path")]);
    assert!(String::from_utf8_lossy(&output.stdout).ends_with("decisions, identical\n"));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        told.contains("this version would write") && told.contains("prompts otherwise"),
        "{told}"
    );
}

#[test]
fn an_advisor_that_cannot_be_asked_is_refused_in_one_line_before_anything_starts() {
    let folder = tempfile::tempdir().expect("a folder");
    let empty = folder.path().join("empty.jsonl");
    std::fs::write(&empty, "\n").expect("written");
    let broken = folder.path().join("broken.jsonl");
    std::fs::write(&broken, "noop\n").expect("written");
    let form = r#"{"asked":{...},"reply":{...}}"#;
    for (advisor, text) in [
        (
            format!("record:{}", empty.display()),
            format!(
                "LLM_URL: {} holds no advice; it has a line {form} for each answer",
                empty.display()
            ),
        ),
        (
            format!("record:{}", broken.display()),
            format!("LLM_URL: {} line 1: not one JSON object; write {form}", broken.display()),
        ),
        (
            String::from("record:/no/such.jsonl"),
            String::from(
                "LLM_URL: /no/such.jsonl cannot be read: No such file or directory (os error 2); \
                 name a file of recorded advice",
            ),
        ),
        (
            String::from("gemini"),
            String::from(
                "--advisor: \"gemini\" is not off or record:FILE, and a model is named in LLM_URL \
                 or LLM_PROVIDER; choose one of them",
            ),
        ),
    ] {
        let out = folder.path().join("run");
        let output =
            run("quickstart", &["--advisor", &advisor, "--out", out.to_str().expect("a path")]);
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(String::from_utf8_lossy(&output.stderr), format!("quickstart: {text}\n"));
        assert!(!out.exists(), "half a run was left");
    }
}

/// A model that answers everything alike; what it was asked.
fn model(reply: &'static str) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = vec![0; 65_536];
            let length = stream.read(&mut request).unwrap_or(0);
            let text = String::from_utf8_lossy(&request[..length]).into_owned();
            seen.lock().expect("a list").push(text);
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
            let answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{reply}", reply.len());
            let _gone = stream.write_all(answer.as_bytes());
        }
    });
    (address, asked)
}

#[test]
fn a_models_key_reaches_the_model_and_no_artefact_of_a_run() {
    let (address, asked) = model(
        r#"{"choices":[{"message":{"content":"{\"action\":\"scale_up\",\"reason\":\"more\"}"},
            "finish_reason":"stop"}],"model":"m-1","usage":{"total_tokens":640}}"#,
    );
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("run");
    let url = format!("http://{address}/v1");
    let environment = [
        ("LLM_URL", url.as_str()),
        ("LLM_MODEL", "m-1"),
        ("LLM_API_KEY", KEY),
        ("LLM_RPM", "60"),
        ("LLM_RESERVE", "2"),
    ];
    let arguments = ["--scenario=22x20", "--out", out.to_str().expect("a path")];
    let running = Running::start_with("quickstart", &arguments, &environment);
    let was_asked = || !asked.lock().expect("a list").is_empty();
    assert!(eventually(Duration::from_secs(40), was_asked), "the model was not asked");
    let mut environments = BTreeSet::new();
    for pid in children_of(running.pid()) {
        for file in ["environ", "cmdline"] {
            let text = std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            environments.insert(String::from_utf8_lossy(&text).into_owned());
        }
    }
    assert!(environments.len() >= 3, "the children were not looked at");
    let output = running.output();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let requests = asked.lock().expect("a list").clone();
    assert!(requests.iter().all(|text| text.contains(KEY)), "the key was not sent");
    let mut artefacts: Vec<(String, Vec<u8>)> = environments
        .into_iter()
        .map(|text| (String::from("a child's environment or command line"), text.into_bytes()))
        .collect();
    artefacts.push((String::from("standard output"), output.stdout));
    artefacts.push((String::from("standard error"), output.stderr));
    for file in ["journal.jsonl", "requests.jsonl", "run.json", "report.html"] {
        artefacts.push((file.into(), std::fs::read(out.join(file)).expect("an artefact")));
    }
    for (name, bytes) in &artefacts {
        let told = bytes.windows(6).any(|window| window == b"CANARY");
        assert!(!told, "{name} tells the key");
    }
    println!("{} artefacts, no key in any", artefacts.len());
    // What it was told and what it said is on record.
    let journal = String::from_utf8_lossy(&artefacts[artefacts.len() - 4].1).into_owned();
    assert!(journal.contains("attest") && journal.contains("m-1"), "no receipt");
    assert!(json(&out.join("run.json"))["decisions"].is_array());
}
