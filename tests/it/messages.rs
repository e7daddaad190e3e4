//! The examples of docs/messages.md are messages, and every field of them is explained.

use std::collections::BTreeSet;

use planner_redis::wire::{
    Action, ActionResult, Alert, Cause, Heard, Membership, Routing, WireError,
};
use planner_tests::root;
use serde_json::Value;

/// A section of the page: its name, its example and the fields of its table.
struct Section {
    name: String,
    example: Value,
    fields: BTreeSet<String>,
    text: String,
}

fn sections() -> Vec<Section> {
    let page = std::fs::read_to_string(root().join("docs/messages.md")).expect("the page");
    let mut sections = Vec::new();
    for part in page.split("\n## ").skip(1) {
        let (name, text) = part.split_once('\n').expect("a heading");
        let Some((_, rest)) = text.split_once("```json\n") else { continue };
        let (example, _) = rest.split_once("```").expect("an end");
        let field = |line: &str| {
            Some(line.strip_prefix("| `")?.split_once('`').expect("a field").0.to_owned())
        };
        sections.push(Section {
            name: name.to_owned(),
            example: serde_json::from_str(example).expect("JSON"),
            fields: text.lines().filter_map(field).collect(),
            text: text.to_owned(),
        });
    }
    sections
}

/// The names of all fields, those of objects within included.
fn names(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                into.insert(name.clone());
                names(value, into);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| names(item, into)),
        _ => {}
    }
}

fn message<T: std::fmt::Debug>(heard: Result<Heard<T>, WireError>) -> T {
    match heard {
        Ok(Heard::Message(message)) => message,
        other => panic!("{other:?}"),
    }
}

/// The message as we read and write it.
fn written(name: &str, example: &Value) -> String {
    let text = example.to_string();
    let bytes = text.as_bytes();
    match name {
        "Alert" => message(Alert::parse(bytes)).write(),
        "Action" => message(Action::parse(bytes)).write(),
        "Result" => message(ActionResult::parse(bytes)).write(),
        "Membership" => Membership::parse(bytes).expect(name).write(),
        "Routing" => Routing::parse(bytes).expect(name).write(),
        other => panic!("{other}: nothing is known of it"),
    }
}

#[test]
fn every_example_of_the_page_is_read_and_written_as_it_stands_there() {
    let sections = sections();
    assert_eq!(sections.len(), 5);
    for section in sections {
        let mut example = section.example.clone();
        let back = written(&section.name, &example);
        // The seal is made of the bytes as they are sent.
        example.as_object_mut().expect("an object").remove("mac");
        let back: Value = serde_json::from_str(&back).expect("JSON");
        assert_eq!(back, example, "{}", section.name);
    }
}

#[test]
fn every_field_of_a_message_is_explained_on_the_page_and_no_other() {
    for section in sections() {
        let mut found = BTreeSet::new();
        names(&section.example, &mut found);
        found.remove("decision");
        assert_eq!(found, section.fields, "{}", section.name);
        if section.name == "Result" {
            for cause in Cause::ALL {
                assert!(section.text.contains(&format!("`{}`", cause.as_str())), "{cause:?}");
            }
        }
    }
}
