//! What every executor has to hold, on the engine in memory.

use async_trait::async_trait;
use planner_ports::Executor;
use planner_ports::contract::{ExecutorRig, executor_keeps_its_contract};

use super::fake::Fuse;
use super::*;

struct OnFake {
    fake: Fake,
    executor: DockerExecutor,
}

#[async_trait]
impl ExecutorRig for OnFake {
    fn executor(&self) -> &dyn Executor {
        &self.executor
    }

    fn max_replicas(&self) -> u32 {
        settings().max_replicas.get()
    }

    async fn kill_one(&mut self) {
        let id = {
            let world = self.fake.world();
            let running = world.containers.iter().find(|(_, it)| !it.is_foreign);
            running.map(|(id, _)| id.clone()).expect("one that runs")
        };
        self.fake.world().die(&id);
        self.fake.tell();
    }

    async fn restart(&mut self) -> bool {
        self.executor = executor(&self.fake.again(Fuse::default()));
        true
    }
}

#[tokio::test(start_paused = true)]
async fn the_contract_of_every_executor_is_kept() {
    for seed in 1..=20 {
        let fake = Fake::new(seed);
        let executor = executor(&fake);
        executor_keeps_its_contract(&mut OnFake { fake: fake.clone(), executor }).await;
        nothing_wrong(&fake);
    }
}
