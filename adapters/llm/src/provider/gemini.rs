//! Gemini: `generateContent` of `v1beta`, with the key in a header and never in the address.

use serde_json::{Value, json};

use super::{Request, Rung, at, tokens};
use crate::Question;
use crate::reply::Text;

pub(super) fn request(question: &Question<'_>, rung: Rung) -> Request {
    let mut generation = json!({"maxOutputTokens": question.output_tokens_max});
    if rung != Rung::Prompt {
        generation["responseMimeType"] = "application/json".into();
        generation["responseJsonSchema"] = question.schema(false);
    }
    if let Some(level) = question.thinking {
        generation["thinkingConfig"] = json!({"thinkingLevel": level});
    }
    let turn = |(is_model, text): (bool, &str)| json!({"role": if is_model { "model" } else { "user" }, "parts": [{"text": text}]});
    let contents: Vec<Value> = question.turns().map(turn).collect();
    Request {
        path: format!("/models/{}:generateContent", question.model),
        headers: Vec::new(),
        body: json!({
            "systemInstruction": {"parts": [{"text": question.system}]},
            "contents": contents,
            "generationConfig": generation,
        }),
    }
}

pub(super) fn text(body: &Value) -> Result<Text, String> {
    if let Some(reason) = at(body, "/promptFeedback/blockReason") {
        return Err(format!("blocked_{reason}"));
    }
    let candidate = body.pointer("/candidates/0").ok_or("no_candidate")?;
    let parts = candidate.pointer("/content/parts").and_then(Value::as_array);
    let is_thought = |part: &&Value| part.get("thought") == Some(&Value::Bool(true));
    let spoken = parts.into_iter().flatten().filter(|part| !is_thought(part));
    Ok(Text {
        text: spoken.filter_map(|part| part.get("text")?.as_str()).collect(),
        finish: at(candidate, "/finishReason").unwrap_or("absent").to_owned(),
        model: at(body, "/modelVersion").map(str::to_owned),
        tokens: tokens(body, &["/usageMetadata/totalTokenCount"]),
    })
}
