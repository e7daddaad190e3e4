//! Reading a stream, with a group or without.

use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{Cmd, Value};

use super::{HANDED_MAX, Stop, Task, Way, lock};
use crate::reply::{Raw, of_claim, of_entries, of_read, order_of};

/// Entries of one read.
const COUNT: usize = 32;
/// What comes before every entry.
const BEGIN: &str = "0-0";

impl Task {
    pub(super) async fn read_stream(&mut self) -> Result<(), Stop> {
        let mut connection = self.bus.connect().await?;
        match self.way.clone() {
            Way::Last(last) => self.follow(&mut connection, last).await,
            Way::Group { group, consumer, idle } => {
                let member = Member { group, consumer, idle };
                self.consume(&mut connection, &member).await
            }
        }
    }

    async fn follow(
        &mut self,
        connection: &mut MultiplexedConnection,
        last: u32,
    ) -> Result<(), Stop> {
        let mut cursor = match self.cursor.clone() {
            Some(cursor) => cursor,
            None => self.begin(connection, last).await?,
        };
        loop {
            self.cursor = Some(cursor.clone());
            let mut read = redis::cmd("XREAD");
            read.arg("COUNT").arg(COUNT).arg("BLOCK").arg(millis(self.bus.block()));
            read.arg("STREAMS").arg(&self.key).arg(&cursor);
            let entries = of_read(self.ask(connection, &read).await?);
            self.answered();
            if entries.is_empty() {
                // All may have been deleted, and what came then may be older by its clock.
                let newest = self.newest(connection, 1).await?.pop().map(|(id, _)| id);
                if newest.is_none_or(|newest| order_of(&newest) < order_of(&cursor)) {
                    cursor = String::from(BEGIN);
                }
            }
            for (id, bytes) in entries {
                cursor.clone_from(&id);
                self.cursor = Some(cursor.clone());
                if let Some(bytes) = bytes {
                    self.hand(id, bytes).await?;
                }
            }
        }
    }

    /// Hands the last entries over; the newest identifier there is.
    async fn begin(
        &self,
        connection: &mut MultiplexedConnection,
        last: u32,
    ) -> Result<String, Stop> {
        let mut entries = self.newest(connection, last.max(1)).await?;
        let newest = entries.first().map_or_else(|| String::from(BEGIN), |(id, _)| id.clone());
        if last > 0 {
            entries.reverse();
            for (id, bytes) in entries {
                self.hand(id, bytes.unwrap_or_default()).await?;
            }
        }
        Ok(newest)
    }

    async fn newest(
        &self,
        connection: &mut MultiplexedConnection,
        count: u32,
    ) -> Result<Vec<Raw>, Stop> {
        let mut range = redis::cmd("XREVRANGE");
        range.arg(&self.key).arg("+").arg("-").arg("COUNT").arg(count);
        Ok(of_entries(self.ask(connection, &range).await?))
    }

    async fn consume(
        &mut self,
        connection: &mut MultiplexedConnection,
        member: &Member,
    ) -> Result<(), Stop> {
        member.create(self, connection).await?;
        self.catch_up(connection, member).await?;
        let mut claimed = Instant::now();
        loop {
            self.acknowledge(connection, member).await?;
            let wait = millis(self.bus.block().min(member.idle));
            let entries = of_read(self.ask(connection, &member.read(self, ">", Some(wait))).await?);
            self.answered();
            self.hand_all(connection, member, entries).await?;
            if claimed.elapsed() >= member.idle / 2 {
                claimed = Instant::now();
                self.claim(connection, member).await?;
            }
        }
    }

    /// What this consumer was given before it was last lost, and did not acknowledge.
    async fn catch_up(
        &self,
        connection: &mut MultiplexedConnection,
        member: &Member,
    ) -> Result<(), Stop> {
        let mut cursor = String::from(BEGIN);
        loop {
            let entries = of_read(self.ask(connection, &member.read(self, &cursor, None)).await?);
            let Some((last, _)) = entries.last() else { return Ok(()) };
            cursor.clone_from(last);
            self.hand_all(connection, member, entries).await?;
        }
    }

