//! Ollama's own chat: a model on this machine or the next.

use serde_json::{Value, json};

use super::{Request, Rung, at, messages_with_system, tokens};
use crate::Question;
use crate::reply::Text;

pub(super) fn request(question: &Question<'_>, rung: Rung) -> Request {
    let mut body = json!({
        "model": question.model,
        "stream": false,
        // A format and thoughts exclude each other.
        "think": false,
        "keep_alive": "10m",
        "messages": messages_with_system(question),
        "options": {"temperature": 0, "seed": 1, "num_predict": question.output_tokens_max},
    });
    if rung != Rung::Prompt {
        body["format"] = question.schema(false);
    }
    Request { path: String::from("/api/chat"), headers: Vec::new(), body }
}

pub(super) fn text(body: &Value) -> Result<Text, String> {
    let text = at(body, "/message/content").ok_or("no_message")?;
    Ok(Text {
        text: text.to_owned(),
        finish: at(body, "/done_reason").unwrap_or("absent").to_owned(),
        model: at(body, "/model").map(str::to_owned),
        tokens: tokens(body, &["/prompt_eval_count", "/eval_count"]),
    })
}
