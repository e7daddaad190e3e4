//! The executor's side: the newest order, whichever way it is heard of.

use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::connection::span;
use crate::wire::{Action, Heard, Step, Verb, WireError};
use crate::{Bus, BusError, Channel, Mode, Order, Reader};

/// What the executors' group is called.
const GROUP: &str = "executors";

/// How orders are heard. Start from [`OrdersSettings::default`] and change what differs.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OrdersSettings {
    /// Name of this executor, told from others of the service; `executor` by default.
    pub consumer: String,
    /// Whether single steps of the proof of concept's planner are obeyed; not by default, and
    /// never on a bus with a key.
    pub accept_old_actions: bool,
    /// How often the desired state is read although nobody said anything, 100 ms to a minute; 5 s
    /// by default.
    pub poll: Duration,
}

impl Default for OrdersSettings {
    fn default() -> Self {
        Self {
            consumer: String::from("executor"),
            accept_old_actions: false,
            poll: Duration::from_secs(5),
        }
    }
}

/// What an executor is asked for.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Received {
    /// A single step of the proof of concept's planner.
    OldStep(Step),
    /// An order; whether it is to be obeyed is a [`Fence`](crate::Fence)'s business.
    Order(Order),
}

/// Why there is no order.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OrderError {
    /// Redis was lost; reading goes on.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// A single step, and old actions are not accepted.
    #[error("decision.replicas: absent, but needed; set accept_old_actions to obey single steps")]
    OldAction,
    /// The message was wrong or forged.
    #[error("an order was refused: {0}")]
    Refused(#[from] WireError),
}

/// The orders for one service, newest only.
#[derive(Debug)]
pub struct Orders {
    bus: Bus,
    reader: Reader,
    settings: OrdersSettings,
    poll: Interval,
    /// Whether the desired state is to be read; stays so when the reading is given up halfway.
    due: bool,
    /// Whether the last reading failed, and was told.
    failing: bool,
    /// The desired state that was judged last.
    judged: Option<Vec<u8>>,
    refused: u64,
}

impl Orders {
    /// Listens for orders. To be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`BusError`] names the setting that cannot work.
    pub fn new(bus: &Bus, settings: OrdersSettings) -> Result<Self, BusError> {
        if settings.accept_old_actions && bus.has_mac_key() {
            return Err(BusError::OldActionsWithKey);
        }
        span("poll", settings.poll, Duration::from_millis(100), Duration::from_secs(60))?;
        let idle = Duration::from_secs(30);
        let reader = Reader::group(bus, Channel::Actions, GROUP, &settings.consumer, idle)?;
        let mut poll = interval(settings.poll);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            bus: bus.clone(),
            reader,
            settings,
            poll,
            due: true,
            failing: false,
            judged: None,
            refused: 0,
        })
    }

    /// The next order; of several that came meanwhile, the newest. Dropping the future loses
    /// nothing.
    ///
    /// # Errors
    ///
    /// [`OrderError`] for a message that is refused, and once for each loss of the connection.
    /// Listening goes on.
    pub async fn next(&mut self) -> Result<Received, OrderError> {
        loop {
            if !self.due {
                tokio::select! {
                    entry = self.reader.next() => {
                        // After a loss an order may have come that nobody told of.
                        self.due = true;
                        let entry = entry?;
                        // The state is what counts: what woke us is done with.
                        self.reader.ack(&entry.id).await;
                        if let Some(step) = self.old_step(&entry.bytes)? {
                            return Ok(Received::OldStep(step));
                        }
                        // Every further waker would lead to the same state.
                        if self.bus.mode() == Mode::Streams {
                            while let Some(Ok(entry)) = self.reader.waiting() {
                                self.reader.ack(&entry.id).await;
                            }
                        }
                    }
                    _ = self.poll.tick() => self.due = true,
                }
            }
            let desired = self.desired().await;
            self.due = false;
            match desired {
                Ok(desired) => {
                    self.failing = false;
                    if let Some(order) = self.judge(desired)? {
                        return Ok(Received::Order(order));
                    }
                }
                Err(error) if !self.failing => {
                    self.failing = true;
                    return Err(error.into());
                }
                Err(_) => {}
            }
        }
    }

    /// How many messages were refused since the start.
    pub const fn refused(&self) -> u64 {
        self.refused
    }

    async fn desired(&self) -> Result<Option<Vec<u8>>, BusError> {
        let mut command = redis::cmd("HGET");
        command.arg(self.bus.key("desired")).arg("message");
        self.bus.twice("reading", &command).await
    }

    /// The order in the desired state, unless it was judged before.
    fn judge(&mut self, desired: Option<Vec<u8>>) -> Result<Option<Order>, OrderError> {
        let Some(bytes) = desired.filter(|bytes| self.judged.as_ref() != Some(bytes)) else {
            return Ok(None);
        };
        let order = self.read(&bytes).map(|action| action.and_then(|action| action.order()));
        self.judged = Some(bytes);
        order.map_err(|error| {
            self.refused += 1;
            error.into()
        })
    }

    /// The single step of an old action, where that is what woke us. A stream may hold steps of
    /// long ago, and nobody who sends them writes to one.
    fn old_step(&mut self, bytes: &[u8]) -> Result<Option<Step>, OrderError> {
        if self.bus.mode() == Mode::Streams {
            return Ok(None);
        }
        let refusal = match self.read(bytes) {
            Ok(Some(Action { verb: Verb::Step(step), order: None, .. })) => {
                if self.settings.accept_old_actions {
                    return Ok(Some(step));
                }
                OrderError::OldAction
            }
            Ok(_) => return Ok(None),
            Err(error) => error.into(),
        };
        self.refused += 1;
        Err(refusal)
    }

    /// An action for this service; `None` for what is none.
    fn read(&self, bytes: &[u8]) -> Result<Option<Action>, WireError> {
        self.bus.verify(bytes)?;
        let Heard::Message(action) = Action::parse(bytes)? else { return Ok(None) };
        match &action.service {
            Some(service) if service != self.bus.service() => {
                Err(WireError::field("service", service.as_str(), "this executor's service"))
            }
            _ => Ok(Some(action)),
        }
    }
}