    /// Takes over what other consumers, or an earlier connection of this one, left lying.
    async fn claim(
        &self,
        connection: &mut MultiplexedConnection,
        member: &Member,
    ) -> Result<(), Stop> {
        let mut cursor = String::from(BEGIN);
        loop {
            let mut claim = redis::cmd("XAUTOCLAIM");
            claim.arg(&self.key).arg(&member.group).arg(&member.consumer);
            claim.arg(millis(member.idle)).arg(&cursor).arg("COUNT").arg(COUNT);
            let (next, entries) = of_claim(self.ask(connection, &claim).await?);
            self.hand_all(connection, member, entries).await?;
            if next == BEGIN {
                return Ok(());
            }
            cursor = next;
        }
    }

    /// Hands over what was not handed over before; what was deleted is acknowledged.
    async fn hand_all(
        &self,
        connection: &mut MultiplexedConnection,
        member: &Member,
        entries: Vec<Raw>,
    ) -> Result<(), Stop> {
        for (id, bytes) in entries {
            let Some(bytes) = bytes else {
                self.ask(connection, &member.ack(self, &id)).await?;
                continue;
            };
            let fresh = {
                let mut handed = lock(&self.handed);
                while handed.open.len() >= HANDED_MAX {
                    handed.open.pop_first();
                }
                handed.open.insert(order_of(&id))
            };
            if fresh {
                self.hand(id, bytes).await?;
            }
        }
        Ok(())
    }

    /// Says again what Redis did not hear.
    async fn acknowledge(
        &self,
        connection: &mut MultiplexedConnection,
        member: &Member,
    ) -> Result<(), Stop> {
        let done: Vec<((u64, u64), String)> =
            lock(&self.handed).done.iter().map(|(order, id)| (*order, id.clone())).collect();
        for (order, id) in done {
            self.ask(connection, &member.ack(self, &id)).await?;
            let mut handed = lock(&self.handed);
            handed.done.remove(&order);
            handed.open.remove(&order);
        }
        Ok(())
    }

    async fn ask(
        &self,
        connection: &mut MultiplexedConnection,
        command: &Cmd,
    ) -> Result<Value, Stop> {
        let answer = tokio::select! {
            () = self.sender.closed() => return Err(Stop::Unheard),
            answer = command.query_async::<Value>(connection) => answer,
        };
        answer.map_err(|error| Stop::Lost(self.bus.failed("reading", &error)))
    }
}

/// One consumer of a group.
struct Member {
    group: String,
    consumer: String,
    idle: Duration,
}

impl Member {
    /// Makes the group, from the first entry on, unless it is there: after everything was deleted
    /// nothing that came since is missed.
    async fn create(
        &self,
        task: &Task,
        connection: &mut MultiplexedConnection,
    ) -> Result<(), Stop> {
        let mut create = redis::cmd("XGROUP");
        create.arg("CREATE").arg(&task.key).arg(&self.group).arg("0").arg("MKSTREAM");
        match create.query_async::<Value>(connection).await {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some("BUSYGROUP") => Ok(()),
            Err(error) => Err(Stop::Lost(task.bus.failed("reading", &error))),
        }
    }

    fn read(&self, task: &Task, from: &str, wait: Option<u64>) -> Cmd {
        let mut read = redis::cmd("XREADGROUP");
        read.arg("GROUP").arg(&self.group).arg(&self.consumer).arg("COUNT").arg(COUNT);
        if let Some(wait) = wait {
            read.arg("BLOCK").arg(wait);
        }
        read.arg("STREAMS").arg(&task.key).arg(from);
        read
    }

    fn ack(&self, task: &Task, id: &str) -> Cmd {
        let mut ack = redis::cmd("XACK");
        ack.arg(&task.key).arg(&self.group).arg(id);
        ack
    }
}

/// Whole milliseconds, at least one: zero would wait for ever.
fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX).max(1)
}
