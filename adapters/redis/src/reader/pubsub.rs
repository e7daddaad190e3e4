//! Listening to a channel that keeps nothing.

use std::time::Duration;

use futures_util::StreamExt as _;

use super::{Stop, Task};
use crate::BusError;

/// How often a silent connection is asked whether it is still one.
const ASK: Duration = Duration::from_secs(5);
/// Longest wait for the answer.
const ANSWER: Duration = Duration::from_secs(2);

impl Task {
    pub(super) async fn listen(&mut self) -> Result<(), Stop> {
        let subscription = self.bus.subscribe(self.channel).await?;
        self.answered();
        let (mut sink, mut stream) = subscription.split();
        loop {
            tokio::select! {
                () = self.sender.closed() => return Err(Stop::Unheard),
                message = stream.next() => {
                    let Some(message) = message else {
                        return Err(BusError::unavailable("listening", "connection lost").into());
                    };
                    self.hand(String::new(), message.get_payload_bytes().to_vec()).await?;
                }
                () = tokio::time::sleep(ASK) => {
                    let asking = sink.ping::<redis::Value>();
                    match tokio::time::timeout(ANSWER, asking).await {
                        Ok(Ok(_)) => {}
                        Ok(Err(error)) => return Err(self.bus.failed("listening", &error).into()),
                        Err(_) => {
                            let error = BusError::unavailable("listening", "no answer in time");
                            return Err(error.into());
                        }
                    }
                }
            }
        }
    }
}