#[cfg(test)]
mod tests {
    use planner_core::ServiceId;
    use proptest::prelude::*;

    use super::*;
    use crate::wire::{MacKey, Stamp, seal};
    use crate::{Fence, RedisSettings};

    async fn orders(mode: Mode, settings: OrdersSettings) -> Result<Orders, BusError> {
        orders_with(None, mode, settings).await
    }

    async fn orders_with(
        mac_key: Option<MacKey>,
        mode: Mode,
        settings: OrdersSettings,
    ) -> Result<Orders, BusError> {
        let shop = ServiceId::new("shop").expect("a name");
        let mut bus = RedisSettings::new("redis://127.0.0.1:1/", shop);
        (bus.mac_key, bus.mode) = (mac_key, mode);
        Orders::new(&Bus::open(bus).await.expect("settings"), settings)
    }

    fn key() -> MacKey {
        MacKey::new(b"sixteen bytes or more").expect("long enough")
    }

    fn order(service: &str, seq: u64) -> String {
        let stamp = Stamp {
            service: ServiceId::new(service).expect("a name"),
            container: String::from("app"),
            ts: 1.0,
            epoch: 2,
            seq,
            expires_ts: 61.0,
        };
        Action::of_target(3, None, stamp).write()
    }

    fn step(action: &str) -> Vec<u8> {
        format!("{{\"ts\":1,\"kind\":\"plan\",\"decision\":{{\"action\":\"{action}\"}}}}")
            .into_bytes()
    }

    #[tokio::test]
    async fn an_order_is_given_once_and_another_services_is_refused() {
        let mut orders = orders(Mode::Streams, OrdersSettings::default()).await.expect("settings");
        let bytes = order("shop", 7).into_bytes();
        let first = orders.judge(Some(bytes.clone())).expect("legal").expect("an order");
        assert_eq!((first.replicas, first.epoch, first.seq), (3, 2, 7));
        assert_eq!(orders.judge(Some(bytes)), Ok(None));
        assert_eq!(orders.judge(None), Ok(None));
        let strange = orders.judge(Some(order("search", 8).into_bytes())).expect_err("refused");
        assert_eq!(
            strange.to_string(),
            "an order was refused: service: search is not this executor's service; fix its sender"
        );
        assert_eq!(orders.refused(), 1);
    }

    #[tokio::test]
    async fn with_a_key_only_sealed_orders_count_and_a_forged_one_is_told_once() {
        let settings = OrdersSettings::default();
        let mut orders = orders_with(Some(key()), Mode::Streams, settings).await.expect("settings");
        let bare = order("shop", 7);
        assert_eq!(
            orders.judge(Some(bare.clone().into_bytes())),
            Err(OrderError::Refused(WireError::Unsealed))
        );
        assert_eq!(orders.judge(Some(bare.clone().into_bytes())), Ok(None));
        let forged = seal(&bare, &key()).replace("\"replicas\":3", "\"replicas\":9");
        assert_eq!(
            orders.judge(Some(forged.into_bytes())),
            Err(OrderError::Refused(WireError::Forged))
        );
        assert!(orders.judge(Some(seal(&bare, &key()).into_bytes())).expect("legal").is_some());
        assert_eq!(orders.refused(), 2);
    }

