//! Active health: asks next hops now and then whether they are well. A drain drops it.

use crate::node::Core;
use crate::plan::{Plan, Probe};
use crate::upstream::Hop;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// How often the list of probes is looked at for one that is due.
const TICK: Duration = Duration::from_millis(100);

/// Sends the probes of whatever configuration is in force, for ever.
pub(crate) async fn run(core: &Rc<Core>) {
    let mut due: HashMap<*const Hop, u64> = HashMap::new();
    loop {
        let plan = core.node.plan();
        due.retain(|hop, _| plan.probes.iter().any(|probe| Arc::as_ptr(&probe.hop) == *hop));
        send_due(core, &plan, &mut due);
        tokio::time::sleep(TICK).await;
    }
}

fn send_due(core: &Rc<Core>, plan: &Plan, due: &mut HashMap<*const Hop, u64>) {
    let now_ms = core.node.clock.now_mono_ms();
    for probe in &plan.probes {
        let next = due.entry(Arc::as_ptr(&probe.hop)).or_insert(now_ms);
        if *next > now_ms {
            continue;
        }
        let Some(turn) = probe.hop.begin_probe() else { continue };
        *next = now_ms + u64::try_from(probe.interval.as_millis()).unwrap_or(u64::MAX / 2);
        let (task_core, probe) = (Rc::clone(core), probe.clone());
        core.tasks.spawn_background(async move {
            send(&task_core, &probe).await;
            drop(turn);
        });
    }
}

async fn send(core: &Core, probe: &Probe) {
    let path = probe.path.as_deref();
    let answer = core.client.probe(&probe.hop.target, &probe.host, path, probe.limit).await;
    probe.hop.probed(answer.is_ok_and(|status| status.is_none_or(|code| code.as_u16() < 500)));
}
