//! Anthropic's Messages.

use serde_json::{Value, json};

use super::{Request, Rung, at, messages, tokens};
use crate::Question;
use crate::reply::Text;

pub(super) fn request(question: &Question<'_>, rung: Rung) -> Request {
    let mut body = json!({
        "model": question.model,
        "max_tokens": question.output_tokens_max,
        "system": question.system,
        "messages": messages(question),
    });
    if rung != Rung::Prompt {
        let schema = question.schema(false);
        body["output_config"] = json!({"format": {"type": "json_schema", "schema": schema}});
    }
    Request {
        path: String::from("/v1/messages"),
        headers: vec![("anthropic-version", "2023-06-01")],
        body,
    }
}

pub(super) fn text(body: &Value) -> Result<Text, String> {
    let blocks = body.get("content").and_then(Value::as_array).ok_or("no_content")?;
    let texts = blocks.iter().filter(|block| at(block, "/type") == Some("text"));
    Ok(Text {
        text: texts.filter_map(|block| at(block, "/text")).collect(),
        finish: at(body, "/stop_reason").unwrap_or("absent").to_owned(),
        model: at(body, "/model").map(str::to_owned),
        tokens: tokens(body, &["/usage/input_tokens", "/usage/output_tokens"]),
    })
}