    #[tokio::test]
    async fn single_steps_are_obeyed_only_where_that_is_set() {
        let mut strict = orders(Mode::PubSub, OrdersSettings::default()).await.expect("settings");
        assert_eq!(strict.old_step(&step("scale_up")), Err(OrderError::OldAction));
        assert_eq!(strict.old_step(&step("noop")), Ok(None));
        assert_eq!(strict.old_step(order("shop", 1).as_bytes()), Ok(None));
        let settings = OrdersSettings { accept_old_actions: true, ..OrdersSettings::default() };
        let mut lenient = orders(Mode::PubSub, settings.clone()).await.expect("settings");
        assert_eq!(lenient.old_step(&step("scale_up")), Ok(Some(Step::Up)));
        assert_eq!(lenient.old_step(&step("scale_down")), Ok(Some(Step::Down)));
        assert_eq!(lenient.old_step(&step("restart")), Ok(Some(Step::Restart)));
        let mut stream = orders(Mode::Streams, settings.clone()).await.expect("settings");
        assert_eq!(stream.old_step(&step("scale_up")), Ok(None));
        assert_eq!(
            orders_with(Some(key()), Mode::PubSub, settings).await.expect_err("refused"),
            BusError::OldActionsWithKey
        );
    }

    #[test]
    fn every_refusal_says_what_rule_and_what_to_do() {
        assert_eq!(
            OrderError::OldAction.to_string(),
            "decision.replicas: absent, but needed; set accept_old_actions to obey single steps"
        );
    }

    /// What may happen between planners and an executor.
    #[derive(Clone, Copy, Debug)]
    enum Happening {
        /// A planner gives an order, the same planner as before or the next.
        Give { takes_over: bool },
        /// The executor reads what is wanted.
        Read,
        /// It reads what was wanted long ago: a Redis that lost its last seconds, a late message.
        ReadOld(prop::sample::Index),
        /// It is killed, and starts again over its fence.
        Restart,
    }

    fn happening() -> impl Strategy<Value = Happening> {
        prop_oneof![
            4 => any::<bool>().prop_map(|takes_over| Happening::Give { takes_over }),
            2 => Just(Happening::Read),
            2 => any::<prop::sample::Index>().prop_map(Happening::ReadOld),
            1 => Just(Happening::Restart),
        ]
    }

    /// An executor that is judged only by what it obeys.
    struct Obeying {
        orders: Orders,
        fence: Fence,
        obeyed: Vec<(u64, u64)>,
    }

    impl Obeying {
        fn read(&mut self, bytes: &[u8]) {
            let Ok(Some(order)) = self.orders.judge(Some(bytes.to_vec())) else { return };
            if self.fence.judge(&order, 30.0).is_ok() {
                self.obeyed.push((order.epoch, order.seq));
            }
        }
    }

    /// Lives through a history; what was obeyed, and the newest that was wanted.
    async fn live(history: &[Happening]) -> (Vec<(u64, u64)>, (u64, u64)) {
        let fresh =
            async || orders(Mode::Streams, OrdersSettings::default()).await.expect("settings");
        let mut executor =
            Obeying { orders: fresh().await, fence: Fence::default(), obeyed: Vec::new() };
        let mut wanted = vec![order_of(1, 1)];
        let mut newest = (1, 1);
        for happening in history {
            match happening {
                Happening::Give { takes_over } => {
                    newest = if *takes_over { (newest.0 + 1, 1) } else { (newest.0, newest.1 + 1) };
                    wanted.push(order_of(newest.0, newest.1));
                }
                Happening::Read => executor.read(wanted.last().expect("one")),
                Happening::ReadOld(at) => executor.read(&wanted[at.index(wanted.len())]),
                Happening::Restart => executor.orders = fresh().await,
            }
        }
        executor.read(wanted.last().expect("one"));
        (executor.obeyed, newest)
    }

    fn order_of(epoch: u64, seq: u64) -> Vec<u8> {
        let text = order("shop", seq).replace("\"epoch\":2", &format!("\"epoch\":{epoch}"));
        text.into_bytes()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(
            if std::env::var_os("PLANNER_SOAK").is_some() { 100_000 } else { 2_000 }
        ))]

        #[test]
        fn p21_whatever_is_lost_late_or_twice_the_newest_order_is_the_last_that_is_obeyed(
            history in prop::collection::vec(happening(), 0..30)
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let (obeyed, newest) = runtime.expect("a runtime").block_on(live(&history));
            prop_assert!(obeyed.is_sorted_by(|one, next| one < next), "{obeyed:?}");
            prop_assert_eq!(obeyed.last(), Some(&newest));
        }
    }
}
