//! Orders on their way: resent, queued, stopped, acknowledged, over links and restarts.

use orderly_signing::digest::Digest;
use orderly_signing::sign::sign_order;
use orderly_wire::to_agent::{KeyringUpdate, ToAgent};

use crate::fleet::{Fleet, script};

#[tokio::test(flavor = "multi_thread")]
async fn a_resent_order_gets_its_state_and_never_a_second_run() {
    let mut fleet = Fleet::linked().await;
    let witness = fleet.dir.path().join("witness");
    let text = format!("echo ran >> {}", witness.display());
    let order = fleet.order(script(text.as_bytes()));
    let envelope = sign_order(&order, &fleet.operator).unwrap();
    let offer = ToAgent::Offer(Box::new(fleet.offer_of(&envelope, Some(text.as_bytes()))));
    for round in 1..=3 {
        fleet.server.send(offer.clone());
        fleet.server.send(offer.clone());
        let first = fleet.ended(envelope.digest()).await;
        assert_eq!(first.status(), "Success");
        // Acknowledged by now or not, each resend is answered with the same receipt.
        fleet.server.with(|state| state.reports.clear());
        fleet.server.send(offer.clone());
        let again = fleet.ended(envelope.digest()).await;
        assert_eq!(again.receipt.envelope_json(), first.receipt.envelope_json());
        if round == 2 {
            fleet.kill().await;
            fleet.run().await;
        }
    }
    assert_eq!(std::fs::read_to_string(witness).unwrap(), "ran\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_told_on_every_link_until_it_is_acknowledged() {
    let mut fleet = Fleet::linked().await;
    fleet.server.with(|state| state.mute = true);
    let order = fleet.script("echo kept", |_| {});
    fleet.ended(order).await;
    for round in 0..2 {
        fleet.server.with(|state| state.reports.clear());
        if round == 0 {
            fleet.server.cut();
        } else {
            fleet.kill().await;
            fleet.start();
        }
        let done = fleet.ended(order).await;
        assert_eq!((done.status(), done.stdout().as_str()), ("Success", "kept\n"));
    }
    fleet.server.with(|state| {
        state.mute = false;
        state.reports.clear();
    });
    fleet.server.relink().await;
    fleet.ended(order).await;
    // A later order's end shows that nothing is told any more that came before it.
    fleet.outcome("true", |_| {}).await;
    fleet.server.with(|state| state.reports.clear());
    fleet.server.relink().await;
    fleet.outcome("true", |_| {}).await;
    assert!(fleet.ends(order).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_is_stopped_while_it_waits_never_runs() {
    let mut fleet = Fleet::new().await;
    fleet.enrol().await;
    fleet.configure("running_max = 1\nqueued_max = 1\ngrace_s = 0\n");
    fleet.run().await;
    let witness = fleet.dir.path().join("witness");
    let first = fleet.script("while :; do sleep 0.05; done", |_| {});
    fleet.accepted(first).await;
    let second = fleet.script(&format!("touch {}", witness.display()), |_| {});
    fleet.accepted(second).await;
    let third = fleet.script("true", |_| {});
    let busy = fleet.ended(third).await;
    assert_eq!((busy.status(), busy.receipt.code.as_deref()), ("Aborted", Some("TaskConcurrencyLimit")));
    fleet.stop(second, "t-2");
    assert_eq!(fleet.ended(second).await.status(), "Cancelled");
    fleet.stop(first, "t-1");
    assert_eq!(fleet.ended(first).await.status(), "Terminated");
    assert_eq!(fleet.outcome("true", |_| {}).await.status(), "Success");
    assert!(!witness.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_that_comes_before_its_order_keeps_it_from_ever_running() {
    let mut fleet = Fleet::linked().await;
    let witness = fleet.dir.path().join("witness");
    let text = format!("touch {}", witness.display());
    let order = fleet.order(script(text.as_bytes()));
    let envelope = sign_order(&order, &fleet.operator).unwrap();
    fleet.stop(envelope.digest(), &order.invocation);
    assert_eq!(fleet.ended(envelope.digest()).await.status(), "Cancelled");
    fleet.kill().await;
    fleet.run().await;
    fleet.server.with(|state| state.reports.clear());
    fleet.offer(&order, Some(text.as_bytes()));
    assert_eq!(fleet.ended(envelope.digest()).await.status(), "Cancelled");
    assert!(!witness.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_keyring_of_the_pinned_root_is_put_in_force_and_no_other() {
    let mut fleet = Fleet::linked().await;
    let successor = orderly_signing::SecretKey::from_seed([9; 32]);
    let newer = fleet.keyring(2, &successor);
    let forged = {
        let mut forger = Fleet::new().await;
        forger.root = orderly_signing::SecretKey::from_seed([66; 32]);
        forger.keyring(7, &successor)
    };
    fleet.server.send(ToAgent::Keyring(KeyringUpdate { keyring: forged }));
    assert_eq!(fleet.outcome("true", |_| {}).await.status(), "Success");
    fleet.server.send(ToAgent::Keyring(KeyringUpdate { keyring: newer }));
    let refused = fleet.outcome("true", |_| {}).await;
    assert_eq!((refused.status(), refused.check()), ("Invalid", "signature"));
    let old = std::mem::replace(&mut fleet.operator, successor);
    assert_eq!(fleet.outcome("true", |_| {}).await.status(), "Success");
    let older = fleet.keyring(1, &old);
    fleet.server.send(ToAgent::Keyring(KeyringUpdate { keyring: older }));
    assert_eq!(fleet.outcome("true", |_| {}).await.status(), "Success");
    fleet.kill().await;
    fleet.run().await;
    assert_eq!(fleet.server.with(|state| state.hello.as_ref().map(|hello| hello.keyring_revision)), Some(2));
    assert_eq!(fleet.outcome("true", |_| {}).await.status(), "Success");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_comes_while_the_server_is_gone_is_told_when_it_is_back() {
    let fleet = Fleet::linked().await;
    let gate = fleet.dir.path().join("gate");
    let order: Digest =
        fleet.script(&format!("while [ ! -e {} ]; do sleep 0.05; done; echo done", gate.display()), |_| {});
    fleet.accepted(order).await;
    fleet.server.cut();
    std::fs::write(gate, b"").unwrap();
    assert_eq!(fleet.ended(order).await.stdout(), "done\n");
}
