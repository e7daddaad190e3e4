//! Chat Completions, of `OpenAI` and of everybody who imitates them: the ladder of ways to ask for
//! JSON is for the latter.

use serde_json::{Value, json};

use super::{Request, Rung, at, messages_with_system, tokens};
use crate::Question;
use crate::reply::Text;

pub(super) fn request(question: &Question<'_>, rung: Rung) -> Request {
    let mut body = json!({
        "model": question.model,
        "messages": messages_with_system(question),
        "max_completion_tokens": question.output_tokens_max,
    });
    match rung {
        Rung::Schema => {
            body["response_format"] = json!({"type": "json_schema", "json_schema": {
                "name": "scaling_advice", "strict": true, "schema": question.schema(true),
            }});
        }
        Rung::ObjectWithSchema => {
            let schema = question.schema(true);
            body["response_format"] = json!({"type": "json_object", "schema": schema});
        }
        Rung::Object => body["response_format"] = json!({"type": "json_object"}),
        Rung::Prompt => {}
    }
    Request { path: String::from("/chat/completions"), headers: Vec::new(), body }
}

pub(super) fn text(body: &Value) -> Result<Text, String> {
    let choice = body.pointer("/choices/0").ok_or("no_choice")?;
    if choice.pointer("/message/refusal").is_some_and(|refusal| !refusal.is_null()) {
        return Err(String::from("refusal"));
    }
    Ok(Text {
        text: at(choice, "/message/content").unwrap_or_default().to_owned(),
        finish: at(choice, "/finish_reason").unwrap_or("absent").to_owned(),
        model: at(body, "/model").map(str::to_owned),
        tokens: tokens(body, &["/usage/total_tokens"]),
    })
}
